"""Appends: limits, coalescing, faults."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from auto_insurance.contracts import topics
from auto_insurance.contracts.topics import TELEMATICS_EVENTS, TRIPS
from auto_insurance.infra.bus import offsets
from auto_insurance.infra.bus.errors import LogFull, LogUnavailable
from auto_insurance.infra.bus.postgres import PostgresLog
from auto_insurance.infra.bus.postgres.appender import Appender
from auto_insurance.infra.bus.postgres.connections import translate
from auto_insurance.infra.bus.protocol import NewRecord
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel.errors import ErrorKind
from tests.integration.bus.conftest import FAST


def record(i: int = 0, size: int = 10, topic: str = TELEMATICS_EVENTS) -> NewRecord:
    return NewRecord(topic, f"dev-{i}", b"x" * size)


async def test_nothing_is_appended_at_once(log: PostgresLog) -> None:
    assert await log.append([]) == []


async def test_concurrent_appends_share_a_transaction(log: PostgresLog, database_url: str) -> None:
    await log.append([record()])
    conn = await asyncpg.connect(database_url)
    await asyncio.gather(*(log.append([record(i)]) for i in range(200)))
    numbers = await conn.fetchval("SELECT count(DISTINCT xmin::text) FROM log_records")
    assert numbers < 20
    await conn.close()


async def test_one_append_may_span_topics(log: PostgresLog) -> None:
    positions = await log.append([record(), record(topic=TRIPS), record(1)])
    assert [p.topic for p in positions] == [TELEMATICS_EVENTS, TRIPS, TELEMATICS_EVENTS]


async def test_a_full_queue_refuses_and_says_when_to_come_back(database_url: str) -> None:
    log = PostgresLog(database_url, replace(FAST, max_queued_records=10, flush_records=2))
    await log.ensure_topics(topics.ALL)
    results = await asyncio.gather(*(log.append([record(i)]) for i in range(60)), return_exceptions=True)
    refused = [r for r in results if isinstance(r, LogFull)]
    assert refused
    assert refused[0].retry_after_s
    assert refused[0].kind is ErrorKind.UNAVAILABLE
    assert sum((await log.end_offsets(TELEMATICS_EVENTS)).values()) == 60 - len(refused)
    await log.append([record()])
    await log.close()


@pytest.mark.parametrize("limit", [{"max_backlog_records": 20}, {"max_backlog_bytes": 200}])
async def test_the_log_refuses_while_too_much_is_unread(db: Database, database_url: str, limit: dict[str, Any]) -> None:
    log = PostgresLog(database_url, replace(FAST, backlog_refresh_s=0.05, **limit))
    await log.ensure_topics(topics.ALL)
    await log.append([record(i) for i in range(20)])
    with pytest.raises(LogFull):
        await log.append([record()])
    with pytest.raises(LogFull):
        await log.check()
    await log.append([record(topic=TRIPS)])
    ends = await log.end_offsets(TELEMATICS_EVENTS)
    start = offsets.Start(await log.topic_id(TELEMATICS_EVENTS), 0)
    async with db.begin() as uow:
        claims = await offsets.load(uow, "g", dict.fromkeys(ends, start))
        await offsets.advance(uow, "g", claims, ends)
    async with asyncio.timeout(5):
        while True:
            try:
                await log.append([record()])
                break
            except LogFull:
                await asyncio.sleep(0.05)
    await log.check()
    await log.close()


async def test_a_failing_call_does_not_fail_its_neighbours(log: PostgresLog, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Appender._write

    async def picky(self: Appender, calls: Any) -> None:
        if any(call.records[0].key == "dev-3" for call in calls):
            raise ValueError("only this one")
        await write(self, calls)

    monkeypatch.setattr(Appender, "_write", picky)
    results = await asyncio.gather(*(log.append([record(i)]) for i in range(6)), return_exceptions=True)
    assert [type(r) for r in results] == [list, list, list, ValueError, list, list]
    with pytest.raises(ValueError, match="only"):
        await log.append([record(3)])


async def test_a_caller_that_gives_up_does_not_disturb(log: PostgresLog) -> None:
    tasks = [asyncio.create_task(log.append([record(i)])) for i in range(20)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(r, list) for r in results) == 19


async def test_a_closed_log_takes_nothing(database_url: str) -> None:
    log = PostgresLog(database_url, FAST)
    await log.ensure_topics(topics.ALL)
    await log.append([record()])
    await log.close()
    with pytest.raises(LogUnavailable):
        await log.append([record()])


async def test_an_address_where_nothing_listens_fails_fast() -> None:
    log = PostgresLog("postgresql+asyncpg://postgres@127.0.0.1:1/none", FAST)
    with pytest.raises(LogUnavailable) as caught:
        await log.append([record()])
    assert caught.value.retry_after_s
    with pytest.raises(LogUnavailable):
        await log.check()
    await log.close()


async def test_a_log_without_topics_is_not_healthy(database_url: str) -> None:
    log = PostgresLog(database_url, FAST)
    with pytest.raises(LogUnavailable):
        await log.check()
    await log.close()


def test_faults_are_translated() -> None:
    assert isinstance(translate(asyncpg.DiskFullError("x")), LogFull)
    assert isinstance(translate(asyncpg.TooManyConnectionsError("x")), LogUnavailable)
    assert isinstance(translate(asyncpg.QueryCanceledError("x")), LogUnavailable)
    assert isinstance(translate(OSError()), LogUnavailable)
    error = ValueError()
    assert translate(error) is error
