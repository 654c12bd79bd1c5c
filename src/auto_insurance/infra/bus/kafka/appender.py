"""Appends: one idempotent producer per process, whose acknowledgements wake those who wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from auto_insurance.infra.bus.checks import check_records
from auto_insurance.infra.bus.errors import InvalidRecord, LogFull, LogUnavailable
from auto_insurance.infra.bus.kafka.clients import UNKNOWN_TOPIC, error_of, milliseconds, settings, translated
from auto_insurance.infra.bus.kafka.options import KafkaLogOptions
from auto_insurance.infra.bus.kafka.topics import Topics
from auto_insurance.infra.bus.partitioner import partition_of
from auto_insurance.infra.bus.protocol import NewRecord, Position

log = structlog.get_logger(__name__)
_POLL_S = 0.1
_QUEUE_SLACK = 2
"""librdkafka's queue is larger than ours: ours refuses a call whole, before a part of it is taken."""


class _Call:
    """One ``append`` whose records are on their way."""

    __slots__ = ("done", "error", "left", "positions", "size", "topics")

    def __init__(self, records: Sequence[NewRecord], size: int, done: asyncio.Future[list[Position]]) -> None:
        self.left = len(records)
        self.size = size
        self.done = done
        self.topics = frozenset(record.topic for record in records)
        self.positions: list[Position] = [Position("", -1, -1)] * len(records)
        self.error: KafkaError | None = None


class Appender:
    """Hands records to the producer in the order of the calls; the queue is bounded."""

    def __init__(self, topics: Topics, options: KafkaLogOptions) -> None:
        self._topics = topics
        self._options = options
        self._producer: Producer | None = None
        self._poller: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finished: deque[_Call] = deque()
        self._waking = False
        self._counting = threading.Lock()
        self._calls: set[_Call] = set()
        self._queued_bytes = 0
        self._queued_records = 0
        self._refuse_until = 0.0
        self._closed = False

    @property
    def full(self) -> bool:
        """Whether the queue takes no more."""
        options = self._options
        return self._queued_records >= options.max_queued_records or self._queued_bytes >= options.max_queued_bytes

    async def append(self, records: Sequence[NewRecord], *, max_bytes: int | None = None) -> list[Position]:
        """Append durably. See :meth:`auto_insurance.infra.bus.protocol.EventLog.append`."""
        size = check_records(records) if max_bytes is None else check_records(records, max_bytes=max_bytes)
        if not records:
            return []
        if self._closed or time.monotonic() < self._refuse_until:
            raise LogUnavailable("Kafka is away", retry_after_s=2)
        try:
            async with asyncio.timeout(self._options.append_timeout_s + 1.0):
                sizes = {name: (await self._topics.info(name)).partitions for name in {r.topic for r in records}}
                call = self._send(records, sizes, size)
                return await call.done
        except (TimeoutError, LogUnavailable):
            self._refuse_until = time.monotonic() + self._options.refuse_s
            raise LogUnavailable("Kafka did not take the records in time", retry_after_s=2) from None

    async def close(self) -> None:
        """Refuse new appends and finish those that wait."""
        self._closed = True
        waits = [call.done for call in self._calls]
        if waits:
            await asyncio.wait(waits, timeout=self._options.append_timeout_s)
        if self._poller is not None:
            await asyncio.to_thread(self._poller.join)
        self._producer = None

    def _send(self, records: Sequence[NewRecord], sizes: dict[str, int], size: int) -> _Call:
        options = self._options
        if self._calls and (
            self._queued_records + len(records) > options.max_queued_records
            or self._queued_bytes + size > options.max_queued_bytes
        ):
            raise LogFull("too many appends are waiting", retry_after_s=1)
        producer = self._open()
        call = _Call(records, size, asyncio.get_running_loop().create_future())
        call.done.add_done_callback(_seen)
        self._calls.add(call)
        self._queued_records += len(records)
        self._queued_bytes += size
        sent = 0
        try:
            for number, record in enumerate(records):
                producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    partition_of(record.key, sizes[record.topic]),
                    partial(self._delivered, call, number),
                    headers=dict(record.headers) if record.headers else None,
                )
                sent += 1
        except (KafkaException, BufferError) as error:
            self._undo(call, records[sent:], error)
            raise LogUnavailable("the producer takes no more", retry_after_s=1) from error
        return call

    def _undo(self, call: _Call, rest: Sequence[NewRecord], error: KafkaException | BufferError) -> None:
        """Count what was never handed over as failed; what was will be heard of."""
        failed = error_of(error) if isinstance(error, KafkaException) else KafkaError(KafkaError._QUEUE_FULL)
        call.error = failed
        for _ in rest:
            self._settle(call)

    def _open(self) -> Producer:
        if self._producer is None:
            self._loop = asyncio.get_running_loop()
            self._producer = Producer(self._settings())
            self._poller = threading.Thread(
                target=self._poll, args=(self._producer,), name="kafka-acknowledgements", daemon=True
            )
            self._poller.start()
        return self._producer

    def _settings(self) -> dict[str, Any]:
        options = self._options
        return settings(
            options,
            **{
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": options.linger_s * 1000,
                "compression.type": options.compression,
                "delivery.timeout.ms": milliseconds(options.append_timeout_s),
                "message.max.bytes": options.max_published_bytes + 4096,
                "queue.buffering.max.messages": options.max_queued_records * _QUEUE_SLACK,
                "queue.buffering.max.kbytes": options.max_queued_bytes * _QUEUE_SLACK // 1024,
            },
        )

    def _poll(self, producer: Producer) -> None:
        """Serve acknowledgements, in a thread of its own, until all is closed and heard of."""
        while not self._closed or self._calls:
            producer.poll(_POLL_S)
            if self._producer is not producer and not len(producer):
                return

    def _delivered(self, call: _Call, number: int, error: KafkaError | None, message: Message) -> None:
        """Note one acknowledgement. Runs in the poller's thread, or in ours when nothing was sent."""
        if error is not None:
            call.error = error
        else:
            call.positions[number] = Position(
                message.topic() or "", _number(message.partition()), _number(message.offset())
            )
        self._settle(call)

    def _settle(self, call: _Call) -> None:
        with self._counting:
            call.left -= 1
        if call.left or self._loop is None:
            return
        self._finished.append(call)
        if not self._waking:  # one waking of the loop for many calls
            self._waking = True
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        self._waking = False
        while self._finished:
            call = self._finished.popleft()
            self._calls.discard(call)
            self._queued_records -= len(call.positions)
            self._queued_bytes -= call.size
            if call.error is not None:
                self._failed(call, call.error)
            elif not call.done.done():
                call.done.set_result(call.positions)

    def _failed(self, call: _Call, error: KafkaError) -> None:
        if error.code() in UNKNOWN_TOPIC:  # it was there when we looked: look again next time
            for name in call.topics:
                self._topics.forget(name)
        if error.fatal():
            log.error("kafka_producer_failed", code=error.name())
            self._producer = None  # the next append makes another
        reason = translated(error, "append")
        if isinstance(reason, InvalidRecord):
            reason = LogUnavailable("a topic went away", retry_after_s=1)
        if not call.done.done():
            call.done.set_exception(reason)


def _number(value: int | None) -> int:
    return -1 if value is None else value


def _seen(done: asyncio.Future[list[Position]]) -> None:
    """Look at the failure of a call whose caller has gone, lest asyncio complains."""
    if not done.cancelled():
        done.exception()
