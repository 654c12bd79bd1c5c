"""What any log promises: order, durability, offsets, groups, trimming."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from auto_insurance.contracts.topics import MAX_RECORD_BYTES, TopicSpec
from auto_insurance.infra.bus import offsets
from auto_insurance.infra.bus.errors import InvalidRecord, OffsetOutOfRange, RecordTooLarge, TopicMismatch
from auto_insurance.infra.bus.partitioner import partition_of
from auto_insurance.infra.bus.protocol import Consumer, EventLog, NewRecord, Record, TopicPartition
from auto_insurance.infra.db.uow import Database
from tests.conformance.engines import SPECS, TOPIC, Engine


class Positions:
    """A listener that reads from given positions, else from the log's start."""

    def __init__(self, log: EventLog, at: Mapping[TopicPartition, int] | None = None) -> None:
        self.log = log
        self.at = dict(at or {})
        self.revoked: list[TopicPartition] = []

    async def on_assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        starts: dict[TopicPartition, int] = {}
        for topic in {tp.topic for tp in partitions}:
            starts |= await self.log.start_offsets(topic)
        return {tp: self.at.get(tp, starts[tp]) for tp in partitions}

    async def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.revoked += partitions


def events(count: int, keys: int = 7, topic: str = TOPIC) -> list[NewRecord]:
    return [NewRecord(topic, f"key-{i % keys}", f"{i}".encode(), {"n": str(i)}) for i in range(count)]


async def joined(log: EventLog, group: str, listener: Positions, topics: Sequence[str] = (TOPIC,)) -> Consumer:
    consumer = log.consumer(group, topics, member=f"{group}-{id(listener)}")
    await consumer.start(listener)
    return consumer


async def read(consumer: Consumer, count: int, *, at_once: int = 10) -> list[Record]:
    records: list[Record] = []
    async with asyncio.timeout(20):
        while len(records) < count:
            some = await consumer.poll(at_once, 0.2)
            assert len(some) <= at_once
            records += some
    return records


async def test_records_of_a_key_share_a_partition_in_order(log: EventLog) -> None:
    sent = events(200)
    for start in range(0, 200, 20):
        positions = await log.append(sent[start : start + 20])
        assert [p.partition for p in positions] == [partition_of(r.key, 4) for r in sent[start : start + 20]]
    consumer = await joined(log, "order", Positions(log))
    records = await read(consumer, 200)
    for key in {r.key for r in sent}:
        assert [r.value for r in records if r.key == key] == [r.value for r in sent if r.key == key]
    for partition in range(4):
        found = [r.offset for r in records if r.partition == partition]
        assert found == sorted(set(found))
    assert all(r.headers == {"n": r.value.decode()} and r.appended_at.tzinfo is not None for r in records)
    await consumer.close()


async def test_positions_tell_where_each_record_is(log: EventLog) -> None:
    await log.append(events(30))
    sent = events(25)
    positions = await log.append(sent)
    consumer = await joined(log, "positions", Positions(log))
    records = {(r.topic, r.partition, r.offset): r.value for r in await read(consumer, 55)}
    assert [records[p.topic, p.partition, p.offset] for p in positions] == [r.value for r in sent]
    await consumer.close()


async def test_concurrent_appends_lose_nothing(log: EventLog, engine: Engine) -> None:
    second = engine.open()
    sent = events(300)
    await asyncio.gather(*(target.append([r]) for r, target in zip(sent, [log, second] * 150, strict=True)))
    consumer = await joined(log, "many", Positions(log))
    assert sorted(int(r.value) for r in await read(consumer, 300, at_once=500)) == list(range(300))
    await consumer.close()
    await second.close()


async def test_what_was_appended_is_there_for_the_next_process(engine: Engine, log: EventLog) -> None:
    await log.append(events(20))
    other = engine.open()
    consumer = await joined(other, "later", Positions(other))
    assert len(await read(consumer, 20)) == 20
    await consumer.close()
    await other.close()


async def test_end_offsets_and_start_offsets(log: EventLog) -> None:
    assert set((await log.end_offsets(TOPIC)).values()) == {0}
    await log.append(events(40))
    ends = await log.end_offsets(TOPIC)
    assert len(ends) == 4
    assert sum(ends.values()) == 40
    assert set((await log.start_offsets(TOPIC)).values()) == {0}
    listener = Positions(log)
    consumer = await joined(log, "ends", listener)
    await read(consumer, 40)
    assert await consumer.end_offsets() == ends
    assert consumer.assignment() == frozenset(ends)
    await consumer.close()


async def test_groups_are_independent_and_topics_too(log: EventLog) -> None:
    await log.append([*events(10), *events(6, topic="other")])
    both = await joined(log, "both", Positions(log), (TOPIC, "other"))
    one = await joined(log, "one", Positions(log))
    assert len(await read(both, 16)) == 16
    assert {r.topic for r in await read(one, 10)} == {TOPIC}
    assert await one.poll(10, 0.2) == []
    await both.close()
    await one.close()


async def test_seek_reads_again(log: EventLog) -> None:
    await log.append(events(12, keys=1))
    consumer = await joined(log, "seek", Positions(log))
    first = await read(consumer, 12)
    await consumer.seek({first[0].tp: 7, TopicPartition("other", 0): 3})
    assert [r.offset for r in await read(consumer, 5)] == [7, 8, 9, 10, 11]
    await consumer.close()


async def test_an_offset_that_the_log_does_not_have_is_an_error(log: EventLog) -> None:
    await log.append(events(3, keys=1))
    tp = TopicPartition(TOPIC, partition_of("key-0", 4))
    consumer = await joined(log, "beyond", Positions(log, {tp: 99}))
    with pytest.raises(OffsetOutOfRange):
        await read(consumer, 1)
    await consumer.close()


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (NewRecord("no-such-topic", "k", b""), InvalidRecord),
        (NewRecord(TOPIC, "a\x00b", b""), InvalidRecord),
        (NewRecord(TOPIC, "\ud800", b""), InvalidRecord),
        (NewRecord(TOPIC, "k", b"x" * (MAX_RECORD_BYTES + 1)), RecordTooLarge),
    ],
)
async def test_a_record_that_cannot_be_stored_is_refused_whole(
    log: EventLog, record: NewRecord, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await log.append([*events(3), record])
    assert sum((await log.end_offsets(TOPIC)).values()) == 0


async def test_a_record_of_the_largest_size_and_a_key_in_any_script(log: EventLog) -> None:
    await log.append([NewRecord(TOPIC, "Gerät-ß-車", b"\x00\xff" * (MAX_RECORD_BYTES // 2))])
    consumer = await joined(log, "large", Positions(log))
    [record] = await read(consumer, 1)
    assert (record.key, len(record.value)) == ("Gerät-ß-車", MAX_RECORD_BYTES)
    await consumer.close()


async def test_topics_are_made_once_and_keep_their_size(log: EventLog) -> None:
    before = await log.topic_id(TOPIC)
    await log.ensure_topics(SPECS)
    assert await log.topic_id(TOPIC) == before
    with pytest.raises(TopicMismatch):
        await log.ensure_topics([TopicSpec(TOPIC, 5, 0, "key")])


async def test_members_share_partitions_and_take_over(log: EventLog, engine: Engine) -> None:
    other = engine.open()
    here, there = Positions(log), Positions(other)
    first = await joined(log, "share", here)
    await first.poll(1, 0.2)
    assert len(first.assignment()) == 4
    second = await joined(other, "share", there)
    async with asyncio.timeout(20):
        while len(first.assignment()) != 2 or len(second.assignment()) != 2:
            await asyncio.gather(first.poll(1, 0.1), second.poll(1, 0.1))
            assert not first.assignment() & second.assignment()
    assert len(here.revoked) == 2, "only what moves is revoked"
    await first.close()
    async with asyncio.timeout(20):
        while len(second.assignment()) != 4:
            await second.poll(1, 0.1)
    assert there.revoked == []
    await second.close()
    assert len(there.revoked) == 4
    await other.close()


async def test_trim_keeps_what_a_group_still_needs(log: EventLog, engine: Engine, db: Database) -> None:
    await log.append(events(40))
    ends = await log.end_offsets(TOPIC)
    start = offsets.Start(await log.topic_id(TOPIC), 0)
    async with db.begin() as uow:
        claims = {g: await offsets.load(uow, g, dict.fromkeys(ends, start)) for g in ("fast", "slow")}
        await offsets.advance(uow, "fast", claims["fast"], ends)
    await engine.age(log)
    await log.append(events(5))
    await log.trim()
    assert set((await log.start_offsets(TOPIC)).values()) == {0}
    async with db.begin() as uow:
        await offsets.advance(uow, "slow", claims["slow"], ends)
    assert await log.trim() >= 1
    assert await log.start_offsets(TOPIC) == ends
    consumer = await joined(log, "after", Positions(log))
    assert len(await read(consumer, 5)) == 5
    await consumer.close()
    late = await joined(log, "late", Positions(log, dict.fromkeys(ends, 0)))
    with pytest.raises(OffsetOutOfRange):
        await read(late, 1)
    await late.close()
