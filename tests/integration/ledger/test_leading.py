"""The scheduler leads for as long as its work takes, however long that is."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from auto_insurance.entrypoints import scheduler
from auto_insurance.infra.db.locks import leading
from auto_insurance.infra.db.uow import Database


async def test_the_leader_is_not_ended_for_doing_nothing(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "PULSE_S", 0.05)
    done: list[bool] = []

    async def work() -> None:
        await asyncio.sleep(0.4)
        async with leading(db, "billing") as other:
            done.append(other is None)

    async with leading(db, "billing") as uow:
        assert uow is not None
        await uow.conn.execute(text("SET LOCAL idle_in_transaction_session_timeout = '200ms'"))
        await scheduler.led(uow, work())
    assert done == [True], "nobody else led meanwhile"


async def test_what_fails_is_told(db: Database) -> None:
    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        async with leading(db, "billing") as uow:
            assert uow is not None
            await scheduler.led(uow, work())


async def test_work_ends_with_the_leader(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "PULSE_S", 0.05)
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    async def lead() -> None:
        async with leading(db, "billing") as uow:
            assert uow is not None
            await scheduler.led(uow, work())

    task = asyncio.create_task(lead())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
