"""The only source of the current time. All instants are timezone-aware UTC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo


class Clock(Protocol):
    """Anything that can tell the current instant."""

    def now(self) -> datetime:
        """Return the current instant, timezone-aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class FrozenClock:
    """A clock that stands still until it is told to move; for tests and replays."""

    def __init__(self, at: datetime) -> None:
        self._at = at.astimezone(UTC)

    def now(self) -> datetime:
        return self._at

    def advance(self, by: timedelta) -> None:
        self._at += by

    def set(self, at: datetime) -> None:
        self._at = at.astimezone(UTC)


_current: Clock = SystemClock()


def now() -> datetime:
    """Return the current instant, timezone-aware, in UTC."""
    return _current.now()


def local_date(at: datetime, time_zone: str) -> date:
    """Return the date of an instant in a time zone (IANA)."""
    return at.astimezone(ZoneInfo(time_zone)).date()


@contextmanager
def use_clock(clock: Clock) -> Iterator[Clock]:
    """Replace the process-wide clock inside a ``with`` block."""
    global _current
    before, _current = _current, clock
    try:
        yield clock
    finally:
        _current = before


def to_us(at: datetime) -> int:
    """Return microseconds since the Unix epoch of a timezone-aware instant (exact)."""
    delta = at - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_us(us: int) -> datetime:
    """Return the UTC instant that lies ``us`` microseconds after the Unix epoch (exact)."""
    return EPOCH + timedelta(microseconds=us)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
