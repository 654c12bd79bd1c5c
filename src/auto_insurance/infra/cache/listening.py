"""Hears purges of other processes. While it can't, this process keeps nothing: it would not know what has changed."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import msgspec
import structlog
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from auto_insurance.infra import metrics
from auto_insurance.infra.cache.l1 import L1
from auto_insurance.infra.cache.purging import CHANNEL, RETRY_S, Purger, decode
from auto_insurance.infra.redis import RedisClient

log = structlog.get_logger(__name__)
PING_S = 1.0
DEAF_S = 3.0
"""Seconds without a sign of life of the connection after which it counts as lost."""
SETTLE_S = 3.0
"""After a loss others may have purges that Redis did not take: they hand them in within this time."""
FIRST_PAUSE_S, MAX_PAUSE_S = 0.1, 5.0
MEMORY_EVERY_S = 15.0


class Listener:
    """The connection on which purges arrive."""

    def __init__(self, redis: RedisClient, l1: L1, purger: Purger) -> None:
        self._redis = redis
        self._l1 = l1
        self._purger = purger
        self._heard = -DEAF_S
        self._trusted_from = 0.0
        self._lost_before = False
        purger.listening = lambda: self.live

    @property
    def live(self) -> bool:
        """Whether purges arrive: answers in this process may be believed."""
        return monotonic() - self._heard < DEAF_S

    @property
    def settled(self) -> bool:
        """Whether answers in Redis may be believed."""
        return self.live and monotonic() >= self._trusted_from and not self._purger.pending

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until ``stop``; a lost connection is made anew, with growing pauses."""
        pause = FIRST_PAUSE_S
        beside = [asyncio.create_task(self._watch_memory(stop)), asyncio.create_task(self._hand_in(stop))]
        try:
            while not stop.is_set():
                began = monotonic()
                try:
                    await self._listen(stop, began)
                except (RedisError, OSError, TimeoutError) as error:
                    if self.live or not self._lost_before:
                        log.warning("cache_deaf", error=type(error).__name__)
                    self._lost()
                    pause = FIRST_PAUSE_S if monotonic() - began > MAX_PAUSE_S else min(2 * pause, MAX_PAUSE_S)
                    await _sleep(stop, pause)
        finally:
            self._lost()
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    def _lost(self) -> None:
        self._heard = -DEAF_S
        self._lost_before = True
        self._l1.clear()

    async def _listen(self, stop: asyncio.Event, began: float) -> None:
        pubsub: PubSub = self._redis.redis.pubsub()
        try:
            async with asyncio.timeout(DEAF_S):
                await pubsub.subscribe(*(wanted := {CHANNEL, self._purger.answers}))
            pinged, unanswered = began, 0
            while not stop.is_set():
                message = await pubsub.get_message(timeout=PING_S / 4)
                now = monotonic()
                if message is not None and message["type"] == "subscribe":
                    wanted.discard(message["channel"].decode())
                    if not wanted:
                        self._found(now)
                elif message is not None and not wanted:
                    self._heard, unanswered = now, 0
                    await self._take(message)
                if now - pinged >= PING_S:
                    # Pings are counted, not seconds: a process that stood still has answers waiting to be read.
                    if unanswered >= DEAF_S / PING_S:
                        raise TimeoutError
                    pinged, unanswered = now, unanswered + 1
                    await pubsub.ping()
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]

    def _found(self, now: float) -> None:
        # Messages may have been missed.
        self._l1.clear()
        if self._lost_before:
            self._trusted_from = now + SETTLE_S
            log.info("cache_hears_again")
        self._heard = now

    async def _take(self, message: dict[str, Any]) -> None:
        if message["type"] != "message":
            return
        if message["channel"] != CHANNEL.encode():
            self._purger.waiting.confirmed(int(message["data"]))
            return
        try:
            purge = decode(message["data"])
        except msgspec.MsgspecError:
            self._l1.clear()
            return
        if purge.sender == self._purger.sender:
            return
        self._l1.purge(purge.marks)
        if purge.answer_to:
            await self._redis.run(lambda redis: redis.publish(purge.answer_to, str(purge.number)))

    async def _hand_in(self, stop: asyncio.Event) -> None:
        """Purge what Redis has not taken yet, as soon as it is back."""
        while not stop.is_set():
            if self._purger.pending:
                await self._purger.retry()
            await _sleep(stop, RETRY_S)

    async def _watch_memory(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            said = await self._redis.run(lambda redis: redis.info("memory"))
            if isinstance(said, dict):
                metrics.CACHE_MEMORY_BYTES.set(float(said.get("used_memory", 0)))
            await _sleep(stop, MEMORY_EVERY_S)


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
