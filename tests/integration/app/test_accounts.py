from __future__ import annotations

import asyncio

import pytest

from auto_insurance.bootstrap import Container
from auto_insurance.entrypoints import accounts
from auto_insurance.identity.schemas import NewUser, Role
from auto_insurance.identity.service import UserService
from auto_insurance.kernel.errors import AppError
from tests.support.product import client_of, product


async def sign_in(container: Container, username: str, password: str) -> int:
    async with client_of(container) as client:
        answer = await client.post("/auth/login", json={"username": username, "password": password})
    return answer.status_code


@pytest.fixture(autouse=True)
def small_fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are dear to hash."""
    monkeypatch.setattr(accounts, "DEMO_DRIVERS", 2)


async def test_the_demos_people_can_sign_in_and_are_enrolled_once(database_url: str) -> None:
    async with product(database_url, DEMO_MODE=True) as container:
        await accounts.prepare(container, asyncio.Event())
        await accounts.prepare(container, asyncio.Event())
        assert await sign_in(container, "admin", "admin123") == 200
        assert await sign_in(container, *accounts.demo_login(1)) == 200
        async with client_of(container, admin=True) as client:
            for number in (1, 2):
                summary = (await client.get(f"/drivers/DRV{number:03d}/summary")).json()
                assert "(simulated)" in summary["full_name"]
                assert summary["monthly_premium"] > 0
            assert (await client.get("/drivers/DRV003")).status_code == 404


async def test_without_demo_mode_the_demos_accounts_are_shut_and_come_back(database_url: str) -> None:
    async with product(database_url, DEMO_MODE=True) as container:
        await accounts.prepare(container, asyncio.Event())
    async with product(database_url) as container:
        await accounts.prepare(container, asyncio.Event())
        assert await sign_in(container, "admin", "admin123") == 401
        assert await sign_in(container, *accounts.demo_login(1)) == 401
    async with product(database_url, DEMO_MODE=True) as container:
        await accounts.prepare(container, asyncio.Event())
        assert await sign_in(container, "admin", "admin123") == 200


async def test_without_demo_mode_nobody_is_made(database_url: str) -> None:
    async with product(database_url) as container:
        await accounts.prepare(container, asyncio.Event())
        assert await sign_in(container, "admin", "admin123") == 401
        async with client_of(container, admin=True) as client:
            assert (await client.get("/drivers/DRV001")).status_code == 404


async def test_the_first_admin_comes_from_the_settings_and_stays(database_url: str) -> None:
    async with product(database_url, ADMIN_PASSWORD="the-first-password") as container:
        await accounts.prepare(container, asyncio.Event())
        assert await sign_in(container, "admin", "the-first-password") == 200
    async with product(database_url, ADMIN_PASSWORD="another-password") as container:
        await accounts.prepare(container, asyncio.Event())
        assert await sign_in(container, "admin", "another-password") == 401
        assert await sign_in(container, "admin", "the-first-password") == 200


async def test_an_account_that_exists_is_left_as_it_is(database_url: str) -> None:
    """Somebody's own `admin` is not handed to whoever knows the demo's password."""
    async with product(database_url, DEMO_MODE=True) as container:
        async with container.database.begin() as uow:
            own = NewUser(username="admin", roles=frozenset({Role.ADMIN}))
            await container.get(UserService).ensure_user(uow, own, "a-password-of-mine")
        await accounts.prepare(container, asyncio.Event())
        assert await sign_in(container, "admin", "admin123") == 401
        assert await sign_in(container, "admin", "a-password-of-mine") == 200


async def test_preparing_waits_for_the_database_and_gives_up_on_what_waiting_does_not_mend(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    failures: list[Exception] = [ConnectionRefusedError("no database yet"), AppError("the rules say no")]

    async def failing(container: Container) -> None:
        calls.append("prepare")
        raise failures.pop(0)

    monkeypatch.setattr(accounts, "_prepare", failing)
    monkeypatch.setattr(accounts, "RETRY_S", 0.01)
    async with product(database_url) as container:
        await accounts.prepare(container, asyncio.Event())
        assert len(calls) == 2
        failures.append(ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            await accounts.prepare(container, asyncio.Event())
        stop = asyncio.Event()
        stop.set()
        await accounts.prepare(container, stop)
    assert len(calls) == 3
