"""What a transaction changed, in the words of those who keep copies of it.

Repositories tell the unit of work whose facts they write; after the commit the database tells whoever keeps answers
made of them. One word for each group of tables that change together, so that a trip under way leaves prices alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from enum import StrEnum
from typing import Final

EVERYTHING: Final = "*"
"""The mark of a change that concerns everybody, such as another model or plan."""
MAX_MARKS = 20_000
"""More marks in one transaction than this, and all that is kept is dropped: cheaper than naming them."""


class Aspect(StrEnum):
    """Which facts of a driver changed."""

    DRIVER = "driver"
    """The driver, vehicles, devices, requests of erasure."""
    TRIPS = "trips"
    """Trips, what happened on them, their scores and disputes."""
    SCORE = "score"
    PREMIUM = "premium"


def mark(aspect: Aspect, driver_id: str) -> str:
    """Return the word for a driver's facts of one kind."""
    return f"{aspect.value}:{driver_id}"


class Touched:
    """Collects the marks of one transaction, at most ``MAX_MARKS``."""

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        self._marks: set[str] = set()

    def add(self, aspect: Aspect, driver_ids: Iterable[str]) -> None:
        """Note that facts of drivers changed."""
        if EVERYTHING in self._marks:
            return
        self._marks.update(mark(aspect, driver_id) for driver_id in driver_ids)
        if len(self._marks) > MAX_MARKS:
            self.everything()

    def everything(self) -> None:
        """Note that facts of everybody changed."""
        self._marks = {EVERYTHING}

    @property
    def marks(self) -> Set[str]:
        """What was noted."""
        return self._marks
