"""When on the local clock: night, rush hour, weekend. Pure; worked out per quarter of an hour."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from auto_insurance.trips.compiled import compiled

NIGHT, LATE, RUSH, WEEKEND = 1, 2, 4, 8
SLOT_US = 900 * 1_000_000
"""Offsets from UTC in use are whole quarters of an hour, and so are the moments at which they change."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY, _WEEK = 96, 672
_UNTIL = 120 * 52 * _WEEK
"""Changes of the clock are known from 1970 to 2089; before and after, the nearest holds."""


class Clock(NamedTuple):
    """The clocks of zones: those of zone z are at ``first[z]`` up to ``first[z + 1]``.

    From the quarter ``since`` on (since the epoch), local time is ``shift`` quarters ahead of UTC.
    """

    first: NDArray[np.int64]
    since: NDArray[np.int64]
    shift: NDArray[np.int64]


def clock_of(zones: Iterable[str]) -> Clock:
    """Return the clocks of these zones, numbered in this order.

    Raises ``zoneinfo.ZoneInfoNotFoundError`` for an unknown zone.
    """
    changes = [_changes(zone) for zone in zones]
    flat = [change for of_zone in changes for change in of_zone]
    return Clock(
        np.cumsum([0, *(len(of_zone) for of_zone in changes)], dtype=np.int64),
        np.array([since for since, _ in flat], np.int64),
        np.array([shift for _, shift in flat], np.int64),
    )


@lru_cache(maxsize=600)
def _changes(zone: str) -> tuple[tuple[int, int], ...]:
    """Return (quarter, shift) of every change of a zone's clock, looked for week by week, then by halves."""
    info = ZoneInfo(zone)

    def shift_at(slot: int) -> int:
        offset = (_EPOCH + timedelta(seconds=900 * slot)).astimezone(info).utcoffset()
        return 0 if offset is None else int(offset.total_seconds() // 900)

    found = [(0, shift_at(0))]
    for week in range(0, _UNTIL, _WEEK):
        shift = shift_at(week + _WEEK)
        low, high = week, week + _WEEK
        if shift == found[-1][1]:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if shift_at(middle) == shift else (middle, high)
        found.append((high, shift))
    return tuple(found)


@compiled
def flags_at(clock: Clock, zone: int, slot: int) -> int:
    """Return the flags that hold during the ``slot``-th quarter of an hour since the epoch.

    Night is 22-05 local, late night 00-04, rush hour 07-09 and 16-19 from Monday to Friday.
    """
    low, high = clock.first[zone], clock.first[zone + 1]
    while high - low > 1:
        middle = (low + high) // 2
        if clock.since[middle] <= slot:
            low = middle
        else:
            high = middle
    local = slot + clock.shift[low]
    hour, weekday = (local // 4) % 24, (local // _DAY + 3) % 7
    flags = 0
    if hour >= 22 or hour < 5:
        flags |= NIGHT
    if hour < 4:
        flags |= LATE
    if weekday >= 5:
        flags |= WEEKEND
    elif 7 <= hour < 9 or 16 <= hour < 19:
        flags |= RUSH
    return flags


@compiled
def night_us(clock: Clock, zone: int, from_us: int, to_us: int) -> int:
    """Return how much of [from, to) is night, exactly."""
    total = 0
    while from_us < to_us:
        slot = from_us // SLOT_US
        until = min(to_us, (slot + 1) * SLOT_US)
        if flags_at(clock, zone, slot) & NIGHT:
            total += until - from_us
        from_us = until
    return total
