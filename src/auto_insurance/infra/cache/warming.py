"""Answers made before anybody asks: for many drivers at once, within limits of time, memory and company."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

import structlog

from auto_insurance.infra.cache.entries import Stored, entry_of
from auto_insurance.infra.cache.keys import Place
from auto_insurance.infra.cache.tiered import ReadCache

log = structlog.get_logger(__name__)
CHUNK = 100
"""Drivers whose answers are in memory at once, for each of those who work."""
AT_ONCE = 2
"""Connections that the warmer takes at most: requests need the others."""
TRY_S = 0.2

Bodies = Mapping[Place, bytes]


@dataclass(frozen=True, slots=True)
class Warmth:
    """What to make ahead. ``make`` takes some drivers and returns their answers, in a transaction of its own."""

    drivers: Callable[[int], Awaitable[Sequence[str]]]
    make: Callable[[Sequence[str]], Awaitable[Bodies]]
    places: Callable[[str], Sequence[Place]]
    """Where a driver's answers will be."""
    most: int
    within_s: float


async def warm(cache: ReadCache, wanted: Warmth, stop: asyncio.Event) -> int:
    """Fill Redis, and this process up to half of its room; returns how many answers. Never raises for lack of time."""
    began, made = monotonic(), 0
    if wanted.most == 0 or cache.listener is None:
        return 0
    try:
        async with asyncio.timeout(wanted.within_s):
            while not cache.listener.settled:
                if stop.is_set():
                    return 0
                await asyncio.sleep(TRY_S)
            drivers = list(await wanted.drivers(wanted.most))
            chunks = [drivers[start : start + CHUNK] for start in range(0, len(drivers), CHUNK)]
            gate = asyncio.Semaphore(AT_ONCE)

            async def one(chunk: Sequence[str]) -> None:
                nonlocal made
                async with gate:
                    if not stop.is_set():
                        made += await _fill(cache, wanted, chunk)
                        log.info("cache_warming", answers=made, drivers=len(drivers))

            async with asyncio.TaskGroup() as group:
                for chunk in chunks:
                    group.create_task(one(chunk))
    except TimeoutError:
        log.info("cache_warming_cut_off", answers=made)
    log.info("cache_warmed", answers=made, taken_s=round(monotonic() - began, 2))
    return made


async def _fill(cache: ReadCache, wanted: Warmth, chunk: Sequence[str]) -> int:
    """Make the answers of some drivers; generations and the number of the last purge are from before it begins."""
    l1, l2 = cache.l1, cache.l2
    seen = l1.purges
    marks = {mark for driver_id in chunk for place in wanted.places(driver_id) for mark in place.marks}
    generations = None if l2 is None else await l2.generations(marks)
    if l2 is None or generations is None:
        return 0
    bodies = await wanted.make(chunk)
    entries = {place: entry_of(body, pack=place.key.sent) for place, body in bodies.items()}
    by_ttl: dict[float, dict[Place, Stored]] = {}
    for place, entry in entries.items():
        stored = Stored([generations[mark] for mark in place.marks], entry)
        by_ttl.setdefault(place.key.ttl_s, {})[place] = stored
        if len(l1) < l1.entries // 2:
            cache.hold(place, entry, seen)
    for ttl_s, stored_of in by_ttl.items():
        await l2.set_many(stored_of, ttl_s)
    return len(entries)
