from __future__ import annotations

import asyncio
import threading

import pytest

from auto_insurance.identity.errors import CredentialsUnavailable, WeakPassword
from auto_insurance.identity.password_rules import COMMON, MIN_LENGTH, check_password_rules
from auto_insurance.identity.passwords import NEVER_PASSWORD, NO_PASSWORD, HashOptions, Passwords

CHEAP = HashOptions(time_cost=1, memory_kib=64)


async def test_verifies_what_it_hashed() -> None:
    passwords = Passwords(CHEAP)
    hashed = await passwords.hash("correct horse battery")
    assert hashed.startswith("$argon2id$")
    assert await passwords.verify(hashed, "correct horse battery")
    assert not await passwords.verify(hashed, "Correct horse battery")
    assert not await passwords.verify("not a hash", "correct horse battery")
    for none in (NO_PASSWORD, NEVER_PASSWORD):
        assert not await passwords.verify(none, none)
        assert not await passwords.verify(none, "nobody has this password")
    assert passwords.may_be_set(NO_PASSWORD)
    assert not passwords.may_be_set(NEVER_PASSWORD)
    assert await passwords.verify(await passwords.hash("é" * 10), "e\u0301" * 10)
    passwords.close()


async def test_an_unknown_user_costs_the_same_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords(CHEAP)
    seen: list[str] = []
    verify = passwords._verify

    def spy(password_hash: str, password: str) -> bool:
        seen.append(password_hash.rsplit("$", 2)[0])
        return verify(password_hash, password)

    monkeypatch.setattr(passwords, "_verify", spy)
    assert not await passwords.verify(None, "nobody has this password")
    assert not await passwords.verify(await passwords.hash("something"), "else")
    assert seen[0] == seen[1], "the same work at the same cost"
    passwords.close()


async def test_outdated_hashes_are_known() -> None:
    old, new = Passwords(CHEAP), Passwords(HashOptions(time_cost=2, memory_kib=64))
    hashed = await old.hash("x")
    assert not old.is_outdated(hashed)
    assert new.is_outdated(hashed)


async def test_the_pool_is_bounded_in_queue_and_time() -> None:
    passwords = Passwords(HashOptions(time_cost=1, memory_kib=64, workers=1, queue=1, timeout_s=0.05))
    gate = threading.Event()
    waiting = [asyncio.create_task(passwords._run(lambda: gate.wait(5))) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(CredentialsUnavailable):
        await passwords.hash("one too many")
    for task in waiting:
        with pytest.raises(CredentialsUnavailable):
            await task
    gate.set()
    for _ in range(100):
        if passwords._pending == 0:
            break
        await asyncio.sleep(0.01)
    assert await passwords.hash("room again")
    passwords.close()
    with pytest.raises(CredentialsUnavailable):
        await passwords.hash("closed")
    assert passwords._pending == 0


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "eleven long",
        "a" * 300,
        "aaaaaaaaaaaa",
        "Driver0001xy",
        "driver0001xy!!",
        "me@example.com",
        "Password2024!",
        "WELCOME 1234567",
        "1234567890123",
        "2026-12-01-2026",
        "QwertyUiop12",
        "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44",
    ],
)
def test_weak_passwords(password: str) -> None:
    with pytest.raises(WeakPassword) as caught:
        check_password_rules(password, username="driver0001xy", email="me@example.com", field="new_password")
    assert [error.field for error in caught.value.errors] == ["new_password"]


@pytest.mark.parametrize("password", sorted(COMMON))
def test_none_of_the_commonest(password: str) -> None:
    with pytest.raises(WeakPassword):
        check_password_rules(password.ljust(MIN_LENGTH, "0"), username="somebody")


def test_a_good_password() -> None:
    check_password_rules("correct horse", username="driver0001")
