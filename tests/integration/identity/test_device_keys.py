from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tools.routes import routes_of

from auto_insurance.identity.deps import DeviceOrDriver
from auto_insurance.identity.errors import CredentialsUnavailable, InvalidDeviceKey
from auto_insurance.identity.schemas import DevicePrincipal, IssuedKey, Scope
from auto_insurance.identity.service import DeviceKeyService, KeyOptions
from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.http.app import API_PREFIX
from auto_insurance.kernel import clock
from tests.support.people import People
from tests.support.statements import counted


async def issue(db: Database, keys: DeviceKeyService, *scopes: Scope) -> IssuedKey:
    async with db.begin() as uow:
        return await keys.issue(uow, "DEV001", scopes or [Scope.INGEST])


async def test_a_key_speaks_for_its_device(db: Database) -> None:
    keys = DeviceKeyService(db)
    issued = await issue(db, keys, Scope.INGEST, Scope.IMPORT)
    found = await keys.check(issued.key.get_secret_value())
    assert (found.device_id, found.driver_id, found.scopes) == ("DEV001", None, frozenset({"ingest", "import"}))
    assert issued.key.get_secret_value() not in repr(issued)
    for wrong in ("", "aik_", "aik_" + "A" * 43, issued.key.get_secret_value()[:-1]):
        with pytest.raises(InvalidDeviceKey):
            await keys.check(wrong)
    async with db.read() as uow:
        stored = str((await uow.conn.execute(text("SELECT * FROM device_keys"))).all())
    assert issued.key.get_secret_value()[4:] not in stored


async def test_a_cached_check_costs_microseconds(db: Database) -> None:
    keys = DeviceKeyService(db)
    key = (await issue(db, keys)).key.get_secret_value()
    await keys.check(key)
    began = time.perf_counter()
    for _ in range(2000):
        await keys.check(key)
    assert (time.perf_counter() - began) / 2000 < 200e-6


async def test_rotation_with_grace_and_revocation(db: Database) -> None:
    keys = DeviceKeyService(db)
    first = (await issue(db, keys, Scope.IMPORT)).key.get_secret_value()
    at = clock.now()
    with clock.use_clock(clock.FrozenClock(at)) as frozen:
        assert isinstance(frozen, clock.FrozenClock)
        async with db.begin() as uow:
            second = await keys.rotate(uow, "DEV001", grace_s=60)
        assert second.scopes == {"import"}
        await keys.check(first)
        await keys.check(second.key.get_secret_value())
        frozen.set(at + timedelta(seconds=61))
        with pytest.raises(InvalidDeviceKey):
            await keys.check(first)
        async with db.begin() as uow:
            assert await keys.revoke(uow, "DEV001") == 1
        with pytest.raises(InvalidDeviceKey):
            await keys.check(second.key.get_secret_value())
        async with db.begin() as uow:
            assert (await keys.rotate(uow, "DEV001")).scopes == {"ingest"}


async def test_a_revocation_elsewhere_is_seen_when_the_entry_is_no_longer_fresh(db: Database) -> None:
    here, there = DeviceKeyService(db, KeyOptions(fresh_s=0.05)), DeviceKeyService(db)
    key = (await issue(db, here)).key.get_secret_value()
    await here.check(key)
    async with db.begin() as uow:
        await there.revoke(uow, "DEV001")
    await asyncio.sleep(0.06)
    with pytest.raises(InvalidDeviceKey):
        await here.check(key)
    with pytest.raises(InvalidDeviceKey):
        await here.check(key)


async def test_known_keys_outlive_the_database_for_a_while(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = DeviceKeyService(db, KeyOptions(fresh_s=0.0, stale_s=0.3, retry_s=0.0))
    key = (await issue(db, keys)).key.get_secret_value()
    unseen = (await issue(db, keys)).key.get_secret_value()
    await keys.check(key)

    def away(*_: Any) -> Any:
        raise ConnectionRefusedError

    monkeypatch.setattr(db, "read", away)
    assert (await keys.check(key)).device_id == "DEV001"
    with pytest.raises(CredentialsUnavailable):
        await keys.check(unseen)
    await asyncio.sleep(0.31)
    with pytest.raises(CredentialsUnavailable):
        await keys.check(key)
    monkeypatch.undo()
    await keys.check(key)


async def test_other_faults_are_not_taken_for_an_outage(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = DeviceKeyService(db, KeyOptions(fresh_s=0.0))
    key = (await issue(db, keys)).key.get_secret_value()

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(db, "read", broken)
    with pytest.raises(ZeroDivisionError):
        await keys.check(key)


async def test_the_keys_of_a_fleet_are_looked_up_together(db: Database) -> None:
    keys = DeviceKeyService(db)
    issued = [(await issue(db, keys)).key.get_secret_value() for _ in range(8)]
    async with db.begin() as uow:
        await uow.conn.execute(
            text("UPDATE device_keys SET revoked_at = now() WHERE prefix = :p"), {"p": issued[0][:10]}
        )
    with counted(db) as log:
        found = await asyncio.gather(*(keys.check(key) for key in (*issued, "aik_wrong")), return_exceptions=True)
    assert [type(one) for one in found] == [InvalidDeviceKey, *[DevicePrincipal] * 7, InvalidDeviceKey]
    # The driver asks for the form of a type that it meets for the first time.
    assert len([sql for sql in log if "device_keys" in sql]) == 2, "one look, one note of their use"
    async with db.read() as uow:
        query = "SELECT count(*) FROM device_keys WHERE last_used_at IS NOT NULL"
        assert (await uow.conn.execute(text(query))).scalar_one() == 7
    with counted(db) as log:
        await asyncio.gather(*(keys.check(key) for key in issued[1:]))
    assert list(log) == []


async def test_use_is_noted_once_an_hour_and_never_in_the_way(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = DeviceKeyService(db, KeyOptions(fresh_s=0.0))
    key = (await issue(db, keys)).key.get_secret_value()
    begin = db.begin

    def away(*_: Any) -> Any:
        raise ConnectionRefusedError

    monkeypatch.setattr(db, "begin", away)
    await keys.check(key)
    monkeypatch.setattr(db, "begin", begin)
    await keys.check(key)
    monkeypatch.setattr(db, "begin", away)
    await keys.check(key)
    async with db.read() as uow:
        facts = await keys.facts(uow, ["DEV001", "DEV002"])
        assert await keys.facts(uow, []) == {}
    assert set(facts) == {"DEV001"}
    assert facts["DEV001"].last_used_at is not None


async def test_the_dependency_takes_a_key_or_a_drivers_token(people: People) -> None:
    issued = await issue(people.db, people.keys)

    @people.app.get("/api/v1/probe")
    async def probe(sender: DeviceOrDriver) -> dict[str, str | None]:
        return {"device_id": sender.device_id, "driver_id": sender.driver_id}

    driver = {"Authorization": f"Bearer {await people.token('driver0001', 'password0001')}"}
    admin = {"Authorization": f"Bearer {await people.token('admin', 'admin123')}"}
    key = {"X-Device-Key": issued.key.get_secret_value()}
    async with people.client() as client:
        assert (await client.get("/probe", headers=key)).json() == {"device_id": "DEV001", "driver_id": None}
        assert (await client.get("/probe", headers=driver)).json() == {"device_id": None, "driver_id": "DRV001"}
        assert (await client.get("/probe", headers=admin)).status_code == 403
        assert (await client.get("/probe")).status_code == 401
        assert (await client.get("/probe", headers={"X-Device-Key": "aik_x"} | driver)).status_code == 401


async def test_every_route_carries_a_rule_and_the_schemes_are_documented(people: People) -> None:
    for route in routes_of(people.app):
        assert route.rules or not route.path.startswith(API_PREFIX), route.path
    schemes = people.app.openapi()["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer"
