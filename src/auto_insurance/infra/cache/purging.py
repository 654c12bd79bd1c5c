"""Purges: after a commit here, heard by the processes that keep answers.

A purge drops the marks in this process, deletes their generations in Redis and is published. Where callers wait for an
answer, it also waits for the other processes to say that they have dropped theirs: whoever was told that a write is
done sees it wherever the next request goes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence, Set
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis

from auto_insurance.infra import metrics
from auto_insurance.infra.cache.keys import PREFIX, generation
from auto_insurance.infra.db.touched import EVERYTHING
from auto_insurance.infra.redis import Away, RedisClient

log = structlog.get_logger(__name__)
CHANNEL = f"{PREFIX}:purges"
ACKNOWLEDGED_WITHIN_S = 0.25
"""A process that has not dropped its answers by then stands still; its answers end by themselves."""
AT_ONCE = 1_000
"""Marks per message."""
MAX_PENDING = 50_000
RETRY_S = 0.5


class Purge(msgspec.Struct, frozen=True, array_like=True):
    """What is published. ``answer_to`` is the channel of a sender who waits, empty if nobody does."""

    number: int
    sender: bytes
    answer_to: str
    marks: list[str]


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Purge).decode


class Waiting:
    """Purges of this process that others have not confirmed yet."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[int, asyncio.Future[None]]] = {}
        self._early: dict[int, int] = {}
        self.number = 0

    def next(self) -> int:
        """Return a number for a purge."""
        self.number += 1
        self._early[self.number] = 0
        return self.number

    def confirmed(self, number: int) -> None:
        """Count a confirmation; it may come before the sender knows how many there will be."""
        if number in self._early:
            self._early[number] += 1
        elif number in self._open:
            missing, done = self._open[number]
            self._open[number] = (missing - 1, done)
            if missing <= 1 and not done.done():
                done.set_result(None)

    async def all(self, number: int, wanted: int) -> bool:
        """Wait until ``wanted`` have confirmed; returns whether they did in time."""
        missing = wanted - self._early.pop(number, 0)
        if missing <= 0:
            return True
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open[number] = (missing, done)
        try:
            async with asyncio.timeout(ACKNOWLEDGED_WITHIN_S):
                await done
        except TimeoutError:
            return False
        finally:
            del self._open[number]
        return True

    def forget(self, number: int) -> None:
        """Wait for a purge no more."""
        self._early.pop(number, None)


class Purger:
    """Drops what a commit made worthless, here and everywhere."""

    def __init__(self, redis: RedisClient | None, drop_here: Callable[[Set[str]], None]) -> None:
        self._redis = redis
        self._drop_here = drop_here
        self._running: set[asyncio.Task[None]] = set()
        self.pending: set[str] = set()
        """Marks whose purge Redis has not taken yet. While there are any, Redis is not believed by this process."""
        self.sender = os.urandom(8)
        self.answers = f"{CHANNEL}:{self.sender.hex()}"
        self.waiting = Waiting()
        self.listening: Callable[[], bool] = lambda: False
        """Whether this process hears what is published: it can then wait for confirmations."""

    async def purge(self, marks: Set[str]) -> None:
        """Drop everything that hangs on these. A caller who gives up does not stop it."""
        self._drop_here(marks)
        if self._redis is None:
            return
        task = asyncio.create_task(self._first(marks))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await asyncio.shield(task)

    async def retry(self) -> None:
        """Purge again what Redis has not taken."""
        marks = frozenset(self.pending)
        # Pending until it is done: nobody believes Redis while it is under way.
        self.pending -= marks - await self._everywhere(marks)

    async def close(self) -> None:
        """Let purges that are under way come to their end."""
        if self._running:
            await asyncio.wait(self._running, timeout=1.0)

    async def _first(self, marks: Set[str]) -> None:
        self.pending |= await self._everywhere(marks)
        if len(self.pending) > MAX_PENDING:
            self.pending = {EVERYTHING}

    async def _everywhere(self, marks: Set[str]) -> Set[str]:
        """Purge in Redis and tell the others; returns what Redis has not taken."""
        ordered = [EVERYTHING] if EVERYTHING in marks else sorted(marks)
        for start in range(0, len(ordered), AT_ONCE):
            if not await self._send(ordered[start : start + AT_ONCE]):
                return frozenset(ordered[start:])
        return frozenset()

    async def _send(self, marks: Sequence[str]) -> bool:
        assert self._redis is not None  # noqa: S101 - callers know
        listening = self.listening()
        number = self.waiting.next()
        message = encode(Purge(number, self.sender, self.answers if listening else "", list(marks)))

        async def command(redis: Redis) -> list[Any]:
            pipe = redis.pipeline(transaction=False)
            pipe.unlink(*(generation(mark) for mark in marks))
            pipe.publish(CHANNEL, message)
            done: list[Any] = await pipe.execute()
            return done

        with metrics.CACHE_LATENCY_SECONDS.labels("delete").time():
            done = await self._redis.run(command)
        if isinstance(done, Away):
            self.waiting.forget(number)
            return False
        others = int(done[1]) - 1 if listening else 0
        if not await self.waiting.all(number, others):
            metrics.CACHE_PURGES_UNCONFIRMED_TOTAL.inc()
        return True
