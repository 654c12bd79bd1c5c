"""Many ask for the same at once, one fetches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Joins concurrent fetches of one key. A caller that gives up does not stop the fetch for the others."""

    def __init__(self) -> None:
        self._running: dict[K, asyncio.Task[V]] = {}

    async def run(self, key: K, fetch: Callable[[], Awaitable[V]]) -> V:
        """Return what ``fetch`` returns, from the fetch that is under way if there is one."""
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._fetch(fetch))
            self._running[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    @staticmethod
    async def _fetch(fetch: Callable[[], Awaitable[V]]) -> V:
        return await fetch()

    def _forget(self, key: K, task: asyncio.Task[V]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen, even if every caller has given up
