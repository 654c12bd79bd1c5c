from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from auto_insurance.identity.errors import (
    BadCredentials,
    InvalidRefreshToken,
    InvalidToken,
    TooManyAttempts,
    UserExists,
)
from auto_insurance.identity.schemas import NewUser
from auto_insurance.identity.service import HashOptions, SessionOptions
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import clock
from tests.support.people import People, make_people


async def test_sign_in_and_me(people: People) -> None:
    async with people.client() as client:
        answer = await client.post("/auth/login", json={"username": "DRIVER0001", "password": "password0001"})
    body = answer.json()
    assert answer.status_code == 200
    assert (body["token_type"], body["expires_in"]) == ("bearer", 1800)
    async with people.client(body["access_token"]) as client:
        me = (await client.get("/auth/me")).json()
    assert set(me) == {"user_id", "username", "email", "driver_id", "roles", "is_active", "is_admin", "created_at"}
    assert (me["username"], me["driver_id"], me["roles"], me["is_admin"]) == ("driver0001", "DRV001", ["driver"], False)


async def test_unknown_user_and_wrong_password_answer_alike(people: People) -> None:
    async with people.client() as client:
        unknown = await client.post("/auth/login", json={"username": "nobody", "password": "password0001"})
        wrong = await client.post("/auth/login", json={"username": "driver0001", "password": "wrong"})
        nul = await client.post("/auth/login", json={"username": "a\x00b", "password": "wrong"})
    strip = {"request_id"}
    assert unknown.status_code == wrong.status_code == 401
    assert {k: v for k, v in unknown.json().items() if k not in strip} == {
        k: v for k, v in wrong.json().items() if k not in strip
    }
    assert nul.status_code == 422
    assert "wrong" not in nul.text.replace("field is wrong", "")


async def test_a_disabled_account_is_refused_everywhere(people: People) -> None:
    token = await people.token("driver0001", "password0001")
    async with people.db.begin() as uow:
        await uow.conn.execute(text("UPDATE users SET is_active = false WHERE username = 'driver0001'"))
    with pytest.raises(BadCredentials):
        await people.token("driver0001", "password0001")
    with pytest.raises(InvalidToken):
        await people.auth.authenticate(token)


async def test_failures_are_limited_and_successes_are_not(people: People) -> None:
    for _ in range(30):
        await people.auth.login("driver0001", "password0001", address="1.2.3.4")
    for _ in range(5):
        with pytest.raises(BadCredentials):
            await people.auth.login("driver0001", "wrong", address="1.2.3.4")
    with pytest.raises(TooManyAttempts) as caught:
        await people.auth.login("DRIVER0001", "password0001", address="1.2.3.4")
    assert 1 <= (caught.value.retry_after_s or 0) <= 60
    await people.auth.login("driver0001", "password0001", address="5.6.7.8")
    await people.auth.login("driver0002", "password0002", address="1.2.3.4")


async def test_guesses_at_the_same_time_do_not_slip_through(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    verify = people.passwords.verify

    async def right_one_last(password_hash: str | None, password: str) -> bool:
        right = await verify(password_hash, password)
        if right:
            await others
        return right

    monkeypatch.setattr(people.passwords, "verify", right_one_last)

    async def guess(password: str) -> object:
        return await people.auth.login("driver0001", password, address="1.2.3.4")

    last = asyncio.create_task(guess("password0001"))
    others = asyncio.gather(*(guess(f"guess{n}") for n in range(20)), return_exceptions=True)
    results = await others
    assert sum(isinstance(r, BadCredentials) for r in results) == 5
    assert sum(isinstance(r, TooManyAttempts) for r in results) == 15
    with pytest.raises(TooManyAttempts):
        await last


async def test_the_limit_answers_429(people: People) -> None:
    async with people.client() as client:
        for _ in range(6):
            answer = await client.post("/auth/login", json={"username": "nobody", "password": "wrong"})
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1


async def test_refresh_rotates_and_reuse_ends_the_session(people: People) -> None:
    first = await people.auth.login("driver0001", "password0001", address="a")
    other = await people.auth.login("driver0001", "password0001", address="a")
    second = await people.auth.refresh(first.refresh_token)
    assert second.refresh_token != first.refresh_token
    await people.auth.authenticate(second.access_token)
    with pytest.raises(InvalidRefreshToken):
        await people.auth.refresh(first.refresh_token)
    for token in (first, second):
        with pytest.raises(InvalidToken):
            await people.auth.authenticate(token.access_token)
        with pytest.raises(InvalidRefreshToken):
            await people.auth.refresh(token.refresh_token)
    await people.auth.authenticate(other.access_token)


async def test_two_refreshes_at_once_give_one_token(people: People) -> None:
    first = await people.auth.login("driver0001", "password0001", address="a")
    both = await asyncio.gather(
        people.auth.refresh(first.refresh_token), people.auth.refresh(first.refresh_token), return_exceptions=True
    )
    assert sorted(isinstance(result, InvalidRefreshToken) for result in both) == [False, True]


async def test_refresh_tokens_and_sessions_end(db: Database) -> None:
    people = make_people(db, sessions=SessionOptions(refresh_ttl=timedelta(days=2), lifetime=timedelta(days=3)))
    await people.seed()
    at = clock.now()
    with clock.use_clock(clock.FrozenClock(at)) as frozen:
        assert isinstance(frozen, clock.FrozenClock)
        tokens = await people.auth.login("driver0001", "password0001", address="a")
        frozen.set(at + timedelta(days=1.9))
        tokens = await people.auth.refresh(tokens.refresh_token)
        frozen.set(at + timedelta(days=3, seconds=1))
        with pytest.raises(InvalidRefreshToken):
            await people.auth.refresh(tokens.refresh_token)
        frozen.set(at + timedelta(days=5))
        async with db.begin() as uow:
            assert await people.auth.purge_expired(uow) == 1
            assert await people.auth.purge_expired(uow) == 0


async def test_logout_ends_the_session_elsewhere_within_a_second(people: People) -> None:
    elsewhere = make_people(people.db, sessions=SessionOptions(check_ttl_s=0.05))
    tokens = await people.auth.login("driver0001", "password0001", address="a")
    await elsewhere.auth.authenticate(tokens.access_token)
    async with people.client() as client:
        for token in (tokens.refresh_token, "unknown"):
            answer = await client.post("/auth/logout", json={"refresh_token": token})
            assert answer.json() == {"status": "logged_out"}
    with pytest.raises(InvalidToken):
        await people.auth.authenticate(tokens.access_token)
    await asyncio.sleep(0.06)
    with pytest.raises(InvalidToken):
        await elsewhere.auth.authenticate(tokens.access_token)


async def test_a_session_is_checked_once_a_second_however_many_ask(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await people.token("driver0001", "password0001")
    fetches = 0
    together = people.auth.sessions._fetches
    fetch = together._fetch

    async def counted(session_ids: Sequence[UUID]) -> Mapping[UUID, Any]:
        nonlocal fetches
        fetches += 1
        return await fetch(session_ids)

    monkeypatch.setattr(together, "_fetch", counted)
    await asyncio.gather(*(people.auth.authenticate(token) for _ in range(50)))
    await people.auth.authenticate(token)
    assert fetches == 1


async def test_register_gives_no_role_and_names_what_is_taken(people: People) -> None:
    new = {"username": "Newcomer", "email": "New@example.com", "password": "correct horse"}
    async with people.client() as client:
        created = await client.post("/auth/register", json=new)
        role = await client.post("/auth/register", json={**new, "roles": ["admin"]})
        same_name = await client.post("/auth/register", json={**new, "username": "NEWCOMER", "email": "b@example.com"})
        same_mail = await client.post("/auth/register", json={**new, "username": "other", "email": "NEW@EXAMPLE.com"})
        weak = await client.post("/auth/register", json={**new, "username": "other", "password": "aaaaaaaaaaaa"})
    assert (created.status_code, created.json()["roles"], created.json()["is_admin"]) == (201, [], False)
    assert role.status_code == 422
    assert (same_name.status_code, same_name.json()["errors"][0]["field"]) == (409, "username")
    assert (same_mail.status_code, same_mail.json()["errors"][0]["field"]) == (409, "email")
    assert (weak.status_code, weak.json()["code"]) == (422, "weak_password")


async def test_hashes_of_another_cost_are_renewed_at_the_sign_in(people: People) -> None:
    later = make_people(people.db, hashes=HashOptions(time_cost=2, memory_kib=64))
    await later.token("driver0001", "password0001")
    async with people.db.read() as uow:
        found = await uow.conn.execute(text("SELECT password_hash FROM users WHERE username = 'driver0001'"))
        assert not later.passwords.is_outdated(found.scalar_one())
    await later.token("driver0001", "password0001")


async def test_accounts_that_operators_make(people: People) -> None:
    async with people.db.begin() as uow:
        assert (await people.users.create_admin(uow, "root", "correct horse")).roles == {"admin"}
        before = await people.users.ensure_user(uow, NewUser(username="ADMIN"), "ignored")
        assert before.username == "admin"
        linked = await people.users.link_driver(uow, "root", "DRV001")
        assert linked is not None
        assert linked.roles == {"admin", "driver"}
        assert await people.users.link_driver(uow, "nobody", "DRV001") is None
        await people.users.create(uow, NewUser(username="mail1", email="x@example.com"), "correct horse")
    with pytest.raises(UserExists):
        async with people.db.begin() as uow:
            await people.users.ensure_user(uow, NewUser(username="mail2", email="X@example.com"), "password")
    assert (await people.auth.authenticate(await people.token("root", "correct horse"))).is_admin


@pytest.mark.parametrize("header", [None, "Bearer x.y.z", "Basic abc"])
async def test_without_a_token_there_is_no_me(people: People, header: str | None) -> None:
    async with people.client() as client:
        answer = await client.get("/auth/me", headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
