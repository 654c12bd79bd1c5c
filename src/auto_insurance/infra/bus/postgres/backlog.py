"""How much of each topic nobody has read yet: the log's size limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from auto_insurance.infra.bus.errors import LogFull
from auto_insurance.infra.bus.postgres.connections import Connections
from auto_insurance.infra.bus.postgres.options import PostgresLogOptions
from auto_insurance.infra.bus.postgres.segments import TopicInfo
from auto_insurance.infra.bus.protocol import NewRecord

log = structlog.get_logger(__name__)

_QUERY = """
SELECT h.topic_no, sum(h.next_offset - low.o)::bigint AS records,
    sum((h.next_offset - low.o) * h.total_bytes / greatest(h.next_offset, 1))::bigint AS bytes
FROM log_heads h JOIN log_topics t USING (topic_no)
CROSS JOIN LATERAL (SELECT coalesce(
    (SELECT min(c.next_offset) FROM consumer_offsets c
     WHERE c.topic = t.topic AND c.partition_no = h.partition_no AND c.topic_id = t.topic_id::text),
    (SELECT min(b.base_offset) FROM log_segment_bases b
     WHERE b.topic_no = h.topic_no AND b.partition_no = h.partition_no),
    h.next_offset) AS o) AS low
GROUP BY h.topic_no
"""


@dataclass(slots=True)
class _Size:
    records: int
    bytes: int


class Backlog:
    """Unread records and bytes per topic (bytes by the partition's mean record), refreshed beside the appends.

    What no group has ever read counts as unread as far as the log still holds it.
    """

    def __init__(self, connections: Connections, options: PostgresLogOptions) -> None:
        self._connections = connections
        self._options = options
        self._sizes: dict[int, _Size] = {}
        self._refresh_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def admit(self, topic: TopicInfo) -> None:
        """Raise ``LogFull`` if the topic's backlog is above the limit."""
        if time.monotonic() >= self._refresh_at and (self._task is None or self._task.done()):
            self._refresh_at = time.monotonic() + self._options.backlog_refresh_s
            self._task = asyncio.create_task(self.refresh(), name="event-log-backlog")
        if self.full(topic):
            raise LogFull(f"the backlog of {topic.name} is at its limit", retry_after_s=5)

    def full(self, topic: TopicInfo) -> bool:
        """Return whether the topic takes no more, as of the last look."""
        size = self._sizes.get(topic.no)
        return size is not None and self._above(size)

    def any_full(self) -> bool:
        """Return whether any topic takes no more, as of the last look."""
        return any(self._above(size) for size in self._sizes.values())

    def _above(self, size: _Size) -> bool:
        return size.records >= self._options.max_backlog_records or size.bytes >= self._options.max_backlog_bytes

    def added(self, topic: TopicInfo, records: Sequence[tuple[int, NewRecord]]) -> None:
        """Count what was appended since the last look."""
        size = self._sizes.setdefault(topic.no, _Size(0, 0))
        size.records += len(records)
        size.bytes += sum(len(record.value) for _, record in records)

    async def refresh(self) -> None:
        """Look again; a failure leaves what is known."""
        try:
            async with self._connections.use() as conn:
                rows = await conn.fetch(_QUERY)
        except Exception as error:
            log.warning("log_backlog_unknown", error=type(error).__name__)
            return
        self._sizes = {row["topic_no"]: _Size(row["records"], row["bytes"]) for row in rows}

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
