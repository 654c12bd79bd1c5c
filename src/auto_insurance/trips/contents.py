"""What a trip is, without its id: a pure function of the samples, the rules and the driver's time zone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import msgspec

from auto_insurance.kernel.units import METRES_PER_MILE, MS_PER_MPH
from auto_insurance.trips.rules import TripRules
from auto_insurance.trips.schemas import TripSums
from auto_insurance.trips.state import (
    FLAGGED,
    GAPS,
    IDLE,
    JERK_KNOWN,
    JERK_SQUARE,
    JERKY,
    LIMIT_KNOWN,
    LONG_DRIVE,
    MOVED,
    NIGHT_US,
    OVER_5,
    OVER_10,
    OVER_20,
    PHONE_FAST,
    PHONE_KNOWN,
    PHONE_MOVING,
    PHONE_ON,
    PHONE_SPEED_KNOWN,
    PHONE_STANDING,
    SAMPLES,
    SPEED_FAST,
    SPEED_KNOWN,
    SPEED_SLOW,
    SPEED_SQUARE,
    SPEED_STANDING,
    SPEED_SUM,
    SPEED_VERY_FAST,
)

CODES = ("harsh_brake", "rapid_accel", "harsh_corner", "speeding", "phone_usage", "crash")
"""Kinds of events; all but the last are also found, not only asserted."""
BRAKE, ACCEL, CORNER, SPEEDING, PHONE, CRASH = range(6)
REASONS = ("standstill", "ignition_off", "silence", "driver_change", None)
"""Why a trip ended; the last: it has not."""
MODERATE, SEVERE = "moderate", "severe"
SEVERE_SPEEDING_MPH = 20.0


class EventContent(msgspec.Struct, frozen=True, array_like=True):
    """One event of a closed trip; see ``models.trip_events``."""

    start_us: int
    kind: str
    asserted: bool
    duration_us: int
    severity: str
    peak: float | None
    speed_mph: float | None
    latitude: float | None
    longitude: float | None


class TripContent(TripSums, frozen=True, kw_only=True):
    """All that a trip is, without its id."""

    driver_id: str
    device_id: str
    time_zone: str
    start_us: int
    end_us: int
    start_latitude: float
    start_longitude: float
    end_latitude: float
    end_longitude: float
    avg_speed_mph: float
    max_speed_mph: float
    crash_reported: bool
    end_reason: str | None
    events: tuple[EventContent, ...]


class Ref(msgspec.Struct, frozen=True, array_like=True):
    """Which row an open trip has. ``content_hash`` is the last published form's, None if it never was."""

    trip_id: UUID
    revision: int
    content_hash: bytes | None
    vehicle_id: str | None


class Closed(msgspec.Struct, frozen=True):
    """A trip of the device in ``slot``. ``kept`` is false if it is too short to count; ``ref``: the row that it has."""

    slot: int
    content: TripContent
    kept: bool
    ref: Ref | None


class Owner(msgspec.Struct, frozen=True):
    """Whose trip it is."""

    driver_id: str
    device_id: str
    time_zone: str


EventTuple = tuple[int, int, int, int, int, int, float, float, float, float]
"""A ``state.Event`` as Python numbers."""


Numbers = Mapping[str, Any]


def content_of(
    trip: Numbers, closing: Numbers, owner: Owner, events: Iterable[EventTuple], rules: TripRules
) -> TripContent:  # fmt: skip
    """Return the content of a trip from the numbers of its records (``state.Trip``, ``state.Closing``)."""
    times = trip["times"].tolist()
    start_us, end_us = trip["start_us"], closing["end_us"]
    seconds = (end_us - start_us) / 1e6
    miles = trip["metres"] / METRES_PER_MILE
    listed = _events(events, rules)
    counts = _counts(listed)
    return TripContent(
        driver_id=owner.driver_id,
        device_id=owner.device_id,
        time_zone=owner.time_zone,
        start_us=start_us,
        end_us=end_us,
        start_latitude=trip["start_lat"],
        start_longitude=trip["start_lon"],
        end_latitude=closing["end_lat"],
        end_longitude=closing["end_lon"],
        duration_s=seconds,
        distance_miles=miles,
        avg_speed_mph=miles * 3600.0 / seconds if seconds > 0 else 0.0,
        max_speed_mph=trip["max_speed_mph"],
        sample_count=times[SAMPLES],
        flagged_count=times[FLAGGED],
        gap_count=times[GAPS],
        crash_reported=any(event.kind == CODES[CRASH] for event in listed),
        end_reason=REASONS[closing["reason"]],
        events=listed,
        braking_square=counts["harsh_braking_count"] ** 2 / miles if miles > 0 else 0.0,
        pace_square=miles * miles / seconds if seconds > 0 else 0.0,
        **_sums(trip, times),
        **counts,
    )


_TIMES = {
    "moving_s": MOVED, "idle_s": IDLE, "speeding_s": OVER_5, "speeding_10_s": OVER_10, "speeding_20_s": OVER_20,
    "speed_limit_known_s": LIMIT_KNOWN, "phone_usage_s": PHONE_ON, "phone_known_s": PHONE_KNOWN, "night_s": NIGHT_US,
    "speed_known_s": SPEED_KNOWN, "speed_standing_s": SPEED_STANDING, "speed_slow_s": SPEED_SLOW,
    "speed_fast_s": SPEED_FAST, "speed_very_fast_s": SPEED_VERY_FAST, "phone_speed_known_s": PHONE_SPEED_KNOWN,
    "phone_standing_s": PHONE_STANDING, "phone_moving_s": PHONE_MOVING, "phone_fast_s": PHONE_FAST,
    "jerk_known_s": JERK_KNOWN, "jerky_s": JERKY, "long_drive_s": LONG_DRIVE,
}  # fmt: skip
_SQUARES = {
    "speed_mph_s": (SPEED_SUM, 1e8 * MS_PER_MPH),
    "speed_mph2_s": (SPEED_SQUARE, 1e7 * MS_PER_MPH**2),
    "jerk_square": (JERK_SQUARE, 1e7),
}
"""Places of ``Trip.times`` and what their unit is of the one here."""
_WAYS = {
    "speed_limit_known_miles": "limit_known_m", "phone_known_miles": "phone_known_m", "night_miles": "night_m",
    "late_night_miles": "late_m", "rush_hour_miles": "rush_m", "weekend_miles": "weekend_m",
    "low_speed_miles": "low_m", "mid_speed_miles": "mid_m", "high_speed_miles": "high_m", "gap_miles": "gap_m",
}  # fmt: skip


def _sums(trip: Numbers, times: list[int]) -> dict[str, Any]:
    sums = {name: times[place] / 1e6 for name, place in _TIMES.items()}
    sums |= {name: times[place] / size for name, (place, size) in _SQUARES.items()}
    return sums | {name: trip[field] / METRES_PER_MILE for name, field in _WAYS.items()}


def _events(events: Iterable[EventTuple], rules: TripRules) -> tuple[EventContent, ...]:
    listed = [
        EventContent(
            start_us=start_us,
            kind=CODES[kind],
            asserted=bool(asserted),
            duration_us=end_us - start_us,
            severity=severity(kind, peak, rules),
            peak=_known(peak),
            speed_mph=_known(mph),
            latitude=_known(lat),
            longitude=_known(lon),
        )
        for _, _, kind, asserted, start_us, end_us, peak, mph, lat, lon in events
    ]
    return tuple(sorted(listed, key=lambda event: (event.start_us, event.kind, event.asserted)))


def _known(value: float) -> float | None:
    return None if value != value else value  # noqa: PLR0124 - NaN


def severity(kind: int, peak: float, rules: TripRules) -> str:
    """Return ``severe`` from 1.5 m/s2 past the threshold, from 20 mph over the limit, and for a crash."""
    if kind == CRASH:
        return SEVERE
    limits = {
        BRAKE: rules.brake_ms2 + rules.severe_extra_ms2,
        ACCEL: rules.accel_ms2 + rules.severe_extra_ms2,
        CORNER: rules.corner_ms2 + rules.severe_extra_ms2,
        SPEEDING: SEVERE_SPEEDING_MPH,
    }
    limit = limits.get(kind)
    return SEVERE if limit is not None and peak >= limit else MODERATE


_COUNTED = {
    CODES[BRAKE]: "harsh_braking_count",
    CODES[ACCEL]: "rapid_accel_count",
    CODES[CORNER]: "harsh_corner_count",
    CODES[SPEEDING]: "speeding_count",
}
_COUNTED_SEVERE = {
    CODES[BRAKE]: "harsh_braking_severe_count",
    CODES[ACCEL]: "rapid_accel_severe_count",
    CODES[CORNER]: "harsh_corner_severe_count",
}


def _counts(events: Iterable[EventContent]) -> dict[str, Any]:
    """Count what the server found; what the device asserts is not counted."""
    counts = dict.fromkeys([*_COUNTED.values(), *_COUNTED_SEVERE.values()], 0)
    for event in events:
        if event.asserted:
            continue
        if name := _COUNTED.get(event.kind):
            counts[name] += 1
        if event.severity == SEVERE and (name := _COUNTED_SEVERE.get(event.kind)):
            counts[name] += 1
    return counts


_hash_encoder = msgspec.msgpack.Encoder()


def content_hash(trip: TripContent) -> bytes:
    """Return 32 bytes that differ if anything of the trip differs (BLAKE2b over its MessagePack form)."""
    return hashlib.blake2b(_hash_encoder.encode(trip), digest_size=32).digest()
