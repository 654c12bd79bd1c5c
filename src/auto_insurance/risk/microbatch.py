"""Puts single requests together into one call, waiting a moment at most. Knows nothing of models."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from auto_insurance.kernel.errors import Unavailable

T = TypeVar("T")
R = TypeVar("R")


class Overloaded(Unavailable):
    """More predictions are wanted than can wait."""

    code = "predictions_overloaded"

    def __init__(self) -> None:
        super().__init__("Too many predictions are waiting; try again in a second.", retry_after_s=1)


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """``max_wait_s``: how long the first of a batch waits for company. ``max_waiting``: requests in the queue."""

    max_batch: int = 32
    max_wait_s: float = 0.002
    max_waiting: int = 1_000


class MicroBatcher(Generic[T, R]):
    """Calls ``call`` with up to ``max_batch`` items. One who gives up waiting takes only its own item out."""

    def __init__(self, call: Callable[[Sequence[T]], Sequence[R]], options: BatchOptions | None = None) -> None:
        self._call = call
        self._options = options or BatchOptions()
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._timer: asyncio.Handle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    async def submit(self, item: T) -> R:
        """Return the result for one item. Raises ``Overloaded``, and what the call raises."""
        if len(self._waiting) >= self._options.max_waiting:
            raise Overloaded
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, future))
        if len(self._waiting) >= self._options.max_batch:
            self._cancel_timer()
            self._flush()
        elif self._timer is None:
            self._timer = loop.call_later(self._options.max_wait_s, self._flush)
        return await future

    def _flush(self) -> None:
        self._timer = None
        batch: list[tuple[T, asyncio.Future[R]]] = []
        while self._waiting and len(batch) < self._options.max_batch:
            item, future = self._waiting.popleft()
            if not future.done():
                batch.append((item, future))
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_soon(self._flush)
        if not batch:
            return
        try:
            results = self._call([item for item, _ in batch])
        except Exception as error:
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
