"""A handler whose effect can be counted: it writes what it handled into a table without any key."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import text

from auto_insurance.infra.bus.handler import Batch
from auto_insurance.infra.bus.protocol import TopicPartition
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel.outcome import Dead, Ok, Outcome

GROUP = "conformance-group"
CREATE = (
    "CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY, part int, off bigint, key text, value text, pid int)"
)


class Effects:
    """Implements ``Handler``. ``boom`` in a value raises, ``dead`` is declared dead, ``slow`` sleeps within."""

    def __init__(self, topics: Sequence[str], *, group: str = GROUP, sleep_s: float = 0.0, flag: Path | None = None):
        self.group = group
        self.topics = topics
        self.sleep_s = sleep_s
        self.flag = flag
        self.ticks: list[Mapping[TopicPartition, datetime]] = []
        self.commits = 0
        self.rollbacks = 0
        self.lost: list[TopicPartition] = []

    async def handle(self, uow: UnitOfWork, batch: Batch) -> Sequence[Outcome[None]]:
        rows = [
            {"p": r.partition, "o": r.offset, "k": r.key, "v": r.value.decode(), "i": os.getpid()}
            for r in batch.records
        ]
        await uow.conn.execute(
            text("INSERT INTO effects (part, off, key, value, pid) VALUES (:p, :o, :k, :v, :i)"), rows
        )
        if self.sleep_s:
            if self.flag is not None:
                self.flag.touch()
            await asyncio.sleep(self.sleep_s)
        outcomes: list[Outcome[None]] = []
        for record in batch.records:
            if b"boom" in record.value:
                raise ValueError("this one never works")
            outcomes.append(Dead("conformance", "said so") if b"dead" in record.value else Ok(None))
        return outcomes

    def committed(self) -> None:
        self.commits += 1

    def rolled_back(self) -> None:
        self.rollbacks += 1

    async def tick(self, uow: UnitOfWork, caught_up: Mapping[TopicPartition, datetime]) -> None:
        self.ticks.append(caught_up)

    async def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.lost += partitions


async def effects(db: Database) -> list[tuple[str, str]]:
    """Return (key, value) of all effects in the order of their writing."""
    async with db.begin() as uow:
        rows = await uow.conn.execute(text("SELECT key, value FROM effects ORDER BY id"))
        return [(row.key, row.value) for row in rows]


def in_order_once(seen: Sequence[tuple[str, str]], sent: Sequence[tuple[str, str]]) -> None:
    """Assert that everything sent had its effect exactly once, and in order within each key."""
    assert Counter(seen) == Counter(sent)
    for key in {key for key, _ in sent}:
        assert [v for k, v in seen if k == key] == [v for k, v in sent if k == key]
