"""Figures of a whole book are counted once in a few seconds, however many people look."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable

import structlog
from cachetools import TTLCache
from pydantic import BaseModel

from auto_insurance.infra.cache.entries import entry_of
from auto_insurance.infra.cache.l1 import Held
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.infra.single_flight import SingleFlight

log = structlog.get_logger(__name__)
ENTRIES = 256
"""Figures kept, by their parameters."""
AHEAD = 0.5
"""Share of their life after which figures that are asked for are counted anew, beside: nobody waits for them."""
Count = Callable[[UnitOfWork], Awaitable[BaseModel]]


class RecentFigures:
    """Keeps figures as ready JSON for ``ttl_s`` seconds, in this process; 0 keeps none."""

    def __init__(self, database: Database, ttl_s: float) -> None:
        self._database = database
        self._ttl_s = ttl_s
        # Value: when they were counted (monotonic), and what is sent.
        self._kept: TTLCache[Hashable, tuple[float, Held]] = TTLCache(ENTRIES, max(ttl_s, 1e-9), timer=time.monotonic)
        self._counting: SingleFlight[Hashable, Held] = SingleFlight()
        self._beside: dict[Hashable, asyncio.Task[None]] = {}

    async def get(self, key: Hashable, count: Count) -> bytes:
        """Return figures as JSON, counted at most ``ttl_s`` ago. Raises what ``count`` raises; then nothing is kept."""
        kept = self.peek(key, count)
        return (kept if kept is not None else await self.make(key, count)).entry.body

    def peek(self, key: Hashable, count: Count) -> Held | None:
        """Return what is kept; figures that get old are counted anew meanwhile."""
        kept = self._kept.get(key) if self._ttl_s else None
        if kept is None:
            return None
        if time.monotonic() - kept[0] > AHEAD * self._ttl_s and key not in self._beside:
            task = self._beside[key] = asyncio.create_task(self._ahead(key, count))
            task.add_done_callback(lambda _: self._beside.pop(key, None))
        return kept[1]

    async def make(self, key: Hashable, count: Count) -> Held:
        """Count now, once for all who ask at the moment. Raises what ``count`` raises."""
        return await self._counting.run(key, lambda: self._count(key, count))

    async def _ahead(self, key: Hashable, count: Count) -> None:
        try:
            await self.make(key, count)
        except Exception as error:
            # Whoever asks once the old ones have ended is told.
            log.warning("figures_not_counted", error=type(error).__name__)

    async def _count(self, key: Hashable, count: Count) -> Held:
        began = time.monotonic()
        async with self._database.read() as uow:
            made = (await count(uow)).model_dump_json(by_alias=True).encode()
        held = Held(entry_of(made), (), 0, self._ttl_s)
        if self._ttl_s:
            self._kept[key] = (began, held)
        return held
