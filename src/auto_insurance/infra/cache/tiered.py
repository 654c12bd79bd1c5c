"""Reads through the levels: this process, Redis, the rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from auto_insurance.infra import metrics
from auto_insurance.infra.cache.entries import Entry, Stored, absent_of, entry_of
from auto_insurance.infra.cache.keys import Place
from auto_insurance.infra.cache.l1 import L1, Held
from auto_insurance.infra.cache.l2 import L2
from auto_insurance.infra.cache.listening import Listener
from auto_insurance.infra.cache.purging import Purger
from auto_insurance.infra.redis import RedisClient
from auto_insurance.infra.single_flight import SingleFlight
from auto_insurance.kernel.errors import AppError, ErrorKind

Build = Callable[[], Awaitable[bytes]]
"""Makes an answer from the rows, in a transaction of its own. Raises an error of kind not_found if there is none."""


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """``l1_*``: the level in this process; ``negative_ttl_s``: how long it is known that something is not there."""

    l1_entries: int = 1_000
    l1_ttl_s: float = 60.0
    negative_ttl_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Found:
    """What is kept at some places, and what more may be stored under: nothing without generations and ``seen``."""

    entries: Mapping[Place, Entry] = field(default_factory=dict)
    generations: Mapping[str, bytes] | None = None
    seen: int | None = None
    """The number of this process's last purge, from before the look; None if it hears of none."""


class ReadCache:
    """Answers about drivers. Without Redis nothing is kept: there would be nobody to tell of changes."""

    def __init__(self, redis: RedisClient | None, options: CacheOptions | None = None) -> None:
        self._options = options or CacheOptions()
        self.l1 = L1(self._options.l1_entries)
        self.l2 = None if redis is None else L2(redis)
        self.purger = Purger(redis, self.l1.purge)
        self.listener = None if redis is None else Listener(redis, self.l1, self.purger)
        self._flights: SingleFlight[Hashable, Held] = SingleFlight()
        self._hit = metrics.CACHE_HITS_TOTAL.labels("l1").inc
        self._missed = metrics.CACHE_MISSES_TOTAL.labels("l1").inc
        self._took = metrics.CACHE_LATENCY_SECONDS.labels("get").observe
        self._l2_hit = metrics.CACHE_HITS_TOTAL.labels("l2").inc
        self._l2_missed = metrics.CACHE_MISSES_TOTAL.labels("l2").inc

    def peek(self, place: Place) -> Held | None:
        """Return what this process keeps and may believe; counts a hit or a miss."""
        started = perf_counter()
        listener = self.listener
        held = self.l1.get(place) if listener is not None and listener.live else None
        if held is None:
            self._missed()
            return None
        self._hit()
        self._took(perf_counter() - started)
        return held

    async def read(self, place: Place, build: Build) -> Held:
        """Return the answer from Redis or made now, by one caller for all who ask at the moment.

        Nobody joins a making that began before a purge. Raises what ``build`` raises, but for kind not_found: that
        is an entry too.
        """
        if self.listener is None or not self.listener.live:
            # Nobody would tell of changes: each caller sees the rows itself.
            return Held(await self._built(build), place.marks, self.l1.purges, 0.0)
        flight = (place, self.l1.last(place.marks))
        return await self._flights.run(flight, lambda: self._fetch(place, build))

    async def find(self, places: Sequence[Place]) -> Found:
        """Return what is kept at these places, in one round trip for all that this process does not hold."""
        listener = self.listener
        if listener is None or not listener.live or not places:
            return Found()
        seen = self.l1.purges
        entries = {place: held.entry for place in places if (held := self.peek(place)) is not None}
        rest = [place for place in places if place not in entries]
        looked = await self.l2.get_many(rest) if rest and self.l2 is not None and listener.settled else None
        if looked is None:
            return Found(entries, None, seen)
        for place, entry in looked.entries.items():
            entries[place] = self.hold(place, entry, seen).entry
        self._l2_hit(len(looked.entries))
        self._l2_missed(len(rest) - len(looked.entries))
        return Found(entries, looked.generations, seen)

    async def keep(self, found: Found, bodies: Mapping[Place, bytes]) -> None:
        """Keep what was made, after ``find``, of rows that were read after it."""
        if found.seen is None or not bodies:
            return
        stored: dict[Place, Stored] = {}
        for place, body in bodies.items():
            entry = self.hold(place, entry_of(body, pack=place.key.sent), found.seen).entry
            if found.generations is not None:
                stored[place] = Stored([found.generations[mark] for mark in place.marks], entry)
        if self.l2 is not None and stored:
            await self.l2.set_many(stored, min(place.key.ttl_s for place in stored))

    async def run(self, stop: asyncio.Event) -> None:
        """Hear of purges until ``stop``; without it nothing is kept."""
        if self.listener is not None:
            await self.listener.run(stop)

    async def close(self) -> None:
        """Let purges that are under way come to their end."""
        await self.purger.close()

    def hold(self, place: Place, entry: Entry, seen: int) -> Held:
        """Keep an answer in this process; ``seen`` is ``l1.purges`` from before anything was read for it."""
        negative = entry.absent is not None
        ttl_s = self._options.negative_ttl_s if negative else min(self._options.l1_ttl_s, place.key.ttl_s)
        held = Held(entry, place.marks, seen, ttl_s)
        self.l1.put(place, held)
        return held

    async def _fetch(self, place: Place, build: Build) -> Held:
        seen = self.l1.purges
        settled = self.listener is not None and self.listener.settled
        looked = await self.l2.get(place) if self.l2 is not None and settled else None
        if looked is not None and looked.entry is not None:
            self._l2_hit()
            return self.hold(place, looked.entry, seen)
        self._l2_missed()
        entry = await self._built(build)
        held = self.hold(place, entry, seen)
        if looked is not None and self.l2 is not None:
            ttl_s = place.key.ttl_s if entry.absent is None else self._options.negative_ttl_s
            await self.l2.set(place, looked.generations, entry, ttl_s)
        return held

    @staticmethod
    async def _built(build: Build) -> Entry:
        try:
            return entry_of(await build())
        except AppError as error:
            if error.kind is not ErrorKind.NOT_FOUND:
                raise
            return absent_of(error)
