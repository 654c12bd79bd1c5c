"""The second level: answers in Redis, shared by all processes.

An answer is stored with the generations of all that it was made of, as they were before its making began. A purge
deletes the generations; the next reader draws new ones at random. So an answer that was made of old rows and arrives
after the purge is stored, and never believed. No script, no lock, no clock.
"""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from auto_insurance.infra import metrics
from auto_insurance.infra.cache.entries import MAX_BYTES, Entry, Stored, decode, encode
from auto_insurance.infra.cache.keys import Place, generation, names_of
from auto_insurance.infra.redis import Away, RedisClient
from auto_insurance.infra.together import Together

GENERATION_TTL_S = 2 * 86_400
"""A generation that ends early costs a miss, nothing else."""
JITTER = 0.1
"""Share of the life that is left to chance, so that what was stored together does not end together."""
AT_ONCE = 1_000
"""Names per command."""
READ_AT_ONCE = 100
"""Answers in one command of readers: none waits for many others'."""
SCAN_STEP = 500
MAX_SCANNED = 10_000_000
"""Names that a search looks at before it gives up."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look brought: the answer if a good one is there, and the generations to store another one under."""

    entry: Entry | None
    generations: list[bytes]


@dataclass(frozen=True, slots=True)
class LookedAtMany:
    """The good answers of several places, and the generations of all their marks."""

    entries: Mapping[Place, Entry]
    generations: Mapping[str, bytes]


class L2:
    """Answers in Redis. What Redis does not answer is None: the caller goes on without."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis
        # A command costs this process more than what it carries: those of a moment share one.
        self._looks: Together[Place, Looked] = Together(self._look, READ_AT_ONCE)
        self._stores: Together[Place, bool] = Together(self._store, READ_AT_ONCE)
        self._to_store: dict[Place, tuple[Stored, float]] = {}

    async def get(self, place: Place) -> Looked | None:
        """Look for an answer; None if Redis is away. Call it before the rows are read that an answer is made of."""
        with _timed("get"):
            return await self._looks.get(place)

    async def _look(self, places: Sequence[Place]) -> dict[Place, Looked]:
        named = {place: [generation(mark) for mark in place.marks] for place in places}
        generations = list(dict.fromkeys(name for names in named.values() for name in names))
        found = await self._redis.run(partial(_many, names=[*(place.name for place in places), *generations]))
        if isinstance(found, Away):
            return {}
        now = dict(zip(generations, found[len(places) :], strict=True))
        drawn = await self._draw([name for name, value in now.items() if value is None])
        if drawn is None:
            return {}
        known = cast("dict[str, bytes]", now | drawn)
        looked = {}
        for place, body in zip(places, found, strict=False):
            own = [known[name] for name in named[place]]
            looked[place] = Looked(_believed(body, own), own)
        return looked

    async def get_many(self, places: Sequence[Place]) -> LookedAtMany | None:
        """Look for several answers in one round trip; None if Redis is away. Call it before the rows are read."""
        marks = sorted({mark for place in places for mark in place.marks})
        names = [*(place.name for place in places), *map(generation, marks)]
        with _timed("get"):
            found = await self._redis.run(partial(_many, names=names))
            if isinstance(found, Away):
                return None
            there = dict(zip(marks, found[len(places) :], strict=True))
            drawn = await self._draw([generation(mark) for mark, value in there.items() if value is None])
        if drawn is None:
            return None
        known = {mark: drawn[generation(mark)] if value is None else value for mark, value in there.items()}
        believed = {
            place: entry
            for place, body in zip(places, found, strict=False)
            if (entry := _believed(body, [known[mark] for mark in place.marks])) is not None
        }
        return LookedAtMany(believed, known)

    async def generations(self, marks: Collection[str]) -> dict[str, bytes] | None:
        """Return the generations of marks, new ones where there is none; None if Redis is away."""
        found: dict[str, bytes] = {}
        for names in _batches([generation(mark) for mark in sorted(marks)]):
            now = await self._redis.run(partial(_many, names=names))
            if isinstance(now, Away):
                return None
            there = dict(zip(names, now, strict=True))
            drawn = await self._draw([name for name, value in there.items() if value is None])
            if drawn is None:
                return None
            found |= {name: cast("bytes", drawn.get(name, value)) for name, value in there.items()}
        return {mark: found[generation(mark)] for mark in marks}

    async def set(self, place: Place, generations: Sequence[bytes], entry: Entry, ttl_s: float) -> None:
        """Store an answer that was made after ``generations`` were looked up."""
        self._to_store[place] = (Stored(list(generations), entry), ttl_s)
        await self._stores.get(place)

    async def _store(self, places: Sequence[Place]) -> dict[Place, bool]:
        by_ttl: dict[float, dict[Place, Stored]] = {}
        for place in places:
            stored, ttl_s = self._to_store.pop(place)
            by_ttl.setdefault(ttl_s, {})[place] = stored
        for ttl_s, rows in by_ttl.items():
            await self.set_many(rows, ttl_s)
        return {}

    async def set_many(self, stored: Mapping[Place, Stored], ttl_s: float) -> int | None:
        """Store answers in one round trip; returns how many, None if Redis is away."""
        rows = {p.name: encode(one) for p, one in stored.items() if one.entry.size <= MAX_BYTES}

        async def command(redis: Redis) -> int:
            pipe = redis.pipeline(transaction=False)
            for name, value in rows.items():
                pipe.set(name, value, px=max(1, int(jittered(ttl_s) * 1000)))
            return len(await pipe.execute())

        with _timed("set"):
            done = await self._redis.run(command) if rows else 0
        return None if isinstance(done, Away) else done

    async def forget(self, driver_id: str) -> int | None:
        """Remove all that is kept about a driver, such as for an erasure; returns how many names, None if away.

        Purging alone makes answers worthless but leaves their bytes until they end.
        """
        removed, cursor, looked = 0, 0, 0
        while looked < MAX_SCANNED:
            step = await self._redis.run(partial(_scan, cursor=cursor, match=names_of(driver_id)))
            if isinstance(step, Away):
                return None
            cursor, names = step
            looked += SCAN_STEP
            if names:
                gone = await self._redis.run(partial(_unlink, names=names))
                if isinstance(gone, Away):
                    return None
                removed += gone
            if cursor == 0:
                break
        return removed

    async def _draw(self, names: Sequence[str]) -> dict[str, bytes] | None:
        """Give names that have no generation a random one, unless somebody else just did."""
        if not names:
            return {}

        async def command(redis: Redis) -> list[Any]:
            pipe = redis.pipeline(transaction=False)
            for name in names:
                pipe.set(name, os.urandom(8), nx=True, ex=GENERATION_TTL_S)
            pipe.mget(names)
            done: list[Any] = await pipe.execute()
            return done

        done = await self._redis.run(command)
        if isinstance(done, Away):
            return None
        # None again: it was purged in this very moment. An empty one is never believed.
        return {name: value or b"" for name, value in zip(names, done[-1], strict=True)}


def jittered(ttl_s: float) -> float:
    """Return a life somewhat shorter than ``ttl_s``, never longer."""
    return ttl_s * (1 - JITTER * random.random())  # noqa: S311 - spreads load, guards nothing


def _believed(body: bytes | None, generations: list[bytes]) -> Entry | None:
    if body is None or b"" in generations:
        return None
    try:
        stored = decode(body)
    except msgspec.MsgspecError:
        return None
    return stored.entry if stored.generations == generations else None


def _many(redis: Redis, names: Sequence[str]) -> Awaitable[list[bytes | None]]:
    return cast("Awaitable[list[bytes | None]]", redis.mget(names))


def _scan(redis: Redis, cursor: int, match: str) -> Awaitable[tuple[int, list[bytes]]]:
    return cast("Awaitable[tuple[int, list[bytes]]]", redis.scan(cursor, match=match, count=SCAN_STEP))


def _unlink(redis: Redis, names: Sequence[bytes]) -> Awaitable[int]:
    return redis.unlink(*names)


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), AT_ONCE):
        yield names[start : start + AT_ONCE]


@contextmanager
def _timed(operation: str) -> Iterator[None]:
    started = perf_counter()
    try:
        yield
    finally:
        metrics.CACHE_LATENCY_SECONDS.labels(operation).observe(perf_counter() - started)
