"""One member of a consumer group on the PostgreSQL engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import structlog

from auto_insurance.infra.bus.postgres.connections import Connections
from auto_insurance.infra.bus.postgres.membership import Membership
from auto_insurance.infra.bus.postgres.options import PostgresLogOptions
from auto_insurance.infra.bus.postgres.reader import Reader
from auto_insurance.infra.bus.postgres.segments import Segments
from auto_insurance.infra.bus.postgres.wakeups import Wakeups
from auto_insurance.infra.bus.protocol import Listener, Record, TopicPartition
from auto_insurance.kernel.errors import Unavailable

log = structlog.get_logger(__name__)


class PostgresConsumer:
    """Implements :class:`auto_insurance.infra.bus.protocol.Consumer`. For one task; heartbeats run beside it."""

    def __init__(
        self,
        connections: Connections,
        segments: Segments,
        wakeups: Wakeups,
        options: PostgresLogOptions,
        group: str,
        topics: Sequence[str],
        member: str,
    ) -> None:
        self._segments = segments
        self._wakeups = wakeups
        self._options = options
        self._channel = f"group:{group}"
        self._group = group
        self._topics = tuple(topics)
        self._member = member
        self._membership = Membership(connections, segments, group, topics, member, options)
        self._reader = Reader(connections, options.fetch_bytes)
        self._listener: Listener | None = None
        self._news = asyncio.Event()
        self._regroup = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None
        self._sync_at = 0.0
        self._polled_at = time.monotonic()

    async def start(self, listener: Listener) -> None:
        """Join at the next poll; needs no database yet."""
        self._listener = listener
        self._news = self._wakeups.subscribe([*self._topics, self._channel])
        self._regroup = self._wakeups.subscribe([self._channel])
        self._beating = asyncio.create_task(self._beat(), name=f"heartbeat-{self._group}")

    async def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        """See :meth:`auto_insurance.infra.bus.protocol.Consumer.poll`."""
        deadline = time.monotonic() + timeout_s
        while True:
            self._polled_at = time.monotonic()
            self._news.clear()
            await self._keep_membership()
            records = await self._reader.fetch(max_records) if max_records > 0 else []
            left = deadline - time.monotonic()
            if records or left <= 0:
                return records
            try:
                await asyncio.wait_for(self._news.wait(), min(left, self._options.poll_interval_s))
            except TimeoutError:
                continue

    async def keep(self) -> None:
        """Keep the membership."""
        self._polled_at = time.monotonic()
        await self._keep_membership()

    async def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read on from these offsets; partitions that are not assigned are left out."""
        for tp, offset in positions.items():
            if tp in self._reader.positioned():
                self._reader.place(tp, await self._segments.topic(tp.topic), offset)

    def assignment(self) -> frozenset[TopicPartition]:
        return self._reader.positioned()

    async def end_offsets(self) -> Mapping[TopicPartition, int]:
        return await self._reader.ends() if self._reader.positioned() else {}

    async def committed(self, positions: Mapping[TopicPartition, int]) -> None:
        """The offsets in PostgreSQL are all that this engine has."""

    async def rejoin(self) -> None:
        """Drop the assignment and ask anew at the next poll."""
        await self._revoke(sorted(self._reader.positioned()))
        self._sync_at = 0.0

    async def close(self) -> None:
        """Leave the group, so that others take over at once; a database that is away does not hold us up."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        self._wakeups.unsubscribe(self._news)
        self._wakeups.unsubscribe(self._regroup)
        await self._revoke(sorted(self._reader.positioned()))
        try:
            await self._membership.leave()
            self._wakeups.notify(self._channel)
        except Unavailable as error:
            log.warning("consumer_left_without_notice", group=self._group, error=type(error).__name__)

    async def _keep_membership(self) -> None:
        if not self._regroup.is_set() and time.monotonic() < self._sync_at:
            return
        self._regroup.clear()
        standing = await self._membership.sync(())
        changed = standing.changed
        await self._revoke(sorted(self._reader.positioned() - standing.owned))
        if standing.release:
            await self._revoke(sorted(standing.release & self._reader.positioned()))
            standing = await self._membership.sync(standing.release)
            changed = True
        await self._assign(sorted(standing.owned - self._reader.positioned()))
        self._sync_at = time.monotonic() + self._options.rebalance_s
        if changed:
            self._wakeups.notify(self._channel)
            self._regroup.clear()  # our own call

    async def _assign(self, tps: Sequence[TopicPartition]) -> None:
        if not tps or self._listener is None:
            return
        infos = {topic: await self._segments.topic(topic, fresh=True) for topic in {tp.topic for tp in tps}}
        positions = await self._listener.on_assigned(tps)
        for tp in tps:
            self._reader.place(tp, infos[tp.topic], positions[tp])
        log.info("partitions_assigned", group=self._group, member=self._member, partitions=len(tps))

    async def _revoke(self, tps: Sequence[TopicPartition]) -> None:
        if not tps or self._listener is None:
            return
        self._reader.drop(tps)
        await self._listener.on_revoked(tps)
        log.info("partitions_revoked", group=self._group, member=self._member, partitions=len(tps))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._options.heartbeat_s)
            if time.monotonic() - self._polled_at > self._options.max_poll_interval_s:
                continue
            try:
                if not await self._membership.heartbeat():
                    self._sync_at = 0.0
            except Exception as error:
                log.debug("consumer_heartbeat_failed", group=self._group, error=type(error).__name__)
