"""Sessions that people see and end, and what other instances see of it."""

from __future__ import annotations

import asyncio

import pytest

from auto_insurance.identity.errors import InvalidApiKey, InvalidRefreshToken, InvalidToken, TooManyAttempts
from auto_insurance.identity.schemas import ApiScope, NewApiKey, NewUser, Role
from auto_insurance.identity.service import ApiKeyOptions, GuardOptions, SessionOptions, UserAdmin
from tests.support.people import People, make_people


async def test_one_sees_and_ends_own_sessions_and_nobody_elses(people: People) -> None:
    tokens = await people.auth.login("driver0001", "password0001", address="a", client="phone " + "x" * 300)
    second = await people.auth.login("driver0001", "password0001", address="a", client="laptop")
    other = await people.auth.login("driver0002", "password0002", address="a")
    async with people.client(tokens.access_token) as client, people.client(other.access_token) as stranger:
        listed = (await client.get("/auth/sessions")).json()["items"]
        assert {(one["client"][:6], one["current"], one["method"]) for one in listed} == {
            ("phone ", True, "password"),
            ("laptop", False, "password"),
        }
        assert all(len(one["client"]) <= 200 and one["last_used_at"] for one in listed)
        laptop = next(one["session_id"] for one in listed if one["client"] == "laptop")
        assert (await stranger.delete(f"/auth/sessions/{laptop}")).status_code == 404
        await people.auth.authenticate(second.access_token)
        assert (await client.delete(f"/auth/sessions/{laptop}")).json() == {"ended": 1}
        assert (await client.delete(f"/auth/sessions/{laptop}")).status_code == 404
        with pytest.raises(InvalidToken):
            await people.auth.authenticate(second.access_token)
        with pytest.raises(InvalidRefreshToken):
            await people.auth.refresh(second.refresh_token)
        assert (await client.delete("/auth/sessions")).json() == {"ended": 1}
        assert (await client.get("/auth/sessions")).status_code == 401
        assert (await stranger.get("/auth/me")).status_code == 200


async def test_of_many_refreshes_at_once_one_wins_and_the_session_ends(people: People) -> None:
    first = await people.auth.login("driver0001", "password0001", address="a")
    results = await asyncio.gather(
        *(people.auth.refresh(first.refresh_token) for _ in range(8)), return_exceptions=True
    )
    won = [result for result in results if not isinstance(result, BaseException)]
    assert len(won) == 1
    assert all(isinstance(result, InvalidRefreshToken) for result in results if result is not won[0])
    with pytest.raises(InvalidRefreshToken):
        await people.auth.refresh(won[0].refresh_token)
    with pytest.raises(InvalidToken):
        await people.auth.authenticate(won[0].access_token)


async def test_a_refresh_of_a_closed_account_is_no_theft(people: People) -> None:
    tokens = await people.auth.login("driver0001", "password0001", address="a")
    admin = people.get(UserAdmin)
    user_id = (await people.auth.authenticate(tokens.access_token)).user_id
    async with people.db.begin() as uow:
        await uow.conn.exec_driver_sql("UPDATE users SET is_active = false WHERE username = 'driver0001'")
    with pytest.raises(InvalidRefreshToken):
        await people.auth.refresh(tokens.refresh_token)
    async with people.db.begin() as uow:
        await admin.change(uow, user_id, {"is_active": True})
    assert (await people.auth.refresh(tokens.refresh_token)).access_token


async def test_another_instance_sees_what_ended_within_its_second(people: People) -> None:
    """Session, role, account and API key, each changed here and looked at there."""
    there = make_people(people.db, sessions=SessionOptions(check_ttl_s=0.05), api_keys=ApiKeyOptions(check_ttl_s=0.05))
    admin = people.get(UserAdmin)
    async with people.db.begin() as uow:
        service = await admin.create(uow, NewUser(username="erp", roles=frozenset({Role.SERVICE})), None)
        new = NewApiKey(name="erp", scopes=(ApiScope.READ_RISK,), expires_in_days=1)
        issued = await people.auth.api_keys.issue(uow, service, new, service.user_id)
    key = issued.key.get_secret_value()
    tokens = await people.auth.login("driver0001", "password0001", address="a")
    second = await people.auth.login("driver0001", "password0001", address="a")
    person = await there.auth.authenticate(tokens.access_token)
    assert (await there.auth.authenticate(key)).scopes == frozenset({"read:risk"})
    async with people.db.begin() as uow:
        await admin.change(uow, person.user_id, {"roles": frozenset({Role.AUDITOR})})
        await people.auth.api_keys.revoke(uow, issued.facts.key_id)
    await asyncio.sleep(0.06)
    assert (await there.auth.authenticate(tokens.access_token)).roles == {"auditor"}
    with pytest.raises(InvalidApiKey):
        await there.auth.authenticate(key)
    assert person.session_id is not None
    async with people.db.begin() as uow:
        await people.auth.sessions.end_own(uow, person.user_id, person.session_id)
    await asyncio.sleep(0.06)
    with pytest.raises(InvalidToken):
        await there.auth.authenticate(tokens.access_token)
    await there.auth.authenticate(second.access_token)
    async with people.db.begin() as uow:
        await admin.close(uow, person.user_id)
    await asyncio.sleep(0.06)
    with pytest.raises(InvalidToken):
        await there.auth.authenticate(second.access_token)
    there.passwords.close()


async def test_many_addresses_do_not_guess_one_account_but_its_own_gets_in(people: People) -> None:
    guarded = make_people(people.db, guard=GuardOptions(account=((6, 60.0),), address=(100, 60.0)))
    await guarded.auth.login("driver0001", "password0001", address="home")
    for number in range(6):
        with pytest.raises(Exception, match=r"wrong|Too many"):
            await guarded.auth.login("driver0001", "guess", address=f"10.0.0.{number}")
    with pytest.raises(TooManyAttempts) as caught:
        await guarded.auth.login("driver0001", "password0001", address="10.0.0.99")
    assert 1 <= (caught.value.retry_after_s or 0) <= 60
    await guarded.auth.login("driver0001", "password0001", address="home")
    await guarded.auth.guard.unlock("DRIVER0001")
    await guarded.auth.login("driver0001", "password0001", address="10.0.0.99")
    guarded.passwords.close()


async def test_one_address_does_not_try_all_accounts(people: People) -> None:
    guarded = make_people(people.db, guard=GuardOptions(address=(4, 60.0)))
    for number in range(4):
        with pytest.raises(Exception, match="wrong"):
            await guarded.auth.login(f"driver{number}", "Winter2026!!", address="10.0.0.1")
    with pytest.raises(TooManyAttempts):
        await guarded.auth.login("driver0001", "password0001", address="10.0.0.1")
    await guarded.auth.login("driver0001", "password0001", address="10.0.0.2")
    guarded.passwords.close()


async def test_a_hundred_right_passwords_a_minute_are_no_offence(people: People) -> None:
    for _ in range(100):
        await people.auth.login("driver0001", "password0001", address="1.2.3.4")
