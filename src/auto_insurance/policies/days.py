"""Days of the place where a risk is: cover begins and ends at 00:00 there. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo


def midnight(day: date, time_zone: str) -> datetime:
    """Return the instant (UTC) at which a day begins in a time zone.

    Where clocks jump over midnight it is the moment of the jump; where midnight comes twice, the first.
    """
    return datetime.combine(day, time(), ZoneInfo(time_zone)).astimezone(UTC)
