"""Slows down the guessing of passwords: failures are counted per address and account, successes never."""

from __future__ import annotations

import time
from collections import deque
from math import ceil
from typing import Protocol

from cachetools import TTLCache


class FailureLimiter(Protocol):
    """Counts failures per key."""

    async def wait_s(self, key: str) -> int:
        """Return the seconds until another attempt is welcome, 0 if it is now."""
        ...

    async def failed(self, key: str) -> None:
        """Note a failure."""
        ...


class LocalFailureLimiter:
    """At most ``limit`` failures in any ``window_s`` seconds per key, remembered in this process only.

    Bounded: past ``max_keys`` the oldest keys are forgotten.
    """

    def __init__(self, limit: int = 5, window_s: float = 60.0, max_keys: int = 100_000) -> None:
        self._limit = limit
        self._window_s = window_s
        self._seen: TTLCache[str, deque[float]] = TTLCache(max_keys, ttl=window_s)

    async def wait_s(self, key: str) -> int:
        """Return the seconds until the oldest of the last ``limit`` failures leaves the window."""
        failures = self._seen.get(key)
        if failures is None or len(failures) < self._limit:
            return 0
        return max(0, ceil(failures[0] + self._window_s - time.monotonic()))

    async def failed(self, key: str) -> None:
        """Note a failure now."""
        failures = self._seen.get(key, deque(maxlen=self._limit))
        failures.append(time.monotonic())
        self._seen[key] = failures
