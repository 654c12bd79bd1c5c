"""What an event log is, whichever engine runs it.

A topic has partitions; a partition is a sequence of records with offsets 0, 1, 2, ... that never change. A consumer
group remembers one *next offset* per partition, kept in PostgreSQL beside the rows that the records led to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from auto_insurance.contracts.topics import TopicSpec


class TopicPartition(NamedTuple):
    """A partition's address. A tuple: it is hashed for every batch of every partition."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to append. Records of one key land in one partition, in order (murmur2, as Java clients do)."""

    topic: str
    key: str
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as it was read. ``appended_at`` is the log's own time: the arrival time.

    Made once for every record that a worker reads, so as a struct outside of garbage collection (0.1 us each).
    """

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    headers: Mapping[str, str]
    appended_at: datetime

    @property
    def tp(self) -> TopicPartition:
        """Where it was read."""
        return TopicPartition(self.topic, self.partition)


class Position(msgspec.Struct, frozen=True, gc=False):
    """Where a record was appended."""

    topic: str
    partition: int
    offset: int


class Listener(Protocol):
    """Told by a consumer which partitions come and go. Called from within ``poll``, ``keep`` and ``close`` only."""

    async def on_assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the next offset to read for each partition, from PostgreSQL."""
        ...

    async def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget all that was cached for these partitions; others get them when this returns.

        It waits for the transaction that is under way: nobody else reads what we are still storing.
        """
        ...


class Consumer(Protocol):
    """One member of a consumer group."""

    async def start(self, listener: Listener) -> None: ...

    async def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        """Return up to ``max_records`` in order per partition; empty after ``timeout_s``. Also keeps the membership.

        Raises ``LogUnavailable`` when the log is away (poll again later) and ``OffsetOutOfRange`` when the log no
        longer has what the group wants next.
        """
        ...

    async def keep(self) -> None:
        """Stay in the group without taking records: for those who are full and can't poll for long."""
        ...

    async def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read on from these offsets. Not during a ``poll``."""
        ...

    def assignment(self) -> frozenset[TopicPartition]: ...

    async def end_offsets(self) -> Mapping[TopicPartition, int]:
        """Return the end offset (that of the next record to come) of each assigned partition."""
        ...

    async def committed(self, positions: Mapping[TopicPartition, int]) -> None:
        """Told after the commit in PostgreSQL, for lag tools of the engine; may fail silently. Also during a poll."""
        ...

    async def rejoin(self) -> None:
        """Give up the assignment (``on_revoked``) and ask for it anew at the next poll: what was known is in doubt."""
        ...

    async def close(self) -> None:
        """Leave the group, so that others take over at once; tells the listener ``on_revoked``."""
        ...


class EventLog(Protocol):
    """A durable log."""

    async def ensure_topics(self, specs: Sequence[TopicSpec]) -> None: ...

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        """Append durably; returns only then.

        Raises ``LogFull`` or ``LogUnavailable`` (both ``Unavailable``; after the latter the records may be stored all
        the same: send them again), ``InvalidRecord`` or ``RecordTooLarge`` (nothing of the call was stored).
        """
        ...

    async def topic_id(self, topic: str) -> str:
        """Return an id that changes when a topic is made anew."""
        ...

    async def end_offsets(self, topic: str) -> Mapping[TopicPartition, int]: ...

    async def start_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        """Return the first offset that each partition still has: where a new group begins."""
        ...

    def consumer(self, group: str, topics: Sequence[str], *, member: str) -> Consumer: ...

    async def trim(self) -> int:
        """Remove old records that every group is past; returns how many segments or records went."""
        ...

    async def check(self) -> None:
        """Raise if the log can't take or give records."""
        ...

    async def close(self) -> None: ...
