"""One member of a consumer group on Kafka."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from functools import partial
from typing import TypeVar

import structlog
from confluent_kafka import KafkaException

from auto_insurance.infra.bus.errors import InvalidRecord, LogUnavailable, TopicRemade
from auto_insurance.infra.bus.kafka.clients import translated
from auto_insurance.infra.bus.kafka.member import Member
from auto_insurance.infra.bus.kafka.options import KafkaLogOptions
from auto_insurance.infra.bus.kafka.topics import TopicInfo, Topics
from auto_insurance.infra.bus.protocol import Listener, Record, TopicPartition

log = structlog.get_logger(__name__)
T = TypeVar("T")


class KafkaConsumer:
    """Implements :class:`auto_insurance.infra.bus.protocol.Consumer`. For one task.

    librdkafka fetches ahead into its own bounded memory. A partition that has to be given up is first told to the
    listener, which waits for the transaction under way; only then does the group hear that we agree.
    """

    def __init__(self, topics: Topics, options: KafkaLogOptions, group: str, names: Sequence[str], member: str) -> None:
        self._topics = topics
        self._options = options
        self._group = group
        self._names = tuple(names)
        self._name = member
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka-consumer")
        self._member: Member | None = None
        self._listener: Listener | None = None
        self._ids: dict[str, str] = {}
        self._doubtful = False

    async def start(self, listener: Listener) -> None:
        """Join at the next poll; needs no broker yet."""
        self._listener = listener

    async def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        """See :meth:`auto_insurance.infra.bus.protocol.Consumer.poll`.

        The first poll after joining waits somewhat longer: for the group's answer.
        """
        deadline = until = time.monotonic() + timeout_s
        if max_records <= 0:
            return []
        if self._member is None:
            until = max(deadline, await self._join())
        while (member := self._member) is not None:
            if member.stale or self._doubtful:
                await self._leave()
                until = max(until, await self._join())
                continue
            await self._assign(member)
            if member.placed():
                until = deadline
            records = await self._do(partial(member.take, max_records, max(0.0, until - time.monotonic())))
            if records or time.monotonic() >= until:
                return records
        return []

    async def keep(self) -> None:
        """Let the group see that we live; fetched records wait, fetching pauses."""
        if (member := self._member) is not None and not member.stale:
            await self._do(member.keep)

    async def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read on from these offsets; partitions that are not assigned are left out."""
        if (member := self._member) is not None:
            mine = {tp: offset for tp, offset in positions.items() if tp in member.placed()}
            await self._do(partial(member.place, mine))

    def assignment(self) -> frozenset[TopicPartition]:
        return self._member.placed() if self._member is not None else frozenset()

    async def end_offsets(self) -> Mapping[TopicPartition, int]:
        """Return the ends of the assigned partitions.

        Raises ``TopicRemade``: an offset in a topic made anew would be another record.
        """
        assigned = sorted(self.assignment())
        if not assigned:
            return {}
        for info in await self._look({tp.topic for tp in assigned}):
            if self._ids.get(info.name, info.id) != info.id:
                raise TopicRemade(f"topic {info.name} was made anew while group {self._group} read it")
        return await self._topics.ends_of(assigned)

    async def committed(self, positions: Mapping[TopicPartition, int]) -> None:
        """Note them for lag tools; Kafka is told from the background."""
        if (member := self._member) is not None:
            member.tell(positions)  # not in the thread: a poll may be waiting there

    async def rejoin(self) -> None:
        """Leave the group and join anew at the next poll: only the group can say what is still ours."""
        await self._leave()

    async def close(self) -> None:
        """Leave the group, so that others take over at once; a broker that is away does not hold us up."""
        await self._leave()
        self._thread.shutdown(wait=False)

    async def _join(self) -> float:
        """Join; return until when to wait for partitions. Raises ``LogUnavailable`` while a topic is missing."""
        await self._look(self._names)
        gone = partial(self._give_up, asyncio.get_running_loop())
        self._member = await self._do(partial(Member, self._group, self._names, self._name, self._options, gone))
        return time.monotonic() + self._options.join_wait_s

    async def _look(self, names: Iterable[str]) -> list[TopicInfo]:
        try:
            return list((await self._topics.look(sorted(names))).values())
        except InvalidRecord:
            raise LogUnavailable(f"a topic of group {self._group} is not there") from None

    async def _assign(self, member: Member) -> None:
        given = member.given()
        if not given or self._listener is None:
            return
        for info in await self._look({tp.topic for tp in given}):
            if not any(tp.topic == info.name for tp in member.placed()):
                self._ids[info.name] = info.id
        try:
            positions = await self._listener.on_assigned(given)
        except Exception:
            await self._do(member.serve)  # a database that is away for long does not cost us the membership
            raise
        await self._do(partial(member.place, positions))
        log.info("partitions_assigned", group=self._group, member=self._name, partitions=len(given))

    def _give_up(self, loop: asyncio.AbstractEventLoop, gone: Sequence[TopicPartition]) -> None:
        """Tell the listener and wait for it. Runs in the thread that polls or leaves, before the group is answered."""
        if self._listener is None:
            return
        told = self._listener.on_revoked(gone)
        try:
            asyncio.run_coroutine_threadsafe(told, loop).result(self._options.drain_timeout_s)
        except RuntimeError:  # the loop has ended, and all work with it
            told.close()
        except FutureTimeout:
            log.warning("partitions_given_up_unfinished", group=self._group, member=self._name)
            self._doubtful = True
        log.info("partitions_revoked", group=self._group, member=self._name, partitions=len(gone))

    async def _leave(self) -> None:
        """Leave the group; without a broker that would take as long as the session, so it goes on without us."""
        member, self._member, self._doubtful = self._member, None, False
        if member is None:
            return
        await self._do(member.placed)  # a poll that was cancelled has to end first
        left = asyncio.Event()
        work = partial(_leave, member, asyncio.get_running_loop(), left)
        threading.Thread(target=work, name="kafka-consumer-leaves", daemon=True).start()
        try:
            async with asyncio.timeout(self._options.leave_timeout_s):
                await left.wait()
        except TimeoutError:
            log.warning("consumer_left_without_notice", group=self._group, member=self._name)
        if (left_over := member.abandon()) and self._listener is not None:
            await self._listener.on_revoked(left_over)

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except KafkaException as error:
            raise translated(error, f"consumer of {self._group}") from error


def _leave(member: Member, loop: asyncio.AbstractEventLoop, left: asyncio.Event) -> None:
    member.leave()
    with suppress(RuntimeError):  # nobody waits any more: the loop is closed
        loop.call_soon_threadsafe(left.set)
