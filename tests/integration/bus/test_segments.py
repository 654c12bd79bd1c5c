"""Segments: rolled by age and size, read across, dropped only when nobody needs them; bounded reads; tables."""

from __future__ import annotations

from dataclasses import replace

import asyncpg

from auto_insurance.contracts import topics
from auto_insurance.contracts.topics import ALERTS, TRIPS, TopicSpec
from auto_insurance.infra.bus import offsets
from auto_insurance.infra.bus.postgres import PostgresLog
from auto_insurance.infra.bus.protocol import NewRecord
from auto_insurance.infra.db.uow import Database
from tests.conformance.test_log import Positions, joined, read
from tests.integration.bus.conftest import FAST


def notes(first: int, past: int, size: int = 0) -> list[NewRecord]:
    return [NewRecord(TRIPS, f"k{i % 5}", f"{i}".encode() + b"." * size) for i in range(first, past)]


async def test_a_consumer_reads_on_across_segments(log: PostgresLog) -> None:
    consumer = await joined(log, "g", Positions(log), (TRIPS,))
    for start in range(0, 40, 10):
        await log.append(notes(start, start + 10))
        assert await log.roll(force=True) == 1
        assert await log.roll(force=True) == 0, "an empty segment is not closed"
    await log.append(notes(40, 50))
    records = await read(consumer, 50, at_once=3)
    for key in {r.key for r in records}:
        numbers = [int(r.value) for r in records if r.key == key]
        assert numbers == sorted(numbers)
    await consumer.close()


async def test_segments_roll_by_age_and_by_size_beside_the_appends(database_url: str) -> None:
    for change in ({"segment_age_s": 0.0}, {"segment_bytes": 1}):
        log = PostgresLog(database_url, replace(FAST, roll_check_s=0.0, **change))
        await log.ensure_topics(topics.ALL)
        await log.append(notes(0, 3))
        await log.append(notes(3, 6))
        await log.close()
    conn = await asyncpg.connect(database_url)
    assert await conn.fetchval("SELECT max(segment) FROM log_records") >= 3
    await conn.close()


async def test_a_poll_is_bounded_in_bytes_and_gives_one_record_at_least(database_url: str) -> None:
    log = PostgresLog(database_url, replace(FAST, fetch_bytes=1000))
    await log.ensure_topics(topics.ALL)
    await log.append(notes(0, 20, size=400))
    await log.append(notes(20, 22, size=5000))
    consumer = await joined(log, "g", Positions(log), (TRIPS,))
    seen = 0
    while some := await consumer.poll(100, 0.3):
        assert sum(len(r.value) for r in some[:-1]) < 1000, "the one that crosses the limit is the last"
        seen += len(some)
    assert seen == 22
    await consumer.close()
    await log.close()


async def test_retention_holds_what_is_young_and_groups_hold_what_is_unread(log: PostgresLog, db: Database) -> None:
    await log.append([*notes(0, 10), NewRecord(ALERTS, "k", b"x")])
    assert await log.roll(force=True) == 2
    assert await log.trim() == 0, "both are kept for days"
    await log.ensure_topics([TopicSpec(TRIPS, 6, 0, "driver_id"), TopicSpec(ALERTS, 3, 0, "driver_id")])
    start = offsets.Start(await log.topic_id(TRIPS), 0)
    ends = await log.end_offsets(TRIPS)
    async with db.begin() as uow:
        await offsets.load(uow, "stuck", dict.fromkeys(ends, start))
    assert await log.trim() == 1, "nobody reads alerts"
    async with db.begin() as uow:
        assert sum((await offsets.stored(uow, "stuck")).values()) == 0
        assert await offsets.forget_group(uow, "stuck") == 6
        assert await offsets.load(uow, "stuck", {}) == {}
        await offsets.verify(uow, "stuck", {})
    assert await log.trim() == 1
    assert await log.start_offsets(TRIPS) == ends


async def test_a_segment_in_use_is_left_for_the_next_time(log: PostgresLog, database_url: str) -> None:
    await log.ensure_topics([TopicSpec(TRIPS, 6, 0, "driver_id")])
    await log.append(notes(0, 10))
    await log.roll(force=True)
    reader = await asyncpg.connect(database_url)
    async with reader.transaction():
        await reader.fetch("SELECT count(*) FROM log_records")
        assert await log.trim() == 0
    await reader.close()
    assert await log.trim() == 1
