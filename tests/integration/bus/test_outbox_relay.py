"""The sequencer: from committed outbox rows to records, in order, once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, insert, select

from auto_insurance.contracts import topics
from auto_insurance.infra.bus.deadletters import list_dead_letters
from auto_insurance.infra.bus.errors import InvalidRecord, LogUnavailable
from auto_insurance.infra.bus.outbox_relay import LOCK, OutboxRelay, RelayOptions, TransactionalLog
from auto_insurance.infra.bus.postgres import PostgresLog
from auto_insurance.infra.bus.protocol import NewRecord, Position
from auto_insurance.infra.db.locks import leading, lock, lock_key, try_lock
from auto_insurance.infra.db.outbox import outbox
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import events
from tests.conformance.test_log import Positions, joined, read


class Note(msgspec.Struct):
    number: int


async def publish(db: Database, first: int, past: int, topic: str = topics.TRIPS) -> None:
    async with db.begin() as uow:
        for i in range(first, past):
            uow.publish(topic, events.new_event(Note(i), type="note.made", version=1, key=f"DRV{i % 3}"))


async def waiting(db: Database) -> int:
    async with db.read() as uow:
        return int((await uow.conn.execute(select(func.count()).select_from(outbox))).scalar_one())


class OtherLog:
    """What a log in another system looks like to the relay: it can't join the transaction."""

    def __init__(self) -> None:
        self.records: list[NewRecord] = []
        self.down = False

    async def topic_id(self, topic: str) -> str:
        if topic == "nowhere":
            raise InvalidRecord("no such topic")
        return "id"

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        if self.down:
            raise LogUnavailable("down")
        self.records += records
        return []


async def test_events_come_out_in_order_and_once(db: Database, log: PostgresLog) -> None:
    assert isinstance(log, TransactionalLog)
    await publish(db, 0, 25)
    relay = OutboxRelay(db, log, RelayOptions(max_rows=10))
    assert [await relay.relay_once() for _ in range(4)] == [10, 10, 5, 0]
    consumer = await joined(log, "g", Positions(log), (topics.TRIPS,))
    records = await read(consumer, 25)
    assert await consumer.poll(10, 0.2) == []
    for key in {r.key for r in records}:
        numbers = [events.decode(r.value).data["number"] for r in records if r.key == key]
        assert numbers == sorted(numbers)
    assert await waiting(db) == 0
    await consumer.close()


async def test_the_size_limit_cuts_a_batch_but_moves_one_at_least(db: Database, log: PostgresLog) -> None:
    await publish(db, 0, 3)
    relay = OutboxRelay(db, log, RelayOptions(max_bytes=1))
    assert [await relay.relay_once() for _ in range(4)] == [1, 1, 1, 0]


async def test_one_leads_at_a_time(db: Database, log: PostgresLog) -> None:
    await publish(db, 0, 3)
    async with db.begin() as uow:
        assert await try_lock(uow, LOCK)
        assert await OutboxRelay(db, log).relay_once() == 0
        async with leading(db, LOCK) as nobody:
            assert nobody is None
    assert await OutboxRelay(db, log).relay_once() == 3
    async with db.begin() as uow:
        await lock(uow, LOCK)
    assert lock_key("a") != lock_key("b")


async def test_it_runs_until_stopped_and_is_woken(db: Database, log: PostgresLog) -> None:
    stop = asyncio.Event()
    wake = log.wakeups.subscribe(["outbox"])
    relay = OutboxRelay(db, log, RelayOptions(poll_first_s=30.0, poll_most_s=30.0), wake=wake)
    task = asyncio.create_task(relay.run(stop))
    await asyncio.sleep(0.3)
    await publish(db, 0, 3)
    log.outbox_written()
    async with asyncio.timeout(5):
        while await waiting(db):
            await asyncio.sleep(0.02)
    relay.wake()
    stop.set()
    await asyncio.wait_for(task, 5)


async def test_a_log_elsewhere_gets_events_before_they_are_deleted(db: Database) -> None:
    other: Any = OtherLog()
    await publish(db, 0, 4)
    relay = OutboxRelay(db, other)
    other.down = True
    with pytest.raises(LogUnavailable):
        await relay.relay_once()
    assert await waiting(db) == 4
    stop = asyncio.Event()
    task = asyncio.create_task(relay.run(stop))
    await asyncio.sleep(0.1)
    other.down = False
    async with asyncio.timeout(5):
        while await waiting(db):
            await asyncio.sleep(0.02)
    stop.set()
    await task
    assert [events.decode(r.value).data["number"] for r in other.records] == [0, 1, 2, 3]


async def test_an_event_for_no_topic_does_not_block_the_others(db: Database) -> None:
    other: Any = OtherLog()
    await publish(db, 0, 1, "nowhere")
    await publish(db, 1, 2)
    assert await OutboxRelay(db, other).relay_once() == 2
    assert len(other.records) == 1
    async with db.read() as uow:
        [letter], _ = await list_dead_letters(uow)
    assert (letter.letter.reason, letter.letter.topic) == ("unknown_topic", "nowhere")


async def test_without_topics_nothing_is_moved(db: Database, database_url: str) -> None:
    empty = PostgresLog(database_url)
    async with db.begin() as uow:
        await uow.conn.execute(
            insert(outbox).values(event_id="0" * 32, topic=topics.TELEMATICS_DLQ, key="k", value=b"v")
        )
    with pytest.raises(InvalidRecord):
        await OutboxRelay(db, empty).relay_once()
    assert await waiting(db) == 1
    await empty.close()
