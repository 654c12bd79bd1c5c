"""The commit that publishes wakes the sequencer, in this process and in others, whichever engine runs."""

from __future__ import annotations

import asyncio
from typing import Any, cast
from uuid import UUID

import pytest
from sqlalchemy import func, select

from auto_insurance.contracts import topics
from auto_insurance.infra.bus.outbox_relay import OutboxRelay, RelayOptions
from auto_insurance.infra.bus.postgres import PostgresLog
from auto_insurance.infra.bus.postgres.outbox_news import OutboxNews
from auto_insurance.infra.bus.protocol import EventLog
from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.db.outbox import outbox
from auto_insurance.infra.db.uow import Database
from tests.support.scoring import trip_event

SLEEPY = RelayOptions(poll_first_s=60.0, poll_most_s=60.0)


async def _emptied(db: Database) -> None:
    async def left() -> int:
        async with db.read() as uow:
            return int((await uow.conn.execute(select(func.count()).select_from(outbox))).scalar_one())

    async with asyncio.timeout(20):
        while await left():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("shares_the_log", [True, False], ids=["postgres", "kafka"])
async def test_a_relay_that_hardly_polls_is_woken_by_another_process(
    database_url: str, db: Database, shares_the_log: bool
) -> None:
    """With Kafka the news has connections of its own; the log of this test is in PostgreSQL all the same."""
    log, writers_log = PostgresLog(database_url), PostgresLog(database_url)
    await log.ensure_topics(topics.ALL)
    foreign = cast("EventLog", cast("Any", object()))
    reader = OutboxNews(database_url, log if shares_the_log else foreign)
    writer = OutboxNews(database_url, writers_log if shares_the_log else foreign)
    publisher = Database(create_engine(EngineOptions(url=database_url, pool_size=1)))
    publisher.on_published = writer.written
    stop = asyncio.Event()
    relay = asyncio.create_task(OutboxRelay(db, log, SLEEPY, wake=reader.subscribe()).run(stop))
    await asyncio.sleep(0.5)  # it looked once, found nothing and sleeps
    for number in range(3):
        async with publisher.begin() as uow:
            uow.publish(topics.TRIPS, trip_event("trip.completed", UUID(int=number), "DRV001"))
        await _emptied(db)
    stop.set()
    await asyncio.wait_for(relay, 10)
    assert sum((await log.end_offsets(topics.TRIPS)).values()) == 3
    for closing in (reader, writer, log, writers_log):
        await closing.close()
    await publisher.dispose()


async def test_only_commits_that_published_are_told(database_url: str) -> None:
    database = Database(create_engine(EngineOptions(url=database_url, pool_size=1)))
    told: list[None] = []
    database.on_published = lambda: told.append(None)
    async with database.begin():
        pass
    with pytest.raises(RuntimeError):
        async with database.begin() as uow:
            uow.publish(topics.TRIPS, trip_event("trip.completed", UUID(int=1), "DRV001"))
            await uow.flush_events()
            raise RuntimeError
    assert told == []
    async with database.begin() as uow:
        uow.publish(topics.TRIPS, trip_event("trip.completed", UUID(int=1), "DRV001"))
    assert told == [None]
    await database.dispose()
