"""Adds up what a trip is made of. Pure.

Time is added in whole microseconds (exact, whatever the order of batches); distance in metres in the order of the fold.
A sample's speed, limit and phone use stand for the time until the next sample. Sums of speed and of its square are
whole numbers too, of speed in cm/s.
"""

from __future__ import annotations

from math import inf, isnan

from auto_insurance.kernel.units import MS_PER_MPH
from auto_insurance.trips.calendar import LATE, NIGHT, RUSH, SLOT_US, WEEKEND, Clock, flags_at, night_us
from auto_insurance.trips.compiled import compiled
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
    TIMES,
    Device,
    Limits,
    Now,
    PerTime,
    Trip,
)

LOW_BELOW_MPH, HIGH_FROM_MPH, VERY_HIGH_FROM_MPH = 25.0, 50.0, 80.0
_LOW, _HIGH, _VERY_HIGH = LOW_BELOW_MPH * MS_PER_MPH, HIGH_FROM_MPH * MS_PER_MPH, VERY_HIGH_FROM_MPH * MS_PER_MPH
STANDING_BELOW_MS = 1.0


@compiled
def spend(
    t: Trip, x: Now, clock: Clock, zone: int, from_us: int, moving: bool, over: int, phone: int, speed: float
) -> None:  # fmt: skip
    """Add the interval that ends now. ``over``, ``phone`` and ``speed`` (m/s) are negative where unknown."""
    span = x.t_us - from_us
    if moving:
        if t.tail[SAMPLES] != 0:
            join_tail(t)
        part = t.times
        part[MOVED] += span
        if x.t_us > t.long_us:
            part[LONG_DRIVE] += x.t_us - max(from_us, t.long_us)
    else:
        part = t.tail
        part[IDLE] += span
    part[SAMPLES] += 1
    if x.flagged:
        part[FLAGGED] += 1
    if x.gap:
        part[GAPS] += 1
    _spend_known(part, span, over, phone)
    if speed >= 0.0:
        _spend_at_speed(part, span, phone, speed)
    if x.t_us <= t.slot_until:
        if t.slot & NIGHT:
            part[NIGHT_US] += span
    else:
        part[NIGHT_US] += night_us(clock, zone, from_us, x.t_us)
        enter_slot(t, clock, zone, x.t_us)


@compiled
def _spend_known(part: PerTime, span: int, over: int, phone: int) -> None:
    if over >= 0:
        part[LIMIT_KNOWN] += span
        for step in range(over):
            part[OVER_5 + step] += span
    if phone >= 0:
        part[PHONE_KNOWN] += span
        if phone > 0:
            part[PHONE_ON] += span


@compiled
def _spend_at_speed(part: PerTime, span: int, phone: int, speed: float) -> None:
    whole = int(speed * 100.0 + 0.5)
    part[SPEED_KNOWN] += span
    part[SPEED_SUM] += whole * span
    part[SPEED_SQUARE] += whole * whole * span // 1000
    if speed < STANDING_BELOW_MS:
        part[SPEED_STANDING] += span
    elif speed < _LOW:
        part[SPEED_SLOW] += span
    elif speed >= _HIGH:
        part[SPEED_FAST] += span
        if speed >= _VERY_HIGH:
            part[SPEED_VERY_FAST] += span
    if phone < 0:
        return
    part[PHONE_SPEED_KNOWN] += span
    if phone > 0:
        if speed < STANDING_BELOW_MS:
            part[PHONE_STANDING] += span
        else:
            part[PHONE_MOVING] += span
            if speed >= _LOW:
                part[PHONE_FAST] += span


@compiled
def shake(t: Trip, r: Limits, along: float, span: int) -> None:
    """Add the jerk: the change to this acceleration, NaN if unknown, over ``span`` from the one just before it.

    Both come from changes of the reported speed, so that devices with and without accelerometers are alike.
    """
    if not isnan(along) and not isnan(t.along):
        jerk = abs(along - t.along) * 2e6 / (span + t.along_us)
        whole = int(jerk * 100.0 + 0.5)
        part = t.tail if t.tail[SAMPLES] != 0 else t.times
        part[JERK_KNOWN] += span
        part[JERK_SQUARE] += whole * whole * span // 1000
        if jerk >= r.jerk:
            part[JERKY] += span
    t.along, t.along_us = along, span


@compiled
def enter_slot(t: Trip, clock: Clock, zone: int, at_us: int) -> None:
    """Remember the quarter of an hour that begins at or before ``at_us``."""
    slot = at_us // SLOT_US
    t.slot_from, t.slot_until = slot * SLOT_US, (slot + 1) * SLOT_US
    t.slot = flags_at(clock, zone, slot)


@compiled
def join_tail(t: Trip) -> None:
    """Count what happened since the car last moved as part of the trip."""
    for place in range(TIMES):
        t.times[place] += t.tail[place]
        t.tail[place] = 0


@compiled
def travel(t: Trip, x: Now, clock: Clock, zone: int, from_us: int, mph: float, over: int, phone: int) -> None:
    """Add the way in hand, which began at ``from_us``. ``mph`` decides the speed band."""
    t.metres += x.metres
    if over >= 0:
        t.limit_known_m += x.metres
    if phone >= 0:
        t.phone_known_m += x.metres
    if mph < LOW_BELOW_MPH:
        t.low_m += x.metres
    elif mph < HIGH_FROM_MPH:
        t.mid_m += x.metres
    else:
        t.high_m += x.metres
    if from_us >= t.slot_from:
        _by_clock(t, t.slot, x.metres)
    else:
        _by_clock_split(t, x, clock, zone, from_us)


@compiled
def _by_clock(t: Trip, flags: int, metres: float) -> None:
    if flags & NIGHT:
        t.night_m += metres
        if flags & LATE:
            t.late_m += metres
    if flags & RUSH:
        t.rush_m += metres
    if flags & WEEKEND:
        t.weekend_m += metres


@compiled
def _by_clock_split(t: Trip, x: Now, clock: Clock, zone: int, from_us: int) -> None:
    """Share a stretch out over the quarters of an hour that it touches, in proportion to time."""
    span, at = x.t_us - from_us, from_us
    while at < x.t_us:
        slot = at // SLOT_US
        until = min(x.t_us, (slot + 1) * SLOT_US)
        _by_clock(t, flags_at(clock, zone, slot), x.metres * ((until - at) / span))
        at = until


@compiled
def band_mph(metres: float, span_us: int) -> float:
    """Return the mean speed of a stretch in mph; infinity if it took no time."""
    return metres * 1e6 / span_us / MS_PER_MPH if span_us > 0 else inf


@compiled
def shown_speed(s: Device) -> float:
    """Return the speed of the sample before in mph, 0 if unknown."""
    return s.speed / MS_PER_MPH if s.speed >= 0.0 else 0.0
