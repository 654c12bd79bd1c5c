"""Figures of a whole book are counted once in a few seconds, however many people look."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable

from cachetools import TTLCache
from pydantic import BaseModel

from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.infra.single_flight import SingleFlight

ENTRIES = 256
"""Figures kept, by their parameters."""
Count = Callable[[UnitOfWork], Awaitable[BaseModel]]


class RecentFigures:
    """Keeps figures as ready JSON for ``ttl_s`` seconds, in this process; 0 keeps none."""

    def __init__(self, database: Database, ttl_s: float) -> None:
        self._database = database
        self._ttl_s = ttl_s
        self._kept: TTLCache[Hashable, bytes] = TTLCache(ENTRIES, max(ttl_s, 1e-9), timer=time.monotonic)
        self._counting: SingleFlight[Hashable, bytes] = SingleFlight()

    async def get(self, key: Hashable, count: Count) -> bytes:
        """Return figures as JSON, counted at most ``ttl_s`` ago. Raises what ``count`` raises; then nothing is kept."""
        kept = self._kept.get(key) if self._ttl_s else None
        return kept if kept is not None else await self._counting.run(key, lambda: self._count(key, count))

    async def _count(self, key: Hashable, count: Count) -> bytes:
        async with self._database.read() as uow:
            made = (await count(uow)).model_dump_json(by_alias=True).encode()
        if self._ttl_s:
            self._kept[key] = made
        return made
