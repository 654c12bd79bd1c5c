"""Finds harsh driving, speeding and phone use in a stream of samples. Pure; O(1) per sample.

Thresholds: braking 3.0, acceleration 2.5 and cornering 3.5 m/s2 held for 0.6 s above 20 km/h. Ordinary driving stays
below about 2-3 m/s2 along and 4 m/s2 across (Bosetti, Da Lio and Saroldi 2014, "On the human control of vehicles: an
experimental study of acceleration"); telematics programmes set their triggers at 0.25-0.45 g.

Of a trip's events only the newest of each kind can still change: that one is kept in the trip, those before it are
handed out.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any, NamedTuple

from numpy.typing import NDArray

from auto_insurance.kernel.units import STANDARD_GRAVITY_MS2
from auto_insurance.telematics.columns import EVENT_CODE
from auto_insurance.telematics.schemas import EventType
from auto_insurance.trips.aggregate import shake
from auto_insurance.trips.compiled import compiled
from auto_insurance.trips.contents import ACCEL, BRAKE, CORNER, CRASH, PHONE, SEVERE_SPEEDING_MPH, SPEEDING
from auto_insurance.trips.state import KIND_COUNT, Event, Limits, Longs, Now, Rows, Trip
from auto_insurance.trips.track import RAD

MAX_EVENTS = 5_000
"""Events kept per trip and, apart from them, assertions kept per trip."""

SAID_BRAKE, SAID_ACCEL, SAID_CORNER, SAID_SPEEDING, SAID_PHONE, SAID_CRASH, SAID_OFF, SAID_NORMAL = (
    EVENT_CODE[kind]
    for kind in (
        EventType.HARSH_BRAKE, EventType.RAPID_ACCEL, EventType.HARSH_CORNER, EventType.SPEEDING,
        EventType.PHONE_USAGE, EventType.CRASH, EventType.IGNITION_OFF, EventType.NORMAL,
    )
)  # fmt: skip


class Out(NamedTuple):
    """Where the fold puts what it finds. ``cursor``: group, place, events, closings so far."""

    events: Rows
    closings: Rows
    closed: Rows
    """The trips of ``closings``."""
    flagged: NDArray[Any]
    """By row of the batch: its place can't be reached."""
    cursor: Longs


@compiled
def sense(t: Trip, x: Now, r: Limits, out: Out, slot: int) -> None:
    """Take in one sample."""
    along, across, derived_us = _derived(t, x, r)
    if derived_us > 0:
        shake(t, r, along, derived_us)
    along_hold = across_hold = derived_us
    if not isnan(x.accel_g):
        along, along_hold = _measured_along(t, x, r), min(x.dt_us, r.hold_us)
    if not isnan(x.lateral_g):
        across, across_hold = _measured_across(t, x, r), min(x.dt_us, r.hold_us)
    fast = x.speed > r.gate
    braking = along <= -r.brake and (fast or t.speed > r.gate)
    if braking or t.run_held_us[BRAKE] != 0:
        _track(t, x, r, out, slot, int(BRAKE), braking, along_hold, -along)
    speeding_up = fast and along >= r.accel
    if speeding_up or t.run_held_us[ACCEL] != 0:
        _track(t, x, r, out, slot, int(ACCEL), speeding_up, along_hold, along)
    turning = fast and abs(across) >= r.corner
    if turning or t.run_held_us[CORNER] != 0:
        _track(t, x, r, out, slot, int(CORNER), turning, across_hold, abs(across))
    t.speed = x.speed


@compiled
def episode(t: Trip, x: Now, r: Limits, out: Out, slot: int, kind: int, on: bool, value: float) -> None:
    """Take in that speeding or phone use did or did not last over the interval that ends now."""
    if on or t.run_held_us[kind] != 0:
        _track(t, x, r, out, slot, kind, on, x.dt_us, value)


@compiled
def _track(
    t: Trip, x: Now, r: Limits, out: Out, slot: int, kind: int, on: bool, hold_us: int, value: float
) -> None:  # fmt: skip
    if not on:
        t.run_held_us[kind] = t.run_told[kind] = 0
        return
    if t.run_held_us[kind] == 0:
        t.run_start_us[kind], t.run_peak[kind], t.run_told[kind] = x.t_us - hold_us, value, 0
        t.run_mph[kind], t.run_lat[kind], t.run_lon[kind] = x.mph, x.lat, x.lon
    t.run_peak[kind] = max(t.run_peak[kind], value)
    t.run_held_us[kind] += hold_us
    if t.run_told[kind] == 0 and t.run_held_us[kind] >= r.min_us_of[kind]:
        _tell(t, r, out, slot, kind)
    if t.run_told[kind] != 0:
        t.last_end_us[kind] = x.t_us
        t.last_peak[kind] = max(t.last_peak[kind], t.run_peak[kind])


@compiled
def _tell(t: Trip, r: Limits, out: Out, slot: int, kind: int) -> None:
    """Let a run be an event: it prolongs a recent one of its kind, or is a new one."""
    if t.last_us[kind] >= 0 and t.run_start_us[kind] - t.last_end_us[kind] <= r.merge_us_of[kind]:
        t.run_told[kind] = 1
        return
    if t.found >= MAX_EVENTS:
        return
    hand_out(t, out, slot, kind)
    t.found += 1
    t.run_told[kind] = 1
    t.last_us[kind] = t.last_end_us[kind] = t.run_start_us[kind]
    t.last_peak[kind] = t.run_peak[kind]
    t.last_mph[kind], t.last_lat[kind], t.last_lon[kind] = t.run_mph[kind], t.run_lat[kind], t.run_lon[kind]


@compiled
def hand_out(t: Trip, out: Out, slot: int, kind: int) -> None:
    """Put the newest event of a kind, if there is one, with what was found."""
    if t.last_us[kind] < 0:
        return
    e: Event = out.events[out.cursor[2]]
    out.cursor[2] += 1
    e.slot, e.number, e.kind, e.asserted = slot, t.number, kind, 0
    e.start_us, e.end_us, e.peak = t.last_us[kind], t.last_end_us[kind], t.last_peak[kind]
    e.mph, e.lat, e.lon = t.last_mph[kind], t.last_lat[kind], t.last_lon[kind]
    t.last_us[kind] = -1


@compiled
def hand_out_all(t: Trip, out: Out, slot: int) -> None:
    """Put all events that are left of a trip that ends with what was found."""
    for kind in range(KIND_COUNT):
        hand_out(t, out, slot, kind)


@compiled
def _derived(t: Trip, x: Now, r: Limits) -> tuple[float, float, int]:
    """Return acceleration along and across in m/s2 from the change of speed and course, and the time they cover.

    Along: dv/dt. Across: v x dcourse/dt. Over at least 0.8 s, as quantised speeds differ wildly over less. NaN where
    unknown.
    """
    span = x.t_us - t.ref_us
    along = across = nan
    if t.ref_us >= 0 and span < r.derive_min_us:
        return along, across, 0
    if x.speed >= 0.0 and t.ref_us >= 0 and t.ref_speed >= 0.0 and span <= r.derive_max_us:
        seconds = span / 1e6
        along = (x.speed - t.ref_speed) / seconds
        if abs(along) > r.derive_max:
            along = nan
        turn = (x.heading - t.ref_heading) % 360.0
        if t.ref_speed > r.gate and not isnan(turn):
            rate = (turn - 360.0 if turn > 180.0 else turn) * RAD / seconds
            across = rate * (x.speed + t.ref_speed) / 2
            if abs(across) > r.derive_max:
                across = nan
    t.ref_us, t.ref_speed, t.ref_heading = x.t_us, x.speed, x.heading
    return along, across, span


@compiled
def _measured_along(t: Trip, x: Now, r: Limits) -> float:
    """Return the accelerometer's value without its mounting bias, m/s2.

    Over time the integral of a level accelerometer is the change of speed; what it shows beyond that is slope of
    the mounting. The estimate starts at 0 and gains trust with time (bias_settle_s), so it needs no calibration.
    """
    value = x.accel_g * STANDARD_GRAVITY_MS2
    bias = t.along_sum / (t.along_s + r.bias_s)
    if 0 < x.dt_us <= r.hold_us and x.speed >= 0.0 and t.speed >= 0.0:
        seconds = x.dt_us / 1e6
        t.along_sum += value * seconds - (x.speed - t.speed)
        t.along_s += seconds
    return value - max(-r.bias_max, min(r.bias_max, bias))


@compiled
def _measured_across(t: Trip, x: Now, r: Limits) -> float:
    """Return the lateral value without its mounting bias, m/s2: turns to both sides cancel over a trip."""
    value = x.lateral_g * STANDARD_GRAVITY_MS2
    bias = t.across_sum / (t.across_s + r.bias_s)
    seconds = min(x.dt_us, r.hold_us) / 1e6
    t.across_sum += value * seconds
    t.across_s += seconds
    return value - max(-r.bias_max, min(r.bias_max, bias))


@compiled
def _said(kind: int) -> int:
    """Return what kind of event a device asserts, -1 for none."""
    if kind == SAID_BRAKE:
        return BRAKE
    if kind == SAID_ACCEL:
        return ACCEL
    if kind == SAID_CORNER:
        return CORNER
    if kind == SAID_SPEEDING:
        return SPEEDING
    if kind == SAID_PHONE:
        return PHONE
    return CRASH if kind == SAID_CRASH else -1


@compiled
def note_assertion(t: Trip, x: Now, out: Out, slot: int) -> None:
    """Keep what the device itself says beside what the server finds; it is never counted."""
    kind = _said(x.kind)
    if kind < 0 or t.said >= MAX_EVENTS:
        return
    peak = nan
    if kind in (BRAKE, ACCEL):
        peak = abs(x.accel_g) * STANDARD_GRAVITY_MS2
    elif kind == CORNER:
        peak = abs(x.lateral_g) * STANDARD_GRAVITY_MS2
    elif kind == SPEEDING:
        peak = x.mph - x.limit_mph
    elif kind == PHONE:
        peak = x.mph
    e: Event = out.events[out.cursor[2]]
    out.cursor[2] += 1
    t.said += 1
    e.slot, e.number, e.kind, e.asserted = slot, t.number, kind, 1
    e.start_us, e.end_us, e.peak = x.t_us, x.t_us, peak
    e.mph, e.lat, e.lon = x.mph, x.lat, x.lon


@compiled
def over_class(speed_mph: float, limit_mph: float) -> int:
    """Return how far over the posted limit: -1 unknown, 0 below 5 mph, 1 from 5, 2 from 10, 3 from 20 mph over."""
    over = speed_mph - limit_mph
    if over < 5.0:
        return 0
    if over < 10.0:
        return 1
    if over < SEVERE_SPEEDING_MPH:
        return 2
    return 3 if over >= SEVERE_SPEEDING_MPH else -1
