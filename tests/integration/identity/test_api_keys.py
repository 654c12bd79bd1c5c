"""API keys: what they let through, how they end, what is kept of them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from auto_insurance.identity.errors import InvalidApiKey
from auto_insurance.identity.schemas import ApiScope, IssuedApiKey, NewApiKey, NewUser, Role, User
from auto_insurance.identity.service import UserAdmin
from auto_insurance.kernel import clock
from tests.support.people import People


async def integration(people: People, name: str = "erp") -> User:
    async with people.db.begin() as uow:
        return await people.get(UserAdmin).create(uow, NewUser(username=name, roles=frozenset({Role.SERVICE})), None)


async def issue(people: People, owner: User, *scopes: ApiScope, days: int = 30) -> IssuedApiKey:
    async with people.db.begin() as uow:
        new = NewApiKey(name="k", scopes=scopes, expires_in_days=days)
        return await people.auth.api_keys.issue(uow, owner, new, owner.user_id)


async def test_an_integration_reads_what_its_scopes_say(people: People) -> None:
    owner = await integration(people)
    key = (await issue(people, owner, ApiScope.READ_DRIVERS)).key.get_secret_value()
    narrow = (await issue(people, owner, ApiScope.READ_RISK)).key.get_secret_value()
    async with people.client() as client:
        for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}):
            assert (await client.get("/drivers/DRV001", headers=headers)).status_code == 200
        headers = {"X-API-Key": key}
        assert (await client.patch("/drivers/DRV001", json={"phone": "1"}, headers=headers)).status_code == 403
        assert (await client.delete("/drivers/DRV001", headers=headers)).status_code == 403
        assert (await client.get("/drivers/DRV001", headers={"X-API-Key": narrow})).status_code == 403
        assert (await client.get("/admin/users", headers=headers)).status_code == 403
        for path in ("/auth/sessions", "/auth/api-keys"):
            assert (await client.get(path, headers=headers)).status_code == 403, "for people only"
        refused = await client.get("/drivers/DRV001", headers={"X-API-Key": "aik_" + "A" * 43})
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_api_key")


async def test_a_drivers_key_reaches_its_own_driver_alone(people: People) -> None:
    async with people.client(await people.token("driver0001", "password0001")) as client:
        body = {"name": "my app", "scopes": ["read:drivers", "read:drivers"], "expires_in_days": 7}
        made = await client.post("/auth/api-keys", json=body)
        assert made.status_code == 201
        assert (made.json()["scopes"], made.json()["prefix"]) == (["read:drivers"], made.json()["key"][:10])
        wrong = await client.post("/auth/api-keys", json={**body, "scopes": ["read:drivers", "write:webhooks"]})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "scopes.1")
        assert (await client.post("/auth/api-keys", json={**body, "scopes": ["admin"]})).status_code == 422
        listed = (await client.get("/auth/api-keys")).json()
        assert (listed["total"], "key" in listed["items"][0]) == (1, False)
        headers = {"X-API-Key": made.json()["key"]}
        async with people.client() as bare:
            assert (await bare.get("/drivers/me", headers=headers)).json()["driver_id"] == "DRV001"
            assert (await bare.get("/drivers/DRV002", headers=headers)).status_code == 404
            async with people.client(await people.token("driver0002", "password0002")) as other:
                assert (await other.delete(f"/auth/api-keys/{made.json()['key_id']}")).status_code == 404
            ended = await client.delete(f"/auth/api-keys/{made.json()['key_id']}")
            assert ended.json()["revoked_at"] is not None
            assert (await client.delete(f"/auth/api-keys/{made.json()['key_id']}")).json() == ended.json()
            assert (await bare.get("/drivers/me", headers=headers)).status_code == 401


async def test_keys_expire_and_only_their_hash_is_kept(people: People) -> None:
    issued = await issue(people, await integration(people), ApiScope.READ_RISK, days=1)
    key = issued.key.get_secret_value()
    assert key not in repr(issued)
    async with people.db.read() as uow:
        stored = str((await uow.conn.execute(text("SELECT * FROM api_keys"))).all())
    assert key[10:] not in stored
    at = clock.now()
    with clock.use_clock(clock.FrozenClock(at)) as frozen:
        assert isinstance(frozen, clock.FrozenClock)
        await people.auth.authenticate(key)
        frozen.set(at + timedelta(days=1))
        with pytest.raises(InvalidApiKey):
            await people.auth.authenticate(key)


async def test_the_last_use_is_written_beside_the_requests(people: People) -> None:
    keys, owner = people.auth.api_keys, await integration(people)
    issued = await issue(people, owner, ApiScope.READ_RISK)
    for _ in range(5):
        await keys.check(issued.key.get_secret_value())

    async def last_use() -> object:
        async with people.db.read() as uow:
            return (await keys.listed(uow, owner.user_id, limit=1))[0][0].last_used_at

    assert await last_use() is None
    stop = asyncio.Event()
    running = asyncio.create_task(keys.run(stop))
    stop.set()
    await running
    assert await last_use() is not None
    assert await keys.flush() == 0


async def test_staff_make_keys_for_integrations_only_and_end_anybodys(people: People) -> None:
    owner = await integration(people)
    async with people.client(await people.token("admin", "admin123")) as client:
        body = {"name": "claims", "scopes": ["read:claims", "write:claims"]}
        made = await client.post(f"/admin/users/{owner.user_id}/api-keys", json=body)
        assert made.status_code == 201
        me = (await client.get("/auth/me")).json()
        assert (await client.post(f"/admin/users/{me['user_id']}/api-keys", json=body)).status_code == 403
        listed = await client.get(f"/admin/users/{owner.user_id}/api-keys")
        assert [item["name"] for item in listed.json()["items"]] == ["claims"]
        assert (await client.delete(f"/admin/api-keys/{made.json()['key_id']}")).status_code == 200
        assert (await client.delete(f"/admin/api-keys/{owner.user_id}")).status_code == 404
        assert (await client.post(f"/admin/users/{owner.user_id}/password-reset")).status_code == 403
    with pytest.raises(InvalidApiKey):
        await people.auth.authenticate(made.json()["key"])
    async with people.client() as client:
        login = await client.post("/auth/login", json={"username": "erp", "password": "!never"})
    assert login.status_code == 401


async def test_an_account_has_so_many_keys(people: People) -> None:
    owner = await integration(people)
    people.auth.api_keys._options = type(people.auth.api_keys._options)(per_account=2)
    for _ in range(2):
        await issue(people, owner, ApiScope.READ_RISK)
    with pytest.raises(Exception, match="at most 2"):
        await issue(people, owner, ApiScope.READ_RISK)
