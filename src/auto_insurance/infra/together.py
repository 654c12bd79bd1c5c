"""Look-ups of a moment put together: one query answers all who wait, however many they are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
AT_ONCE = 1_000
"""Keys in one query."""


class Together(Generic[K, V]):
    """Fetches by key. While one query is under way, those who come later wait for the next one, together.

    ``fetch`` returns what it found by key, of ``at_once`` keys at most; a key that is not in it has no value. Its error
    is everybody's who waited.
    """

    def __init__(self, fetch: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], at_once: int = AT_ONCE) -> None:
        self._fetch = fetch
        self._at_once = at_once
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._turn: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """Return a key's value, read after this call began; None if it has none. Raises what ``fetch`` raises."""
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
            if self._turn is None:
                self._turn = asyncio.create_task(self._work())
        # A caller who gives up must not take the answer from the others.
        return await asyncio.shield(future)

    async def _work(self) -> None:
        try:
            while self._waiting:
                keys = list(islice(self._waiting, self._at_once))
                futures = {key: self._waiting.pop(key) for key in keys}
                try:
                    found = await self._fetch(keys)
                except BaseException as error:
                    _fail(futures.values(), error)
                    if not isinstance(error, Exception):
                        raise
                else:
                    for key, future in futures.items():
                        if not future.done():
                            future.set_result(found.get(key))
        finally:
            self._turn = None


def _fail(futures: Iterable[asyncio.Future[V | None]], error: BaseException) -> None:
    told = error if isinstance(error, Exception) else ConnectionAbortedError("the look-up was broken off")
    for future in futures:
        if not future.done():
            future.set_exception(told)
            future.exception()  # nobody may be left to see it
