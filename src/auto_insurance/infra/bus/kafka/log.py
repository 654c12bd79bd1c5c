"""The event log on Apache Kafka."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from auto_insurance.contracts.topics import TopicSpec
from auto_insurance.infra.bus.errors import LogFull
from auto_insurance.infra.bus.kafka.appender import Appender
from auto_insurance.infra.bus.kafka.backlog import Backlog
from auto_insurance.infra.bus.kafka.consumer import KafkaConsumer
from auto_insurance.infra.bus.kafka.options import KafkaLogOptions
from auto_insurance.infra.bus.kafka.topics import Floors, Topics
from auto_insurance.infra.bus.protocol import NewRecord, Position, TopicPartition


class KafkaLog:
    """Implements :class:`auto_insurance.infra.bus.protocol.EventLog`.

    Connects when it is first needed; brokers may come and go. ``floors`` tells what groups still need (their offsets
    are in PostgreSQL): then no record goes before every group is past it. Without it Kafka removes records by age.
    """

    def __init__(self, options: KafkaLogOptions, floors: Floors | None = None) -> None:
        self._options = options
        self._topics = Topics(options, floors)
        self._appender = Appender(self._topics, options)
        self._backlog = (
            None
            if floors is None
            else Backlog(self._topics, floors, limit=options.max_backlog_records, refresh_s=options.backlog_refresh_s)
        )

    async def ensure_topics(self, specs: Sequence[TopicSpec]) -> None:
        """Create what is missing. Raises ``TopicMismatch``."""
        await self._topics.ensure(specs)

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        """Append durably: every in-sync replica has the records when this returns."""
        backlog = self._backlog
        if backlog is None:
            return await self._appender.append(records)
        backlog.admit({record.topic for record in records})
        placed = await self._appender.append(records)
        for topic, count in Counter([record.topic for record in records]).items():
            backlog.added(topic, count)
        return placed

    async def append_published(self, records: Sequence[NewRecord]) -> None:
        """Append records of the product itself, which may be larger: a dead letter quotes a whole record."""
        await self._appender.append(records, max_bytes=self._options.max_published_bytes)

    async def has_topic(self, topic: str) -> bool:
        """Return whether there is a topic of this name."""
        return await self._topics.exists(topic)

    async def topic_id(self, topic: str) -> str:
        return (await self._topics.info(topic, fresh=True)).id

    async def end_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        return await self._topics.ends(topic)

    async def start_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        return await self._topics.starts(topic)

    def consumer(self, group: str, topics: Sequence[str], *, member: str) -> KafkaConsumer:
        return KafkaConsumer(self._topics, self._options, group, topics, member)

    async def trim(self) -> int:
        """Delete what is past its topic's retention and past every group; returns how many records went."""
        return await self._topics.trim()

    async def check(self) -> None:
        """Raise ``LogUnavailable`` or ``LogFull`` if the log can't take records."""
        await self._topics.check()
        if self._backlog is not None and self._backlog.any_full():
            raise LogFull("the backlog of the event log is at its limit", retry_after_s=5)
        if self._appender.full:
            raise LogFull("too many appends are waiting", retry_after_s=1)

    async def close(self) -> None:
        """Finish what waits; clients end with their last reference."""
        await self._appender.close()
        if self._backlog is not None:
            await self._backlog.close()
