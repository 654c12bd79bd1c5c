"""Waiting between attempts."""

from __future__ import annotations

import asyncio
import random


class Backoff:
    """Exponential with jitter, bounded: ``first``, twice that, ... up to ``most`` seconds, each times 0.5 to 1."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first = first_s
        self._most = most_s
        self._failures = 0

    def reset(self) -> None:
        """It went well: begin with the shortest wait next time."""
        self._failures = 0

    def next(self) -> float:
        """Return how long to wait now, in seconds."""
        wait = min(self._most, self._first * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return wait * random.uniform(0.5, 1.0)  # noqa: S311 (spreads load, guards nothing)


async def wait_unless(stop: asyncio.Event, seconds: float) -> bool:
    """Wait; returns ``True`` at once when ``stop`` is set meanwhile."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True
