"""When on the local clock: night, rush hour, weekend. Pure; one look-up per quarter of an hour and time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

NIGHT, LATE, RUSH, WEEKEND = 1, 2, 4, 8
SLOT_US = 900 * 1_000_000
"""Offsets from UTC in use are whole quarters of an hour, and so are the moments at which they change."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=65_536)
def slot_flags(zone: str, slot: int) -> int:
    """Return the flags that hold during the ``slot``-th quarter of an hour since the epoch.

    Night is 22-05 local, late night 00-04, rush hour 07-09 and 16-19 from Monday to Friday. Raises
    ``zoneinfo.ZoneInfoNotFoundError`` for an unknown zone.
    """
    local = (_EPOCH + timedelta(seconds=900 * slot)).astimezone(ZoneInfo(zone))
    hour, weekend = local.hour, local.weekday() >= 5
    flags = 0
    if hour >= 22 or hour < 5:
        flags |= NIGHT
    if hour < 4:
        flags |= LATE
    if weekend:
        flags |= WEEKEND
    elif 7 <= hour < 9 or 16 <= hour < 19:
        flags |= RUSH
    return flags


def night_us(zone: str, from_us: int, to_us: int) -> int:
    """Return how much of [from, to) is night, exactly."""
    total = 0
    while from_us < to_us:
        slot = from_us // SLOT_US
        until = min(to_us, (slot + 1) * SLOT_US)
        if slot_flags(zone, slot) & NIGHT:
            total += until - from_us
        from_us = until
    return total
