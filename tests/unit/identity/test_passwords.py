from __future__ import annotations

import asyncio
import threading

import pytest

from auto_insurance.identity.errors import CredentialsUnavailable, WeakPassword
from auto_insurance.identity.passwords import HashOptions, Passwords, check_password_rules

CHEAP = HashOptions(time_cost=1, memory_kib=64)


async def test_verifies_what_it_hashed() -> None:
    passwords = Passwords(CHEAP)
    hashed = await passwords.hash("correct horse battery")
    assert hashed.startswith("$argon2id$")
    assert await passwords.verify(hashed, "correct horse battery")
    assert not await passwords.verify(hashed, "Correct horse battery")
    assert not await passwords.verify("not a hash", "correct horse battery")
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


@pytest.mark.parametrize("password", ["short", "a" * 300, "aaaaaaaaaaaa", "Driver0001x", "me@example.com"])
def test_weak_passwords(password: str) -> None:
    with pytest.raises(WeakPassword):
        check_password_rules(password, username="driver0001x", email="me@example.com")


def test_a_good_password() -> None:
    check_password_rules("correct horse", username="driver0001")
