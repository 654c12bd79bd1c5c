"""Nothing ever fails for a missing partition."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from sqlalchemy import event, text

from auto_insurance.infra.db import partitions as months
from auto_insurance.infra.db.partitions import Month, create_month, ensure_months, month_of
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import clock
from auto_insurance.telematics import partitions
from auto_insurance.telematics.partitions import TABLE
from tests.integration.partitions.conftest import fill


async def test_writers_that_need_the_same_months_at_once(db: Database) -> None:
    wanted = [Month(1990, 2), Month(2019, 5), Month(2099, 12)]

    async def write(number: int) -> None:
        for month in wanted if number % 2 else reversed(wanted):
            await fill(db, month, first=number * 10 + 1, last=number * 10 + 10)

    async with asyncio.timeout(60):
        await asyncio.gather(*(write(number) for number in range(4)))
    async with db.read() as uow:
        count = text("SELECT tableoid::regclass::text, count(*) FROM telematics_events GROUP BY 1 ORDER BY 1")
        rows = [tuple(row) for row in await uow.conn.execute(count)]
    assert rows == [(f"telematics_events_{name}", 40) for name in ("1990_02", "2019_05", "2099_12")]


async def test_a_creator_that_is_held_up_waits_its_turn(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(months, "LOCK_WAIT", "50ms")
    async with db.begin() as uow:
        await uow.conn.execute(text("SELECT create_month_partition('telematics_events', '2018-01-01')"))
        waiting = asyncio.create_task(create_month(db, TABLE, Month(2018, 1)))
        await asyncio.sleep(0.3)
        assert not waiting.done()
    assert await waiting is False, "the other one made it"


async def test_a_writer_that_rolls_back_leaves_a_partition_and_no_false_memory(db: Database) -> None:
    month = month_of(clock.now()).plus(9)

    class Stop(Exception):
        pass

    with pytest.raises(Stop):
        async with db.begin() as uow:
            assert [one.name for one in await ensure_months(uow, TABLE, [month])]
            raise Stop
    async with db.begin() as uow:
        assert await ensure_months(uow, TABLE, [month]) == []
    await fill(db, month, last=3)


async def test_known_months_cost_no_query(db: Database) -> None:
    statements: list[str] = []
    event.listen(db.engine.sync_engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    times = np.array([clock.to_us(clock.now())] * 3)
    async with db.begin() as uow:
        assert await partitions.claim(uow, times) is None
        first = len(statements)
        assert await partitions.claim(uow, times) is None
        assert len(statements) == first
        assert await partitions.claim(uow, np.array([], np.int64)) is None


async def test_the_functions_by_their_old_names(db: Database) -> None:
    async with db.begin() as uow:
        call = uow.conn.scalar
        assert await call(text("SELECT create_partition_if_not_exists('2019-05-17')")) is True
        assert await call(text("SELECT create_partition_if_not_exists('2019-05-01')")) is False
        assert await call(text("SELECT create_next_month_partition()")) is False, "made at the migration"
        assert await call(text("SELECT create_partition_if_not_exists()")) is False
        await uow.conn.exec_driver_sql("ALTER TABLE telematics_events DETACH PARTITION telematics_events_2019_05")
        assert await call(text("SELECT create_partition_if_not_exists('2019-05-01')")) is True
        names = (await uow.conn.execute(text("SELECT partition FROM month_partitions('telematics_events')"))).scalars()
        assert "telematics_events_2019_05_n2" in set(names), "a table detached by hand keeps its name"
