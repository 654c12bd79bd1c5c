"""Runs a handler on a log: poll, one transaction per batch, ticks, pauses, a clean end."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import delete, func
from sqlalchemy.dialects.postgresql import insert

from auto_insurance.infra import metrics
from auto_insurance.infra.bus import offsets
from auto_insurance.infra.bus.backoff import Backoff, wait_unless
from auto_insurance.infra.bus.errors import Fenced, OffsetOutOfRange, TopicRemade
from auto_insurance.infra.bus.faults import Fault, classify, describe
from auto_insurance.infra.bus.feed import Feed, FeedOptions
from auto_insurance.infra.bus.handler import Handler, Preparing
from auto_insurance.infra.bus.models import consumer_status
from auto_insurance.infra.bus.processor import Processor
from auto_insurance.infra.bus.progress import Lag, Progress
from auto_insurance.infra.bus.protocol import Consumer, EventLog, Record, TopicPartition
from auto_insurance.infra.bus.shared_clock import SharedClock
from auto_insurance.infra.db.uow import Database, UnitOfWork

log = structlog.get_logger(__name__)
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """Sizes and times of one consumer."""

    member: str = ""
    """Unique name in the group; made of host and process if empty."""
    max_records: int = 500
    max_batch_bytes: int = 8 * MIB
    """A batch is closed above either. Records of more than twice that are split over several transactions."""
    batch_wait_s: float = 0.0
    """How long a batch that is not full waits for company from its first record on."""
    poll_timeout_s: float = 0.5
    tick_interval_s: float = 1.0
    attempts: int = 3
    """How often a record that fails by itself is tried before it becomes a dead letter."""
    attempt_pause_s: float = 0.2
    backoff_first_s: float = 0.2
    backoff_most_s: float = 10.0
    drain_timeout_s: float = 10.0
    status_interval_s: float = 5.0
    lag_warning: int = 10_000


class Runner:
    """One member of a handler's consumer group. Implements ``Listener`` for its consumer."""

    def __init__(
        self,
        database: Database,
        log: EventLog,
        handler: Handler,
        options: RunnerOptions | None = None,
        *,
        on_commit: Callable[[], None] | None = None,
    ) -> None:
        self._database = database
        self._log = log
        self._handler = handler
        self._options = options or RunnerOptions()
        self._on_commit = on_commit
        self.member = self._options.member or f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"
        self._progress = Progress(handler.group, self._options.lag_warning)
        self._processor = Processor(
            database,
            handler,
            self._progress,
            attempts=self._options.attempts,
            pause_s=self._options.attempt_pause_s,
        )
        self._backoff = Backoff(self._options.backoff_first_s, self._options.backoff_most_s)
        self._storing = asyncio.Lock()
        """Held by a transaction: partitions come and go between transactions only."""
        self._look: asyncio.Task[tuple[Mapping[TopicPartition, int], datetime]] | None = None
        self._clock = SharedClock()
        self._tick_at = 0.0
        self._status_at = 0.0

    @property
    def lag(self) -> Lag:
        """The lag as of the last tick."""
        return self._progress.lag

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; then finish the batch at hand within the drain time and leave the group.

        Passing faults are waited out. Raises ``TopicRemade`` and ``OffsetOutOfRange``: a person has to decide.
        """
        consumer = self._log.consumer(self._handler.group, self._handler.topics, member=self.member)
        work = asyncio.create_task(self._loop(consumer, stop), name=f"runner-{self._handler.group}")
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({work}, timeout=self._options.drain_timeout_s)
        finally:
            stopping.cancel()
            work.cancel()  # no effect if it is done
            await asyncio.gather(work, stopping, return_exceptions=True)
            await self._leave(consumer)
        if not work.cancelled():
            work.result()
        else:
            log.warning("consumer_drain_cut_short", group=self._handler.group, member=self.member)

    async def on_assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take the partitions over in PostgreSQL. Raises ``TopicRemade``."""
        starts: dict[TopicPartition, offsets.Start] = {}
        for topic in sorted({tp.topic for tp in partitions}):
            topic_id = await self._log.topic_id(topic)
            first = await self._log.start_offsets(topic)
            starts |= {tp: offsets.Start(topic_id, first[tp]) for tp in partitions if tp.topic == topic}
        async with self._database.begin() as uow:
            claims = await offsets.load(uow, self._handler.group, starts)
            await self._clock.compare(uow)
        self._progress.assigned(claims)
        return {tp: claim.next_offset for tp, claim in claims.items()}

    async def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget them, once the transaction that is under way has ended."""
        async with self._storing:
            await self._forget(partitions)

    async def _forget(self, partitions: Sequence[TopicPartition]) -> None:
        self._progress.revoked(partitions)
        await self._handler.revoked(partitions)

    async def _loop(self, consumer: Consumer, stop: asyncio.Event) -> None:
        await consumer.start(self)
        prepare = self._handler.prepare if isinstance(self._handler, Preparing) else None
        feed = Feed(consumer, self._feed_options(), prepare)
        try:
            while not stop.is_set():
                await self._try_step(consumer, feed, stop)
        finally:
            await feed.stop()
            if self._look is not None:
                self._look.cancel()

    def _feed_options(self) -> FeedOptions:
        options = self._options
        return FeedOptions(options.max_records, options.max_batch_bytes, options.batch_wait_s, options.poll_timeout_s)

    async def _try_step(self, consumer: Consumer, feed: Feed, stop: asyncio.Event) -> None:
        group = self._handler.group
        try:
            await self._step(consumer, feed, stop)
            self._backoff.reset()
        except (TopicRemade, OffsetOutOfRange) as error:
            log.error("consumer_stopped", group=group, code=error.code)
            raise
        except Fenced:
            metrics.KAFKA_CONSUMER_ERRORS_TOTAL.inc()
            log.info("consumer_fenced", group=group, member=self.member)
            await feed.stop()
            await consumer.rejoin()
            await self._reconcile(consumer)
            await wait_unless(stop, self._backoff.next())
        except Exception as error:
            metrics.KAFKA_CONSUMER_ERRORS_TOTAL.inc()
            pause = self._backoff.next()
            self._tell(error, pause)
            await feed.stop()
            await self._reconcile(consumer)
            await wait_unless(stop, pause)
            await consumer.seek(self._progress.positions())

    async def _reconcile(self, consumer: Consumer) -> None:
        """Forget what the consumer gave up while its poll was cut off."""
        stale = sorted(self._progress.claims.keys() - consumer.assignment())
        if stale:
            await self._forget(stale)

    async def _step(self, consumer: Consumer, feed: Feed, stop: asyncio.Event) -> None:
        batch = await feed.take()
        records = self._progress.fresh(batch.records)
        if records:
            prepared = batch.prepared if records is batch.records else None
            async with self._storing:
                feed.start()  # the next batch is read while this one is in PostgreSQL
                await self._store(records, prepared, batch.size, stop)
            await consumer.committed(self._progress.positions())
        if stop.is_set():
            return
        if self._look is None and time.monotonic() >= self._tick_at:
            self._tick_at = time.monotonic() + self._options.tick_interval_s
            self._look = asyncio.create_task(_look(consumer, self._clock), name="lag")
        # How far the log reaches is asked beside the work; who has nothing to do may wait for the answer.
        if self._look is not None and (self._look.done() or not records):
            look, self._look = self._look, None
            self._progress.looked(*await look)
            async with self._storing:
                await self._tick()

    async def _store(self, records: Sequence[Record], prepared: object, size: int, stop: asyncio.Event) -> None:
        most = self._options.max_batch_bytes * 2
        parts = [records] if size <= most else _split(records, most)
        for part in parts:
            await self._processor.process(part, prepared if part is records else None)
            if self._on_commit is not None:
                self._on_commit()
            if stop.is_set():
                break

    async def _tick(self) -> None:
        if not self._progress.claims:
            return
        try:
            async with self._database.begin() as uow:
                await offsets.verify(uow, self._handler.group, self._progress.claims)
                await self._clock.compare(uow)
                await self._handler.tick(uow, self._progress.caught_up())
                await self._report(uow)
        except BaseException as error:
            self._handler.rolled_back()
            if isinstance(error, Exception) and not isinstance(error, Fenced) and classify(error) is Fault.OWN:
                metrics.KAFKA_CONSUMER_ERRORS_TOTAL.inc()
                log.error("tick_failed", group=self._handler.group, error=describe(error))
                return
            raise
        self._handler.committed()
        if self._on_commit is not None:
            self._on_commit()

    async def _report(self, uow: UnitOfWork) -> None:
        if time.monotonic() < self._status_at:
            return
        self._status_at = time.monotonic() + self._options.status_interval_s
        lag = self._progress.lag
        said = {"lag_messages": lag.messages, "lag_seconds": lag.seconds, "partitions": lag.partitions}
        query = insert(consumer_status).values(group_name=self._handler.group, member=self.member, **said)
        await uow.conn.execute(
            query.on_conflict_do_update(
                index_elements=[consumer_status.c.group_name, consumer_status.c.member],
                set_={**said, "seen_at": func.now()},
            )
        )

    async def _leave(self, consumer: Consumer) -> None:
        try:
            async with asyncio.timeout(self._options.drain_timeout_s):
                await consumer.close()
                async with self._database.begin() as uow:
                    mine = consumer_status.c.member == self.member
                    await uow.conn.execute(
                        delete(consumer_status).where(consumer_status.c.group_name == self._handler.group, mine)
                    )
        except Exception as error:
            log.warning("consumer_left_without_notice", group=self._handler.group, error=describe(error))

    def _tell(self, error: Exception, pause_s: float) -> None:
        group, pause = self._handler.group, round(pause_s, 2)
        if classify(error) is Fault.OWN:
            log.error("consumer_failed", group=group, error=describe(error), pause_s=pause)
        else:
            log.warning("consumer_paused", group=group, error=type(error).__name__, pause_s=pause)


async def _look(consumer: Consumer, shared: SharedClock) -> tuple[Mapping[TopicPartition, int], datetime]:
    at = shared.now()  # before the look: what arrives after it is not covered
    return await consumer.end_offsets(), at


def _split(records: Sequence[Record], max_bytes: int) -> Iterator[Sequence[Record]]:
    """Cut into parts of at most ``max_bytes`` of values, one record at least."""
    start = size = 0
    for i, record in enumerate(records):
        if i > start and size + len(record.value) > max_bytes:
            yield records[start:i]
            start, size = i, 0
        size += len(record.value)
    if records:
        yield records[start:]
