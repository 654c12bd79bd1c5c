"""Rates that this process can tell by itself, from its own counters: no query, whatever the size of the tables."""

from __future__ import annotations

import time
from collections import deque

from auto_insurance.infra.metrics import definitions as m

WINDOW_S = 60.0


class EventRate:
    """Sets ``events_per_second`` to the mean of the last minute of what this process stored.

    The processes of a host add up (``livesum``), those of several hosts in Prometheus (``sum``).
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque([(time.monotonic(), _stored())])

    async def sample(self) -> None:
        """Look now; call it some times a minute."""
        now, stored = time.monotonic(), _stored()
        while len(self._seen) > 1 and self._seen[1][0] <= now - WINDOW_S:
            self._seen.popleft()
        since, before = self._seen[0]
        self._seen.append((now, stored))
        m.EVENTS_PER_SECOND.set((stored - before) / max(now - since, WINDOW_S))


def _stored() -> float:
    return sum(sample.value for metric in m.EVENTS_STORED_TOTAL.collect() for sample in metric.samples)
