"""Records at the edges: from other producers, too many, large ones of the product itself, and the relay's."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from confluent_kafka import Producer

from auto_insurance.contracts.topics import MAX_RECORD_BYTES, TELEMATICS_DLQ, TRIPS, TopicSpec
from auto_insurance.infra.bus.deadletters import DeadLetter, add_dead_letters
from auto_insurance.infra.bus.errors import LogFull, LogUnavailable
from auto_insurance.infra.bus.outbox_relay import OutboxRelay
from auto_insurance.infra.bus.protocol import NewRecord
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import events
from tests.conformance.test_log import Positions, joined, read
from tests.kafka.conftest import OpenLog
from tests.support.kafka import KafkaBroker

SPEC = TopicSpec("edges", 1, 0, "key")


class Note(msgspec.Struct):
    """A payload."""

    number: int


async def test_records_of_other_producers_are_taken_as_they_are(broker: KafkaBroker, open_log: OpenLog) -> None:
    log = open_log()
    await log.ensure_topics([SPEC])
    other = Producer({"bootstrap.servers": broker.address})
    other.produce(SPEC.name, None, None)
    other.produce(SPEC.name, b"\xff", b"a\x00\xff", headers=[("h", b"\xfe"), ("none", None)])
    other.flush(10)
    consumer = await joined(log, "edges", Positions(log), (SPEC.name,))
    first, second = await read(consumer, 2)
    assert (first.key, first.value, first.headers) == ("", b"", {})
    assert (second.key, second.value) == ("a\ufffd\ufffd", b"\xff")
    assert second.headers == {"h": "\ufffd", "none": ""}
    assert await consumer.poll(0, 0.1) == []
    await consumer.close()
    assert consumer.assignment() == frozenset()


async def test_a_full_queue_refuses_whole_calls_at_once(open_log: OpenLog) -> None:
    log = open_log(max_queued_records=10, linger_s=0.5)
    await log.ensure_topics([SPEC])
    eight = [NewRecord(SPEC.name, "k", b"x") for _ in range(8)]
    first = asyncio.create_task(log.append(eight))
    while not (await log.end_offsets(SPEC.name) and len(asyncio.all_tasks()) > 1):
        await asyncio.sleep(0)
    with pytest.raises(LogFull):
        await log.append(eight)
    assert len(await first) == 8
    assert len(await log.append(eight)) == 8
    assert sum((await log.end_offsets(SPEC.name)).values()) == 16
    assert await log.append([]) == []


async def test_a_caller_that_gives_up_and_a_log_that_closes_leave_nothing_behind(open_log: OpenLog) -> None:
    log = open_log(linger_s=0.3)
    await log.ensure_topics([SPEC])
    gone = asyncio.create_task(log.append([NewRecord(SPEC.name, "k", b"1")]))
    stays = asyncio.create_task(log.append([NewRecord(SPEC.name, "k", b"2")]))
    await asyncio.sleep(0.1)
    gone.cancel()
    await log.close()
    assert (await stays)[0].offset in {0, 1}
    with pytest.raises(LogUnavailable):
        await log.append([NewRecord(SPEC.name, "k", b"3")])


async def test_the_relay_keeps_the_order_and_takes_the_largest_dead_letter(open_log: OpenLog, db: Database) -> None:
    log = open_log()
    await log.ensure_topics([TopicSpec(TRIPS, 6, 30, "driver_id"), TopicSpec(TELEMATICS_DLQ, 3, 30, "device_id")])
    letter = DeadLetter("telematics-events", 0, 1, None, "k", "reason", "", b"\xff" * 2 * MAX_RECORD_BYTES, "g")
    async with db.begin() as uow:
        for i in range(300):
            uow.publish(TRIPS, events.new_event(Note(i), type="note.made", version=1, key=f"DRV{i % 3}"))
        await add_dead_letters(uow, [letter])
    relay = OutboxRelay(db, log)
    assert await relay.relay_once() == 301
    assert await relay.relay_once() == 0
    consumer = await joined(log, "relayed", Positions(log), (TRIPS, TELEMATICS_DLQ))
    records = await read(consumer, 301, at_once=500)
    for key in ("DRV0", "DRV1", "DRV2"):
        numbers = [msgspec.json.decode(r.value)["data"]["number"] for r in records if r.key == key]
        assert numbers == sorted(numbers)
        assert len(numbers) == 100
    assert max(len(r.value) for r in records) > 2 * MAX_RECORD_BYTES
    await consumer.close()
