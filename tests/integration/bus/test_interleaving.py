"""Sequence order is not commit order: a reader never steps over an offset that commits later."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import pytest

from auto_insurance.contracts.topics import TRIPS
from auto_insurance.infra.bus.errors import LogUnavailable
from auto_insurance.infra.bus.postgres import PostgresLog
from auto_insurance.infra.bus.protocol import NewRecord, Record, TopicPartition

APPEND = "SELECT * FROM event_log_append($1, $2, $3, $4, $5)"


class FromStart:
    async def on_assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Nothing is kept."""


async def append_raw(conn: asyncpg.Connection[Any], topic_no: int, partitions: list[int], tag: str) -> None:
    n = len(partitions)
    await conn.fetch(APPEND, topic_no, partitions, ["k"] * n, [None] * n, [f"{tag}-{i}".encode() for i in range(n)])


async def writer(url: str, topic_no: int, name: int, rng: random.Random) -> int:
    """Append in transactions that stay open for a random while; some roll back. Returns how many records stay."""
    conn = await asyncpg.connect(url)
    kept = 0
    for turn in range(25):
        partitions = sorted(rng.choices(range(3), k=rng.randint(1, 4)))
        transaction = conn.transaction()
        await transaction.start()
        await append_raw(conn, topic_no, partitions, f"{name}.{turn}")
        await asyncio.sleep(rng.uniform(0, 0.01))
        if rng.random() < 0.2:
            await transaction.rollback()
        else:
            await transaction.commit()
            kept += len(partitions)
    await conn.close()
    return kept


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_no_offset_is_skipped_between_many_writers(log: PostgresLog, database_url: str, seed: int) -> None:
    admin = await asyncpg.connect(database_url)
    topic_no = await admin.fetchval("SELECT topic_no FROM log_topics WHERE topic = $1", TRIPS)
    rng = random.Random(seed)
    consumer = log.consumer("g", [TRIPS], member="m")
    await consumer.start(FromStart())
    seen: list[Record] = []
    done = asyncio.Event()

    async def read() -> None:
        while True:
            last = done.is_set()
            some = await consumer.poll(rng.randint(1, 7), 0.01)
            seen.extend(some)
            if last and not some:
                return

    reading = asyncio.create_task(read())
    rolling = asyncio.create_task(_roll_now_and_then(log, done))
    kept = await asyncio.gather(
        *(writer(database_url, topic_no, name, random.Random(seed * 10 + name)) for name in range(5))
    )
    done.set()
    await asyncio.gather(reading, rolling)
    assert len(seen) == sum(kept)
    for partition in range(6):
        offsets = [r.offset for r in seen if r.partition == partition]
        assert offsets == list(range(len(offsets))), "no hole, no step back"
    await consumer.close()
    await admin.close()


async def _roll_now_and_then(log: PostgresLog, done: asyncio.Event) -> None:
    while not done.is_set():
        await log.roll(force=True)
        await asyncio.sleep(0.1)


async def test_a_writer_frozen_between_lock_and_commit_holds_back_its_partitions_only(
    log: PostgresLog, database_url: str
) -> None:
    frozen = await asyncpg.connect(database_url, server_settings={"idle_in_transaction_session_timeout": "3000"})
    topic_no = await frozen.fetchval("SELECT topic_no FROM log_topics WHERE topic = $1", TRIPS)
    keys = {(await log.append([NewRecord(TRIPS, f"k{i}", b"0")]))[0].partition: f"k{i}" for i in range(40)}
    before = await log.end_offsets(TRIPS)
    await frozen.execute("BEGIN")
    await append_raw(frozen, topic_no, [2], "frozen")
    with pytest.raises(LogUnavailable):  # same partition: fails within its time, stores nothing out of order
        await log.append([NewRecord(TRIPS, keys[2], b"late")])
    await asyncio.sleep(0.6)
    other = PostgresLog(database_url)
    await other.append([NewRecord(TRIPS, keys[3], b"free")])
    ends = await log.end_offsets(TRIPS)
    tp2, tp3 = TopicPartition(TRIPS, 2), TopicPartition(TRIPS, 3)
    assert (ends[tp2], ends[tp3]) == (before[tp2], before[tp3] + 1)
    await asyncio.sleep(2.5)  # the server ends the frozen transaction
    await log.append([NewRecord(TRIPS, keys[2], b"again")])
    consumer = other.consumer("g", [TRIPS], member="m")
    await consumer.start(FromStart())
    values: list[bytes] = []
    while some := await consumer.poll(100, 0.3):
        values += [r.value for r in some if r.partition == 2]
    assert b"again" in values
    assert b"frozen-0" not in values
    await consumer.close()
    await other.close()
    frozen.terminate()
