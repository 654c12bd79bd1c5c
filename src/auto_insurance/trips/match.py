"""Which trip keeps its id when a stretch of time is cut into trips anew. Pure.

The rule: among all pairs of an old and a new trip of one driver that overlap in time, the pair with the largest
overlap goes first (of equals the one that began earlier); the new trip takes the old one's id; both are spoken for.
What is left over of the old is withdrawn, what is left over of the new gets an id of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Span(msgspec.Struct, frozen=True):
    """A trip's driver and time, microseconds since the epoch."""

    driver_id: str
    start_us: int
    end_us: int


def overlap_us(a: Span, b: Span) -> int:
    """Return how long two trips overlap; 0 for trips of different drivers."""
    if a.driver_id != b.driver_id:
        return 0
    return max(0, min(a.end_us, b.end_us) - max(a.start_us, b.start_us))


def match(old: Sequence[Span], new: Sequence[Span]) -> list[int | None]:
    """Return, for each new trip, the index of the old one whose id it keeps, or None."""
    pairs = [
        (-overlap, before.start_us, after.start_us, i, j)
        for i, before in enumerate(old)
        for j, after in enumerate(new)
        if (overlap := overlap_us(before, after)) > 0
    ]
    kept: list[int | None] = [None] * len(new)
    taken: set[int] = set()
    for _, _, _, i, j in sorted(pairs):
        if i not in taken and kept[j] is None:
            kept[j] = i
            taken.add(i)
    return kept
