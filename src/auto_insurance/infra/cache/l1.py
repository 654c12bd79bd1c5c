"""The first level: answers in this process, few and for a short time.

Every purge gets a number. An answer carries the number that was the last before its reading began, and is good as
long as no mark of its own was purged later: so what was read before a purge and comes after it is refused, and
dropping a mark costs one assignment, however many answers hang on it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from time import monotonic
from typing import Any

from cachetools import TLRUCache

from auto_insurance.infra import metrics
from auto_insurance.infra.cache.entries import MAX_BYTES, Entry

MAX_MARKS = 50_000
"""Purged marks that are remembered; beyond that everything is dropped and counting starts anew."""
Kept = Any
"""What a caller keeps with an entry, such as headers that are ready."""


class Held:
    """An answer in this process. ``ready`` is for whoever sends it: headers made once."""

    __slots__ = ("entry", "marks", "ready", "seen", "ttl_s")

    def __init__(self, entry: Entry, marks: tuple[str, ...], seen: int, ttl_s: float) -> None:
        self.entry = entry
        self.marks = marks
        self.seen = seen
        self.ttl_s = ttl_s
        self.ready: Kept = None


class _Rows(TLRUCache[Hashable, Held]):
    def popitem(self) -> tuple[Hashable, Held]:
        """Make room: called by ``cachetools`` for that alone."""
        metrics.CACHE_EVICTIONS_TOTAL.inc()
        return super().popitem()


class L1:
    """At most ``entries`` answers, each for its own time."""

    def __init__(self, entries: int) -> None:
        self.entries = entries
        self._rows = _Rows(entries, ttu=lambda _key, held, now: now + held.ttl_s, timer=monotonic)
        self._purged: dict[str, int] = {}
        self._floor = 0
        self.purges = 0
        """The number of the last purge. Take it before anything is read that may be put here."""

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, name: Hashable) -> Held | None:
        """Return what is kept and still good."""
        held = self._rows.get(name)
        if held is None:
            return None
        if held.seen != self.purges:
            if not self.good(held.marks, held.seen):
                self._rows.pop(name, None)
                return None
            held.seen = self.purges
        return held

    def good(self, marks: Iterable[str], since: int) -> bool:
        """Return whether nothing of these was purged after purge number ``since``."""
        if since < self._floor:
            return False
        purged = self._purged
        return all(purged.get(mark, 0) <= since for mark in marks)

    def last(self, marks: Iterable[str]) -> int:
        """Return the number of the last purge that concerned one of these."""
        return max(self._floor, *(self._purged.get(mark, 0) for mark in marks))

    def put(self, name: Hashable, held: Held) -> bool:
        """Keep an answer unless it is old already or too large; returns whether it is kept."""
        if held.entry.size > MAX_BYTES or not self.good(held.marks, held.seen):
            return False
        self._rows[name] = held
        return True

    def purge(self, marks: Iterable[str]) -> None:
        """Drop the answers that hang on these, those that are being made included."""
        self.purges += 1
        for mark in marks:
            self._purged[mark] = self.purges
        if len(self._purged) > MAX_MARKS:
            self.clear()

    def clear(self) -> None:
        """Drop everything."""
        self.purges += 1
        self._floor = self.purges
        self._purged.clear()
        self._rows.clear()
