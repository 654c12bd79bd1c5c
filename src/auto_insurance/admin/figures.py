"""Shares, days and periods. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from auto_insurance.kernel import clock

Place = tuple[datetime, str, str]


def percentages(counts: Sequence[int]) -> list[int]:
    """Return whole percentages of counts that add up to exactly 100 (largest remainder); zeros if all counts are 0."""
    total = sum(counts)
    if total == 0:
        return [0] * len(counts)
    shares = [count * 100 // total for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda place: (-(counts[place] * 100 % total), place))
    for place in by_remainder[: 100 - sum(shares)]:
        shares[place] += 1
    return shares


def days_up_to(last: date, days: int) -> list[date]:
    """Return ``days`` days in order, of which the last is given."""
    return [last - timedelta(days=back) for back in reversed(range(days))]


def start_of(day: date, time_zone: str) -> datetime:
    """Return the instant at which a day begins in a time zone (IANA)."""
    return datetime.combine(day, time(), ZoneInfo(time_zone)).astimezone(UTC)


def cursor_of(place: Place) -> str:
    """Return a place in a list of events as a word for addresses."""
    at, device_id, event_id = place
    packed = json.dumps([clock.to_us(at), device_id, event_id], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def place_of(cursor: str) -> Place | None:
    """Return the place that a cursor stands for, None if it is none."""
    try:
        us, device_id, event_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if type(us) is not int or not isinstance(device_id, str) or not isinstance(event_id, str):
            return None
        if "\x00" in device_id + event_id:
            return None
        return clock.from_us(us), device_id, event_id
    except (ValueError, TypeError, binascii.Error, OverflowError, RecursionError):
        return None
