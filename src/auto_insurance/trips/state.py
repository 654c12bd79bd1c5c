"""What the fold remembers of a device between two samples, as fixed records. Pure data with an exact binary form.

A device has two records: ``Device``, and ``Trip`` for the trip that is open. Negative numbers stand for "none", NaN for
an unknown number; times are microseconds since the epoch, speeds m/s unless named mph. The classes only give the fields
names and types: the records live in arrays, one row per device.
"""

from __future__ import annotations

from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from auto_insurance.kernel.units import MS_PER_MPH
from auto_insurance.trips.rules import TripRules

KIND_COUNT = 5
(
    MOVED, IDLE, OVER_5, OVER_10, OVER_20, LIMIT_KNOWN, PHONE_ON, PHONE_KNOWN, NIGHT_US, SAMPLES, FLAGGED, GAPS,
    SPEED_KNOWN, SPEED_STANDING, SPEED_SLOW, SPEED_FAST, SPEED_VERY_FAST, SPEED_SUM, SPEED_SQUARE,
    PHONE_SPEED_KNOWN, PHONE_STANDING, PHONE_MOVING, PHONE_FAST, JERK_KNOWN, JERKY, JERK_SQUARE, LONG_DRIVE,
) = range(27)  # fmt: skip
"""Places in ``Trip.times`` and ``Trip.tail``: microseconds, but SAMPLES, FLAGGED and GAPS are counts, SPEED_SUM is in
cm/s times microseconds, SPEED_SQUARE in cm2/s2 and JERK_SQUARE in cm2/s6 times milliseconds. Whole numbers: sums of
them are exact, and the longest drive does not fill them."""
TIMES = 27

Longs = NDArray[np.int64]
Doubles = NDArray[np.float64]


class PerTime(Longs):
    """One number per place of times."""


class PerKind(Longs):
    """One whole number per kind of event."""


class PerKindReal(Doubles):
    """One real number per kind of event."""


class Device:
    """A device after its last sample."""

    driver: int
    """Number of the driver and of the driver's time zone in this process."""
    zone: int
    last_us: int
    arrival_us: int
    """The latest arrival."""
    speed: float
    over: int
    over_mph: float
    phone: int
    still_us: int
    still_lat: float
    still_lon: float
    good_us: int
    good_lat: float
    good_lon: float
    anchor_us: int
    anchor_lat: float
    anchor_lon: float
    stray_us: int
    stray_lat: float
    stray_lon: float
    strays: int
    units_steps: int
    units_reported_m: float
    units_implied_m: float
    units_suspect: int
    number: int
    """Number of the device's newest trip."""
    closed_us: int
    """End of the newest trip that was closed for good: what ends later may still change."""
    rested_us: int
    """When the newest trip of this session last moved; -1: there was none."""
    drive_us: int
    """Since when the driver has been driving without a break."""
    marked_us: int
    """The newest mark within the session, or its beginning."""
    unsaved: int
    """Samples since the last checkpoint."""
    open: bool
    """A trip is under way."""
    silent: bool
    """Silence closed the open trip; a sample within the silence goes on with it."""
    moving: bool
    contradicted: bool


class Trip:
    """A trip under way. ``tail`` holds what happened since the car last moved: it joins ``times`` if it moves on.

    ``run_*``: consecutive samples past a threshold, by kind; ``last_*``: the newest event of a kind, which a run may
    still prolong (``last_us`` of -1: none yet).
    """

    number: int
    start_us: int
    start_lat: float
    start_lon: float
    moved_us: int
    moved_lat: float
    moved_lon: float
    place_us: int
    place_lat: float
    place_lon: float
    fast_us: int
    max_speed_mph: float
    metres: float
    limit_known_m: float
    phone_known_m: float
    night_m: float
    late_m: float
    rush_m: float
    weekend_m: float
    low_m: float
    mid_m: float
    high_m: float
    gap_m: float
    slot_from: int
    slot_until: int
    slot: int
    found: int
    said: int
    ref_us: int
    ref_speed: float
    ref_heading: float
    along: float
    """Acceleration by the change of speed over the newest ``along_us``, m/s2."""
    along_us: int
    long_us: int
    """From when on this is a long drive."""
    speed: float
    """Speed of the sample before, m/s; negative if unknown."""
    along_sum: float
    along_s: float
    across_sum: float
    across_s: float
    times: PerTime
    tail: PerTime
    run_held_us: PerKind
    run_start_us: PerKind
    run_peak: PerKindReal
    run_mph: PerKindReal
    run_lat: PerKindReal
    run_lon: PerKindReal
    run_told: PerKind
    """1 if the run belongs to the newest event of its kind."""
    last_us: PerKind
    last_end_us: PerKind
    last_peak: PerKindReal
    last_mph: PerKindReal
    last_lat: PerKindReal
    last_lon: PerKindReal
    confirmed: bool
    shown: bool
    """Its row says that it is in progress."""


class Now:
    """The sample in hand, and what is found out about it on the way through the rules."""

    t_us: int
    lat: float
    lon: float
    mph: float
    accel_g: float
    lateral_g: float
    heading: float
    accuracy: float
    limit_mph: float
    kind: int
    phone: int
    quality: int
    dt_us: int
    speed: float
    from_us: int
    """Where the step to this sample began: the anchor before it."""
    from_lat: float
    from_lon: float
    verdict: int
    metres: float
    gap: bool
    flagged: bool
    """It has no place that counts."""
    stray: bool
    """It has one, out of reach."""
    moving: bool


class Event:
    """Something found or asserted on the trip ``number`` of the device in ``slot``. ``kind``: a place in ``CODES``."""

    slot: int
    number: int
    kind: int
    asserted: int
    start_us: int
    end_us: int
    peak: float
    mph: float
    lat: float
    lon: float


class Closing:
    """How a trip ended. ``kept`` is false if it was too short to count."""

    slot: int
    end_us: int
    end_lat: float
    end_lon: float
    reason: int
    driver: int
    zone: int
    kept: bool


class Limits:
    """``TripRules`` in the units of the fold: times in microseconds, speeds in m/s."""

    session_us: int
    gap_us: int
    end_us: int
    start_run_us: int
    min_us: int
    contradiction_us: int
    stale_us: int
    reanchor: int
    hold_us: int
    derive_min_us: int
    derive_max_us: int
    units_min: int
    break_us: int
    long_us: int
    min_us_of: PerKind
    merge_us_of: PerKind
    still: float
    start_ms: float
    start_m: float
    min_m: float
    radius_m: float
    max_mph: float
    max_m_per_us: float
    gap_min_m: float
    step_m: float
    blind_step_m: float
    contradiction_m_per_us: float
    units_speed: float
    units_tolerance: float
    gate: float
    brake: float
    accel: float
    corner: float
    derive_max: float
    jerk: float
    bias_s: float
    bias_max: float


_FORMS: dict[type, Any] = {
    int: np.int64,
    float: np.float64,
    bool: np.bool_,
    PerTime: (np.int64, (TIMES,)),
    PerKind: (np.int64, (KIND_COUNT,)),
    PerKindReal: (np.float64, (KIND_COUNT,)),
}


def form_of(record: type) -> np.dtype[np.void]:
    """Return the binary form of a class of fields."""
    hints = get_type_hints(record)
    plain = np.dtype([(name, _FORMS[hint]) for name, hint in hints.items()], align=True)
    return np.dtype((np.record, plain))


DEVICE, TRIP, NOW, EVENT, CLOSING, LIMITS = (form_of(c) for c in (Device, Trip, Now, Event, Closing, Limits))
Rows = NDArray[Any]
"""An array of records of one of these forms."""


def numbers_of(record: Any) -> dict[str, Any]:
    """Return a record's fields as Python numbers: to read many of them is ten times quicker so."""
    return dict(zip(record.dtype.names, record.item(), strict=True))


def _first(rows: Rows) -> Any:
    return rows[0]


def blank_device() -> Rows:
    """Return one device that nothing is known of."""
    rows = np.zeros(1, DEVICE)
    row: Device = _first(rows)
    row.last_us = row.arrival_us = row.still_us = row.good_us = row.anchor_us = row.stray_us = row.closed_us = -1
    row.driver = row.over = row.phone = row.rested_us = -1
    row.speed = -1.0
    return rows


def blank_trip() -> Rows:
    """Return one trip before its first sample."""
    rows = np.zeros(1, TRIP)
    row: Trip = _first(rows)
    row.fast_us = row.ref_us = -1
    row.ref_speed = row.speed = -1.0
    row.ref_heading = row.along = float("nan")
    row.last_us[:] = -1
    return rows


def limits_of(rules: TripRules) -> Rows:
    """Return the rules as the fold has them."""
    rows = np.zeros(1, LIMITS)
    row: Limits = _first(rows)
    row.session_us = rules.session_gap_us
    row.gap_us, row.end_us = _us(rules.gap_s), _us(rules.end_still_s)
    row.start_run_us, row.min_us = _us(rules.start_speed_s), _us(rules.min_duration_s)
    row.contradiction_us, row.stale_us = _us(rules.contradiction_s), _us(rules.blind_step_m / rules.still_speed_ms)
    row.reanchor, row.hold_us = rules.reanchor_points, _us(rules.hold_max_s)
    row.derive_min_us, row.derive_max_us = _us(rules.derive_min_s), _us(rules.derive_max_s)
    row.units_min = rules.units_min_steps
    row.break_us, row.long_us, row.jerk = _us(rules.break_s), _us(rules.long_drive_s), rules.jerk_ms3
    harsh, merge, episode = _us(rules.harsh_min_s), _us(rules.harsh_merge_s), _us(rules.episode_merge_s)
    row.min_us_of[:] = (harsh, harsh, harsh, _us(rules.speeding_min_s), _us(rules.phone_min_s))
    row.merge_us_of[:] = (merge, merge, merge, episode, episode)
    row.still, row.start_ms = rules.still_speed_ms, rules.start_speed_mph * MS_PER_MPH
    row.start_m, row.min_m, row.radius_m = rules.start_distance_m, rules.min_distance_m, rules.end_radius_m
    row.max_mph, row.max_m_per_us = rules.max_speed_mph, rules.max_speed_mph * MS_PER_MPH / 1e6
    row.gap_min_m, row.step_m, row.blind_step_m = rules.gap_min_m, rules.step_m, rules.blind_step_m
    row.contradiction_m_per_us = rules.contradiction_ms / 1e6
    row.units_speed, row.units_tolerance = rules.units_min_speed_ms, rules.units_tolerance
    row.gate = rules.harsh_gate_kmh / 3.6
    row.brake, row.accel, row.corner = rules.brake_ms2, rules.accel_ms2, rules.corner_ms2
    row.derive_max, row.bias_s, row.bias_max = rules.derive_max_ms2, rules.bias_settle_s, rules.bias_max_ms2
    return rows


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
