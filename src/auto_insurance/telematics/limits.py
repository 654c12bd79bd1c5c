"""Bounds of what is accepted, as data: one table that validation and documentation share."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from auto_insurance.kernel import clock

US_PER_S = 1_000_000
EARLIEST_US = 946_684_800 * US_PER_S
"""2000-01-01: before that no device of this kind sent anything; seconds sent as milliseconds land in 1970."""
MAX_TEXT = 64
"""Characters of device, driver, event and trip ids."""
MAX_TIMESTAMP_TEXT = 40
MAX_EXTRA_BYTES = 4096
MAX_EXTRA_DEPTH = 4
NULL_ISLAND_DEG = 1e-6


class ReasonCode(StrEnum):
    """Why an event is refused. A closed set: clients may rely on it."""

    MALFORMED = "malformed"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    INVALID_DEVICE_ID = "invalid_device_id"
    INVALID_DRIVER_ID = "invalid_driver_id"
    INVALID_EVENT_ID = "invalid_event_id"
    INVALID_TRIP_ID = "invalid_trip_id"
    INVALID_TIMESTAMP = "invalid_timestamp"
    TIMESTAMP_IN_FUTURE = "timestamp_in_future"
    TOO_OLD = "too_old"
    MONTH_ARCHIVED = "month_archived"
    CONSENT_WITHHELD = "consent_withheld"
    INVALID_COORDINATES = "invalid_coordinates"
    INCOMPLETE_POSITION = "incomplete_position"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_EVENT_TYPE = "unknown_event_type"
    INVALID_EXTRA = "invalid_extra"
    FOREIGN_DEVICE = "foreign_device"
    DRIVER_MISMATCH = "driver_mismatch"


class ArchivedMonths:
    """The months whose events lie in the archive: nothing can be added to them until they are restored.

    One instance is shared by all that judge events in a process; whoever looks after the archive replaces its months.
    """

    def __init__(self, months: Iterable[tuple[int, int]] = ()) -> None:
        self._spans: tuple[tuple[int, int], ...] = ()
        self.replace(months)

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """[start, end) of each month in order, microseconds since the epoch."""
        return self._spans

    def replace(self, months: Iterable[tuple[int, int]]) -> None:
        """Take these (year, month), in UTC, for the archived ones from now on."""
        self._spans = tuple((_start_us(year, month), _start_us(year, month + 1)) for year, month in sorted(set(months)))

    def hold(self, t_us: int) -> bool:
        """Return whether an instant lies in an archived month."""
        index = bisect_right(self._spans, t_us, key=lambda span: span[0]) - 1
        return index >= 0 and t_us < self._spans[index][1]


def _start_us(year: int, month: int) -> int:
    return clock.to_us(datetime(year + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class IngestPolicy:
    """What is accepted by time, and what is flagged. Seconds, metres, miles per hour, g."""

    clock_skew_s: float = 300.0
    late_window_s: float = 30 * 86_400.0
    max_speed_mph: float = 250.0
    max_acceleration_g: float = 16.0
    low_accuracy_m: float = 50.0
    archived: ArchivedMonths = field(default_factory=ArchivedMonths)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one event is refused: a code for programs, the field, a sentence for people. Never repeats the value."""

    code: ReasonCode
    field: str
    message: str
