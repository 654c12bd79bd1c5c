"""Adds up what a trip is made of. Pure.

Time is added in whole microseconds (exact, whatever the order of batches); distance in metres in the order of the fold.
A sample's speed, limit and phone use stand for the time until the next sample.
"""

from __future__ import annotations

from math import inf

from auto_insurance.kernel.units import MS_PER_MPH
from auto_insurance.trips.calendar import LATE, NIGHT, RUSH, SLOT_US, WEEKEND, Clock, flags_at, night_us
from auto_insurance.trips.compiled import compiled
from auto_insurance.trips.state import (
    FLAGGED,
    GAPS,
    IDLE,
    LIMIT_KNOWN,
    MOVED,
    NIGHT_US,
    OVER_5,
    PHONE_KNOWN,
    PHONE_ON,
    SAMPLES,
    TIMES,
    Device,
    Now,
    PerTime,
    Trip,
)

LOW_BELOW_MPH, HIGH_FROM_MPH = 25.0, 50.0


@compiled
def spend(t: Trip, x: Now, clock: Clock, zone: int, from_us: int, moving: bool, over: int, phone: int) -> None:
    """Add the interval that ends now. ``over`` and ``phone`` are -1 where unknown."""
    span = x.t_us - from_us
    if moving:
        if t.tail[SAMPLES] != 0:
            join_tail(t)
        part = t.times
        part[MOVED] += span
    else:
        part = t.tail
        part[IDLE] += span
    part[SAMPLES] += 1
    if x.flagged:
        part[FLAGGED] += 1
    if x.gap:
        part[GAPS] += 1
    _spend_known(part, span, over, phone)
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
