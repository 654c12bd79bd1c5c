"""Caches that hear of purges, as a running API's do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from auto_insurance.infra.cache.keys import CacheKey, Place
from auto_insurance.infra.cache.l1 import Held
from auto_insurance.infra.cache.tiered import ReadCache
from auto_insurance.infra.db.touched import Aspect, mark

PRICE = CacheKey("price", 300.0, frozenset({Aspect.PREMIUM}), "For tests.")
TRIPS = CacheKey("trips", 300.0, frozenset({Aspect.TRIPS}), "For tests.")


@dataclass
class Rows:
    """Stands for the database: one value, and how often it was read."""

    value: bytes = b"1"
    reads: int = 0
    gate: asyncio.Event | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def build(self) -> bytes:
        """Read, then take the time until ``gate``."""
        self.reads += 1
        value = self.value
        self.begun.set()
        if self.gate is not None:
            await self.gate.wait()
        return value


@dataclass
class Instance:
    """One process's cache."""

    cache: ReadCache

    async def get(self, rows: Rows, place: Place | None = None) -> bytes:
        """Read as a route does."""
        place = place or PRICE.place("DRV001")
        held: Held | None = self.cache.peek(place)
        if held is None:
            held = await self.cache.read(place, rows.build)
        return held.entry.given().body

    async def wrote(self, driver_id: str = "DRV001", aspect: Aspect = Aspect.PREMIUM) -> None:
        """Tell of a commit."""
        await self.cache.purger.purge({mark(aspect, driver_id)})

    @property
    def hears(self) -> bool:
        """Whether purges arrive."""
        return self.cache.listener is not None and self.cache.listener.live


@asynccontextmanager
async def listening(cache: ReadCache) -> AsyncIterator[Instance]:
    """Run a cache's listener until the block ends."""
    stop = asyncio.Event()
    task = asyncio.create_task(cache.run(stop))
    instance = Instance(cache)
    try:
        await until(lambda: instance.hears)
        yield instance
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)
        await cache.close()


async def until(condition: Callable[[], object], within_s: float = 60.0) -> None:
    """Wait for a condition, looking often."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.01)
