"""The runner's ways around faults: wait, split, give up on one record, stop in time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg
import pytest
from sqlalchemy import text

from auto_insurance.contracts.topics import TELEMATICS_EVENTS
from auto_insurance.infra import metrics
from auto_insurance.infra.bus.deadletters import list_dead_letters
from auto_insurance.infra.bus.handler import Batch
from auto_insurance.infra.bus.health import ConsumerBehind, ConsumerHealth, EventLogHealth
from auto_insurance.infra.bus.postgres import PostgresLog
from auto_insurance.infra.bus.protocol import NewRecord, TopicPartition
from auto_insurance.infra.bus.runner import Runner, RunnerOptions
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel.outcome import Ok, Outcome, Retry
from tests.conformance.conftest import eventually, running
from tests.conformance.effects import GROUP, Effects, effects, in_order_once


class Moody(Effects):
    """Fails in a way of its own the first times it is called."""

    def __init__(self, moods: Sequence[str]) -> None:
        super().__init__([TELEMATICS_EVENTS])
        self.moods = list(moods)
        self.tick_error: Exception | None = None
        self.sizes: list[int] = []

    async def handle(self, uow: UnitOfWork, batch: Batch) -> Sequence[Outcome[None]]:
        self.sizes.append(len(batch.records))
        outcomes = list(await super().handle(uow, batch))
        mood = self.moods.pop(0) if self.moods else "fine"
        if mood == "retry":
            return [*outcomes[:-1], Retry("not yet")]
        if mood == "short":
            return [*outcomes, Ok(None)]
        if mood == "away":
            raise ConnectionResetError
        if mood == "slow":
            await uow.conn.execute(text("SET LOCAL statement_timeout = 20"))
            await uow.conn.execute(text("SELECT pg_sleep(1)"))
        return outcomes

    async def tick(self, uow: UnitOfWork, caught_up: Mapping[TopicPartition, datetime]) -> None:
        await super().tick(uow, caught_up)
        if self.tick_error is not None:
            raise self.tick_error


async def send(log: PostgresLog, first: int, past: int) -> list[tuple[str, str]]:
    pairs = [("dev-1", f"{i}") for i in range(first, past)]
    await log.append([NewRecord(TELEMATICS_EVENTS, key, value.encode()) for key, value in pairs])
    return pairs


async def stored(db: Database, number: int) -> bool:
    return len(await effects(db)) >= number


@pytest.mark.parametrize(
    "moods",
    [["retry", "retry"], ["away"], ["slow"], ["short"], ["slow", "slow", "slow", "slow"], ["short", "short"]],
)
async def test_every_mood_passes(log: PostgresLog, effects_db: Database, moods: list[str]) -> None:
    sent = await send(log, 0, 8)
    handler = Moody(moods)
    async with running(effects_db, log, handler, backoff_first_s=0.01):
        await eventually(lambda: stored(effects_db, 8))
    in_order_once(await effects(effects_db), sent)
    async with effects_db.read() as uow:
        assert await list_dead_letters(uow) == ([], 0)
    assert handler.rollbacks >= len(moods)


async def test_a_failing_tick_does_not_stop_the_consumer(log: PostgresLog, effects_db: Database) -> None:
    handler = Moody([])
    handler.tick_error = ValueError("no")
    async with running(effects_db, log, handler):
        await send(log, 0, 3)
        await eventually(lambda: stored(effects_db, 3))
        seen = len(handler.ticks)
        await eventually(lambda: _longer(handler, seen + 1))
        handler.tick_error = ConnectionResetError()
        await eventually(lambda: _longer(handler, seen + 3))
        handler.tick_error = None
        await send(log, 3, 6)
        await eventually(lambda: stored(effects_db, 6))


async def test_a_batch_that_does_not_end_is_cut_at_the_drain_time(log: PostgresLog, effects_db: Database) -> None:
    await send(log, 0, 3)
    handler = Effects([TELEMATICS_EVENTS], sleep_s=60.0)
    stop = asyncio.Event()
    options = RunnerOptions(drain_timeout_s=0.5, poll_timeout_s=0.1)
    task = asyncio.create_task(Runner(effects_db, log, handler, options).run(stop))
    await eventually(lambda: _entered(log))
    await asyncio.sleep(0.3)
    stop.set()
    await asyncio.wait_for(task, 5)
    assert await effects(effects_db) == []
    async with running(effects_db, log, Effects([TELEMATICS_EVENTS])):
        await eventually(lambda: stored(effects_db, 3))


async def test_health_knows_the_consumers_of_other_processes(log: PostgresLog, effects_db: Database) -> None:
    check = ConsumerHealth(effects_db, GROUP, max_lag_s=5)
    with pytest.raises(ConsumerBehind):
        await check.check()
    await EventLogHealth(log).check()
    committed: list[int] = []
    handler = Effects([TELEMATICS_EVENTS])
    runner = Runner(
        effects_db,
        log,
        handler,
        RunnerOptions(poll_timeout_s=0.1, tick_interval_s=0.1, status_interval_s=0.1),
        on_commit=lambda: committed.append(1),
    )
    stop = asyncio.Event()
    task = asyncio.create_task(runner.run(stop))
    await send(log, 0, 3)
    await eventually(lambda: _healthy(check))
    lag = await check.lag()
    assert lag is not None
    assert lag.partitions == 12
    async with effects_db.begin() as uow:
        await uow.conn.execute(
            text("INSERT INTO consumer_status VALUES (:g, 'other', now(), 7, 60.0, 1)"), {"g": GROUP}
        )
    with pytest.raises(ConsumerBehind, match="60 s and"):
        await check.check()
    stop.set()
    await task
    assert committed
    gauge = {"topic": TELEMATICS_EVENTS, "consumer_group": GROUP}
    assert metrics.REGISTRY.get_sample_value("kafka_consumer_lag_seconds", gauge) is not None


async def test_a_consumer_waits_for_its_topics(database_url: str, effects_db: Database, log: PostgresLog) -> None:
    await log.delete_topic(TELEMATICS_EVENTS)
    handler = Effects([TELEMATICS_EVENTS])
    async with running(effects_db, log, handler, backoff_first_s=0.01, backoff_most_s=0.1):
        await asyncio.sleep(0.3)
        from auto_insurance.contracts import topics

        await log.ensure_topics(topics.ALL)
        await send(log, 0, 3)
        await eventually(lambda: stored(effects_db, 3))


async def test_a_silent_members_partitions_go_to_others(
    log: PostgresLog, effects_db: Database, database_url: str
) -> None:
    async with running(effects_db, log, Effects([TELEMATICS_EVENTS])) as runner:
        await eventually(lambda: _owns(runner, 12))
        conn = await asyncpg.connect(database_url)
        await conn.execute("DELETE FROM bus_members")  # as another member does when one falls silent
        await conn.close()
        await send(log, 0, 3)
        await eventually(lambda: stored(effects_db, 3))
    assert len(await effects(effects_db)) == 3


async def _longer(handler: Moody, number: int) -> bool:
    return len(handler.ticks) >= number


async def _entered(log: PostgresLog) -> bool:
    return sum((await log.end_offsets(TELEMATICS_EVENTS)).values()) == 3


async def _healthy(check: ConsumerHealth) -> bool:
    try:
        await check.check()
    except ConsumerBehind:
        return False
    return True


async def _owns(runner: Runner, number: int) -> bool:
    return runner.lag.partitions == number
