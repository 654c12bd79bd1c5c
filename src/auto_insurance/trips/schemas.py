"""Forms in which other domains see trips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray


class TripSums(msgspec.Struct, frozen=True, kw_only=True):
    """What adds up over trips. Seconds, statute miles and counts; see ``models.trips`` for the definitions."""

    duration_s: float = 0.0
    moving_s: float = 0.0
    idle_s: float = 0.0
    distance_miles: float = 0.0
    harsh_braking_count: int = 0
    harsh_braking_severe_count: int = 0
    rapid_accel_count: int = 0
    rapid_accel_severe_count: int = 0
    harsh_corner_count: int = 0
    harsh_corner_severe_count: int = 0
    speeding_count: int = 0
    speeding_s: float = 0.0
    speeding_10_s: float = 0.0
    speeding_20_s: float = 0.0
    speed_limit_known_s: float = 0.0
    speed_limit_known_miles: float = 0.0
    phone_usage_s: float = 0.0
    phone_known_s: float = 0.0
    phone_known_miles: float = 0.0
    night_s: float = 0.0
    night_miles: float = 0.0
    late_night_miles: float = 0.0
    rush_hour_miles: float = 0.0
    weekend_miles: float = 0.0
    low_speed_miles: float = 0.0
    mid_speed_miles: float = 0.0
    high_speed_miles: float = 0.0
    sample_count: int = 0
    flagged_count: int = 0
    gap_count: int = 0
    gap_miles: float = 0.0
    phone_speed_known_s: float = 0.0
    phone_standing_s: float = 0.0
    phone_moving_s: float = 0.0
    phone_fast_s: float = 0.0
    speed_known_s: float = 0.0
    speed_standing_s: float = 0.0
    speed_slow_s: float = 0.0
    speed_fast_s: float = 0.0
    speed_very_fast_s: float = 0.0
    speed_mph_s: float = 0.0
    speed_mph2_s: float = 0.0
    jerk_known_s: float = 0.0
    jerky_s: float = 0.0
    jerk_square: float = 0.0
    long_drive_s: float = 0.0
    braking_square: float = 0.0
    pace_square: float = 0.0


class TripFacts(TripSums, frozen=True, kw_only=True):
    """One trip."""

    trip_id: UUID
    driver_id: str
    device_id: str
    vehicle_id: str | None
    status: str
    revision: int
    start_time: datetime
    end_time: datetime | None
    time_zone: str
    start_latitude: float
    start_longitude: float
    end_latitude: float | None
    end_longitude: float | None
    avg_speed_mph: float
    max_speed_mph: float
    crash_reported: bool
    end_reason: str | None


class TripsSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Which trips, in which revisions: two that are equal are of the same trips, and sums over them are equal."""

    trip_count: int = 0
    revisions: int = 0
    first_start: datetime | None = None
    last_end: datetime | None = None
    changed_at: datetime | None = None


class TripTotals(TripSums, frozen=True, kw_only=True):
    """A driver's completed trips that started in [since, until)."""

    driver_id: str
    trip_count: int = 0
    max_speed_mph: float = 0.0
    first_start: datetime | None = None
    last_end: datetime | None = None
    revisions: int = 0
    """Sum of the trips' revisions; it and ``changed_at`` are known of stored trips alone."""
    changed_at: datetime | None = None

    @property
    def seen(self) -> TripsSeen:
        """What these trips are told apart by."""
        return TripsSeen(**{name: getattr(self, name) for name in TripsSeen.__struct_fields__})


class TripEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened on a trip; see ``models.trip_events``."""

    kind: str
    severity: str
    started_at: datetime
    duration_s: float
    peak: float | None
    speed_mph: float | None
    latitude: float | None
    longitude: float | None
    asserted: bool


class TripFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which trips to list. ``since`` and ``until`` bound the start, [since, until)."""

    statuses: tuple[str, ...] = ("completed",)
    since: datetime | None = None
    until: datetime | None = None
    device_id: str | None = None


@dataclass(frozen=True, slots=True)
class BookTotals:
    """Totals of drivers with trips in a window, by driver id. ``sums`` has a column per field of ``TripSums``."""

    driver_ids: list[str]
    sums: Mapping[str, NDArray[np.float64]]
    trip_count: NDArray[np.int64]
    observed_days: NDArray[np.float64]
    """From the first start to the last end."""
    last_end: list[datetime | None]
