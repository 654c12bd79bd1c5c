"""The event log in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auto_insurance.contracts.topics import TopicSpec
from auto_insurance.infra.bus.errors import LogFull, LogUnavailable
from auto_insurance.infra.bus.postgres.appender import Appender, insert_records
from auto_insurance.infra.bus.postgres.connections import Connections
from auto_insurance.infra.bus.postgres.consumer import PostgresConsumer
from auto_insurance.infra.bus.postgres.options import PostgresLogOptions
from auto_insurance.infra.bus.postgres.segments import Segments
from auto_insurance.infra.bus.postgres.wakeups import OUTBOX, Wakeups
from auto_insurance.infra.bus.protocol import NewRecord, Position, TopicPartition
from auto_insurance.infra.db.uow import UnitOfWork

_STARTS = """
SELECT h.partition_no, coalesce(min(b.base_offset), h.next_offset) AS start
FROM log_heads h LEFT JOIN log_segment_bases b USING (topic_no, partition_no)
WHERE h.topic_no = $1 GROUP BY h.partition_no, h.next_offset
"""


class PostgresLog:
    """Implements :class:`auto_insurance.infra.bus.protocol.EventLog`.

    Connects when it is first needed; the database may come and go. Tables come from the migrations, topics from
    ``ensure_topics``.
    """

    def __init__(self, url: str, options: PostgresLogOptions | None = None) -> None:
        self._options = options or PostgresLogOptions()
        self._connections = Connections(url, self._options)
        self._segments = Segments(self._connections, self._options)
        self.wakeups = Wakeups(self._connections, self._options)
        self._appender = Appender(self._connections, self._segments, self.wakeups, self._options)

    async def ensure_topics(self, specs: Sequence[TopicSpec]) -> None:
        """Create what is missing. Raises ``TopicMismatch``."""
        await self._segments.ensure(specs)

    async def delete_topic(self, topic: str) -> None:
        """Remove a topic and its records, for good."""
        await self._segments.delete(topic)

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        """Append durably, in a transaction of the log's own."""
        return await self._appender.append(records)

    async def append_within(self, uow: UnitOfWork, records: Sequence[NewRecord]) -> None:
        """Append in the caller's transaction, which must be short: it holds the partitions' ends until it commits.

        Readers are woken after the commit. Domain events are never refused for the log's size. Raises
        ``InvalidRecord`` on an unknown topic.
        """
        by_topic: dict[str, list[tuple[int, NewRecord]]] = {}
        for number, record in enumerate(records):
            by_topic.setdefault(record.topic, []).append((number, record))
        infos = [await self._segments.topic(name) for name in by_topic]
        conn = await uow.driver()
        for info in sorted(infos, key=lambda info: info.no):
            await insert_records(conn, info, by_topic[info.name])

        async def wake() -> None:
            for info in infos:
                self.wakeups.notify(info.name)

        uow.after_commit(wake)

    async def has_topic(self, topic: str) -> bool:
        """Return whether there is a topic of this name."""
        async with self._connections.use() as conn:
            return bool(await conn.fetchval("SELECT EXISTS (SELECT FROM log_topics WHERE topic = $1)", topic))

    def outbox_written(self) -> None:
        """Wake the sequencer; optional, for those who know that their transaction published something."""
        self.wakeups.notify(OUTBOX)

    async def topic_id(self, topic: str) -> str:
        return (await self._segments.topic(topic, fresh=True)).id

    async def end_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        info = await self._segments.topic(topic)
        async with self._connections.use() as conn:
            rows = await conn.fetch("SELECT partition_no, next_offset FROM log_heads WHERE topic_no = $1", info.no)
        return {TopicPartition(topic, row["partition_no"]): row["next_offset"] for row in rows}

    async def start_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        info = await self._segments.topic(topic)
        async with self._connections.use() as conn:
            rows = await conn.fetch(_STARTS, info.no)
        return {TopicPartition(topic, row["partition_no"]): row["start"] for row in rows}

    def consumer(self, group: str, topics: Sequence[str], *, member: str) -> PostgresConsumer:
        return PostgresConsumer(self._connections, self._segments, self.wakeups, self._options, group, topics, member)

    async def roll(self, *, force: bool = False) -> int:
        """Open new segments where the open ones are old or large; ``force`` does it for all that hold records."""
        return await self._segments.roll(force=force)

    async def trim(self) -> int:
        """Roll segments that are due and drop those that nobody needs; returns how many were dropped."""
        await self._segments.roll()
        return await self._segments.trim()

    async def check(self) -> None:
        """Raise ``LogUnavailable`` or ``LogFull`` if the log can't take records."""
        async with self._connections.use() as conn:
            row = await conn.fetchrow("SELECT pg_is_in_recovery() AS standby, (SELECT count(*) FROM log_topics) AS n")
        if row is None or row["standby"] or not row["n"]:
            raise LogUnavailable("the event log has no topics or its database takes no writes")
        if self._appender.backlog.any_full():
            raise LogFull("the backlog of the event log is at its limit", retry_after_s=5)

    async def close(self) -> None:
        """Finish what waits, close all connections."""
        await self._appender.close()
        await self.wakeups.close()
        await self._connections.close()
