"""Appends: many callers, one short transaction at a time per process."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

import msgspec
import structlog

from auto_insurance.infra.bus.checks import check_records
from auto_insurance.infra.bus.errors import LogFull, LogUnavailable
from auto_insurance.infra.bus.partitioner import partition_of
from auto_insurance.infra.bus.postgres.backlog import Backlog
from auto_insurance.infra.bus.postgres.connections import Conn, Connections
from auto_insurance.infra.bus.postgres.options import PostgresLogOptions
from auto_insurance.infra.bus.postgres.segments import Segments, TopicInfo
from auto_insurance.infra.bus.postgres.wakeups import Wakeups
from auto_insurance.infra.bus.protocol import NewRecord, Position
from auto_insurance.kernel.errors import Unavailable

log = structlog.get_logger(__name__)
_APPEND = "SELECT partition_no, base_offset FROM event_log_append($1, $2, $3, $4, $5)"
_partition = itemgetter(0)


@dataclass(slots=True, eq=False)
class _Call:
    """One ``append`` that waits for its turn."""

    records: Sequence[NewRecord]
    topics: Sequence[TopicInfo]
    size: int
    done: asyncio.Future[list[Position]]
    positions: dict[int, Position] = field(default_factory=dict)


async def insert_records(
    conn: Conn, topic: TopicInfo, records: Sequence[tuple[int, NewRecord]]
) -> list[tuple[int, Position]]:
    """Append ``(tag, record)`` pairs of one topic in the connection's transaction; return ``(tag, position)`` pairs."""
    rows = sorted(((partition_of(r.key, topic.partitions), tag, r) for tag, r in records), key=_partition)
    bases = await conn.fetch(
        _APPEND,
        topic.no,
        [partition for partition, _, _ in rows],
        [record.key for _, _, record in rows],
        _headers([record for _, _, record in rows]),
        [record.value for _, _, record in rows],
    )
    following = {base["partition_no"]: base["base_offset"] for base in bases}
    placed: list[tuple[int, Position]] = []
    for partition, tag, _ in rows:
        placed.append((tag, Position(topic.name, partition, following[partition])))
        following[partition] += 1
    return placed


def _headers(records: Sequence[NewRecord]) -> list[str | None]:
    """Return headers as JSON; the records of one upload share theirs, and the work."""
    texts: dict[int, str | None] = {}
    for record in records:
        if id(record.headers) not in texts:
            texts[id(record.headers)] = msgspec.json.encode(record.headers).decode() if record.headers else None
    return [texts[id(record.headers)] for record in records]


class Appender:
    """Coalesces concurrent appends. Calls of one task keep their order; the queue is bounded."""

    def __init__(
        self, connections: Connections, segments: Segments, wakeups: Wakeups, options: PostgresLogOptions
    ) -> None:
        self._connections = connections
        self._segments = segments
        self._wakeups = wakeups
        self._options = options
        self.backlog = Backlog(connections, options)
        self._queue: deque[_Call] = deque()
        self._queued_bytes = 0
        self._queued_records = 0
        self._flusher: asyncio.Task[None] | None = None
        self._refuse_until = 0.0
        self._roll_at = time.monotonic() + options.roll_check_s
        self._closed = False

    async def append(self, records: Sequence[NewRecord]) -> list[Position]:
        """Append durably. See :meth:`auto_insurance.infra.bus.protocol.EventLog.append`."""
        size = check_records(records)
        if not records:
            return []
        if self._closed or time.monotonic() < self._refuse_until:
            raise LogUnavailable("the event log's database is away", retry_after_s=2)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._options.append_timeout_s):
                infos = {name: await self._segments.topic(name) for name in {record.topic for record in records}}
                topics = [infos[record.topic] for record in records]
                self._admit(records, infos.values(), size)
                call = _Call(records, topics, size, loop.create_future())
                self._enqueue(call)
                return await call.done
        except TimeoutError:
            self._refuse_until = time.monotonic() + self._options.refuse_s
            raise LogUnavailable("the event log did not answer in time", retry_after_s=2) from None

    async def close(self) -> None:
        """Refuse new appends and finish those that wait."""
        self._closed = True
        if self._flusher is not None:
            await asyncio.wait({self._flusher}, timeout=self._options.append_timeout_s)
            self._flusher.cancel()
        await self.backlog.close()

    def _admit(self, records: Sequence[NewRecord], topics: Iterable[TopicInfo], size: int) -> None:
        if (
            self._queued_records + len(records) > self._options.max_queued_records
            or self._queued_bytes + size > self._options.max_queued_bytes
        ) and self._queue:
            raise LogFull("too many appends are waiting", retry_after_s=1)
        for topic in topics:
            self.backlog.admit(topic)

    def _enqueue(self, call: _Call) -> None:
        self._queue.append(call)
        self._queued_bytes += call.size
        self._queued_records += len(call.records)
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush(), name="event-log-append")

    async def _flush(self) -> None:
        while self._queue:
            calls = self._take()
            if not calls:
                continue
            try:
                await self._write(calls)
            except Unavailable as error:
                self._refuse_until = time.monotonic() + self._options.refuse_s
                _fail([*calls, *self._drain()], error)
            except Exception as error:
                await self._write_apart(calls, error)
            await self._roll_if_due()

    def _take(self) -> list[_Call]:
        calls: list[_Call] = []
        size = count = 0
        while self._queue:
            call = self._queue[0]
            if calls and (
                size + call.size > self._options.flush_bytes or count + len(call.records) > self._options.flush_records
            ):
                break
            self._leave_queue()
            if not call.done.done():  # its caller may have given up meanwhile
                calls.append(call)
                size += call.size
                count += len(call.records)
        return calls

    def _leave_queue(self) -> _Call:
        call = self._queue.popleft()
        self._queued_bytes -= call.size
        self._queued_records -= len(call.records)
        return call

    def _drain(self) -> list[_Call]:
        return [self._leave_queue() for _ in range(len(self._queue))]

    async def _write(self, calls: Sequence[_Call]) -> None:
        topics: dict[int, TopicInfo] = {}
        by_topic: dict[int, list[tuple[int, NewRecord]]] = {}
        tag = 0
        for call in calls:
            for record, topic in zip(call.records, call.topics, strict=True):
                topics[topic.no] = topic
                by_topic.setdefault(topic.no, []).append((tag, record))
                tag += 1
        placed: dict[int, Position] = {}
        async with self._connections.use() as conn:
            if len(by_topic) == 1:  # one statement is one transaction and one round trip
                [(no, pairs)] = by_topic.items()
                placed.update(await insert_records(conn, topics[no], pairs))
            else:
                async with conn.transaction():
                    for no, pairs in sorted(by_topic.items()):
                        placed.update(await insert_records(conn, topics[no], pairs))
        self._settle(calls, topics, by_topic, placed)

    def _settle(
        self,
        calls: Sequence[_Call],
        topics: dict[int, TopicInfo],
        by_topic: dict[int, list[tuple[int, NewRecord]]],
        placed: dict[int, Position],
    ) -> None:
        tag = 0
        for call in calls:
            if not call.done.done():
                call.done.set_result([placed[tag + i] for i in range(len(call.records))])
            tag += len(call.records)
        for no, topic in topics.items():
            self.backlog.added(topic, by_topic[no])
            self._wakeups.notify(topic.name)

    async def _write_apart(self, calls: Sequence[_Call], error: Exception) -> None:
        """Write call by call: what one caller got wrong must not fail the others."""
        if len(calls) == 1:
            log.error("event_log_append_failed", error=type(error).__name__)
            _fail(calls, error)
            return
        for call in calls:
            try:
                await self._write([call])
            except Exception as own:
                _fail([call], own)

    async def _roll_if_due(self) -> None:
        if time.monotonic() < self._roll_at:
            return
        self._roll_at = time.monotonic() + self._options.roll_check_s
        try:
            await self._segments.roll()
        except Exception as error:
            log.warning("log_segment_roll_failed", error=type(error).__name__)


def _fail(calls: Sequence[_Call], error: Exception) -> None:
    for call in calls:
        if not call.done.done():
            call.done.set_exception(error)
