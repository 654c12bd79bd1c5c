"""Cuts devices' samples into trips. Pure: a fold over samples in order of (t_us, event_id), many devices at once.

The rules with their reasons are written down in docs/concepts/trips.md. The records are all that the fold remembers;
saved and restored between any two samples they give the same trips, bit by bit.
"""

from __future__ import annotations

from math import isnan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from auto_insurance.kernel.units import MS_PER_MPH
from auto_insurance.telematics.columns import Bytes, Codes, Singles
from auto_insurance.telematics.schemas import Quality
from auto_insurance.trips.aggregate import band_mph, enter_slot, join_tail, shown_speed, spend, travel
from auto_insurance.trips.calendar import Clock
from auto_insurance.trips.compiled import compiled
from auto_insurance.trips.contents import PHONE, SPEEDING
from auto_insurance.trips.detect import (
    SAID_NORMAL,
    SAID_OFF,
    Out,
    episode,
    hand_out_all,
    note_assertion,
    over_class,
    sense,
)
from auto_insurance.trips.state import SAMPLES, Closing, Device, Doubles, Limits, Longs, Now, Rows, Trip
from auto_insurance.trips.track import MOVING, REANCHORED, UNUSABLE, flat_m, locate

END_STANDSTILL, END_IGNITION, END_SILENCE, END_DRIVER, STILL_OPEN = range(5)
"""Places in ``contents.REASONS``."""
DONE, FULL, DISORDER = range(3)
EVENT_ROOM, CLOSING_ROOM = 32, 4
"""At most so much comes of one sample."""
_NO_PLACE = int(Quality.NO_POSITION | Quality.NULL_ISLAND | Quality.LOW_ACCURACY)


class Batch(NamedTuple):
    """Samples as columns. Those of group g, one device's, are ``order[starts[g]:ends[g]]``, by time and id.

    ``driver`` indexes ``drivers`` and ``zones``, which hold the numbers that devices know them by.
    """

    slots: Longs
    """By group: the device's row in the tables."""
    starts: Longs
    ends: Longs
    order: Longs
    driver: Codes
    drivers: Longs
    zones: Longs
    t_us: Longs
    received_us: Longs
    latitude: Doubles
    longitude: Doubles
    speed_mph: Singles
    accel_g: Singles
    lateral_g: Singles
    heading_deg: Singles
    gps_accuracy_m: Singles
    speed_limit_mph: Singles
    event_type: Bytes
    phone_in_use: Bytes
    quality: NDArray[np.int16]


class Tables(NamedTuple):
    """Devices and their open trips, row by row; ``blank_*`` hold one empty record, ``now`` and ``limits`` one each."""

    devices: Rows
    trips: Rows
    blank_device: Rows
    blank_trip: Rows
    now: Rows
    limits: Rows


@compiled
def fold(tables: Tables, batch: Batch, clock: Clock, out: Out) -> int:
    """Fold samples into the tables, from where ``out.cursor`` says.

    Returns ``DONE``; ``FULL`` if ``out`` is full before all are done; ``DISORDER`` at a sample that comes before its
    device's last one.
    """
    cursor, order = out.cursor, batch.order
    x: Now = tables.now[0]
    limits: Limits = tables.limits[0]
    while cursor[0] < len(batch.slots):
        slot, start, until = batch.slots[cursor[0]], batch.starts[cursor[0]], batch.ends[cursor[0]]
        s: Device = tables.devices[slot]
        t: Trip = tables.trips[slot]
        for place in range(max(cursor[1], start), until):
            if cursor[2] + EVENT_ROOM > len(out.events) or cursor[3] + CLOSING_ROOM > len(out.closings):
                cursor[1] = place
                return FULL
            row = order[place]
            _read(x, batch, row)
            if x.t_us < s.last_us:
                return DISORDER
            driver = batch.driver[row]
            s.arrival_us = max(s.arrival_us, batch.received_us[row])
            _enter_session(tables, slot, x.t_us, batch.drivers[driver], batch.zones[driver], out)
            if x.t_us == s.last_us:
                _again(s, t, x, limits, out, slot)
            else:
                _take(tables, slot, clock, out)
                out.flagged[row] = x.stray
        cursor[0] += 1
        cursor[1] = until
    return DONE


@compiled
def _read(x: Now, batch: Batch, row: int) -> None:
    """Take a sample in hand."""
    x.t_us = batch.t_us[row]
    x.lat, x.lon = batch.latitude[row], batch.longitude[row]
    x.mph, x.limit_mph = float(batch.speed_mph[row]), float(batch.speed_limit_mph[row])
    x.accel_g, x.lateral_g = float(batch.accel_g[row]), float(batch.lateral_g[row])
    x.heading = float(batch.heading_deg[row])
    accuracy = float(batch.gps_accuracy_m[row])
    x.accuracy = 0.0 if isnan(accuracy) else accuracy
    x.kind, x.phone, x.quality = batch.event_type[row], batch.phone_in_use[row], batch.quality[row]
    x.verdict, x.metres, x.gap, x.flagged, x.stray = UNUSABLE, 0.0, False, True, False


@compiled
def _enter_session(tables: Tables, slot: int, t_us: int, driver: int, zone: int, out: Out) -> None:
    """Start anew after silence or with another driver; nothing of before has a say in what follows.

    What silence closed already is not closed again, unless it goes on after all.
    """
    s: Device = tables.devices[slot]
    t: Trip = tables.trips[slot]
    limits: Limits = tables.limits[0]
    silent = s.last_us >= 0 and t_us - s.last_us >= limits.session_us
    s.unsaved += 1
    if s.last_us >= 0 and driver == s.driver and not silent:
        if s.silent:
            s.silent = t.shown = False
        return
    if s.silent and silent:
        s.open, s.closed_us = False, s.last_us
    cut(s, t, limits, END_SILENCE if silent else END_DRIVER, out, slot)
    _start_session(tables, slot)
    s.driver, s.zone, s.marked_us = driver, zone, t_us


@compiled
def _start_session(tables: Tables, slot: int) -> None:
    """Put a device back to the beginning: of the past only the check of units goes on, and what trips there were."""
    s: Device = tables.devices[slot]
    arrival_us, closed_us, number, unsaved = s.arrival_us, s.closed_us, s.number, s.unsaved
    steps, reported_m, implied_m, suspect = s.units_steps, s.units_reported_m, s.units_implied_m, s.units_suspect
    tables.devices[slot] = tables.blank_device[0]
    s.arrival_us, s.closed_us, s.number, s.unsaved = arrival_us, closed_us, number, unsaved
    s.units_steps, s.units_reported_m, s.units_implied_m, s.units_suspect = steps, reported_m, implied_m, suspect


@compiled
def _take(tables: Tables, slot: int, clock: Clock, out: Out) -> None:
    """Fold the sample in hand, one with a new instant."""
    s: Device = tables.devices[slot]
    t: Trip = tables.trips[slot]
    x: Now = tables.now[0]
    limits: Limits = tables.limits[0]
    x.dt_us = 0 if s.last_us < 0 else x.t_us - s.last_us
    x.speed = x.mph * MS_PER_MPH if x.mph <= limits.max_mph else -1.0
    x.from_us, x.from_lat, x.from_lon = s.anchor_us, s.anchor_lat, s.anchor_lon
    if x.quality & _NO_PLACE == 0 and not (isnan(x.lat) or isnan(x.lon)):
        locate(s, x, limits)
        x.flagged = x.stray = x.verdict == UNUSABLE
    x.moving = _is_moving(s, x, limits)
    if s.open:
        _interval(s, t, x, limits, clock, out, slot)
        if x.metres != 0.0:
            _way(s, t, x, clock)
    elif x.moving and x.verdict == MOVING:
        tables.trips[slot] = tables.blank_trip[0]
        _begin(s, t, x, limits, clock)
    _remember(s, x)
    if s.open:
        sense(t, x, limits, out, slot)
        if x.speed >= 0.0 and x.mph > t.max_speed_mph:
            t.max_speed_mph = x.mph
        if x.kind != SAID_NORMAL:
            note_assertion(t, x, out, slot)
        _decide(s, t, x, limits, out, slot)


@compiled
def _is_moving(s: Device, x: Now, limits: Limits) -> bool:
    """Tell whether the device moves as of this sample, from its place or else from its speed."""
    if x.verdict >= 0 and x.verdict != REANCHORED:
        return x.verdict == MOVING
    if x.speed >= 0.0:
        return x.speed >= limits.still
    return s.moving and 0 <= x.t_us - s.good_us <= limits.gap_us


@compiled
def _begin(s: Device, t: Trip, x: Now, limits: Limits, clock: Clock) -> None:
    """Begin a trip at this sample or, if a whole step lies before it, at the step's beginning."""
    s.open = True
    s.number += 1
    t.number = s.number
    t.moved_us, t.moved_lat, t.moved_lon = x.t_us, s.good_lat, s.good_lon
    t.start_us, t.start_lat, t.start_lon = x.t_us, s.good_lat, s.good_lon
    if x.metres != 0.0:
        t.start_us, t.start_lat, t.start_lon = x.from_us, x.from_lat, x.from_lon
    t.place_us, t.place_lat, t.place_lon = t.start_us, t.start_lat, t.start_lon
    if s.rested_us < 0 or t.start_us - s.rested_us >= limits.break_us:
        s.drive_us = t.start_us
    t.long_us = s.drive_us + limits.long_us
    t.times[SAMPLES] = 1
    enter_slot(t, clock, s.zone, t.start_us)
    if x.metres != 0.0:
        over, phone, speed = (-1, -1, -1.0) if x.gap else (s.over, s.phone, s.speed)
        spend(t, x, clock, s.zone, t.start_us, True, over, phone, speed)
        if speed > 0.0:
            t.max_speed_mph = speed / MS_PER_MPH  # of the step before: it is in the mean, too
        _way(s, t, x, clock)


@compiled
def _interval(s: Device, t: Trip, x: Now, limits: Limits, clock: Clock, out: Out, slot: int) -> None:
    """Account for the time since the sample before: its values held until now, unless that is too long."""
    long = x.dt_us > limits.gap_us
    moving, over, phone, speed = s.moving, s.over, s.phone, s.speed
    if long:
        moving, over, phone, speed = x.metres > 0.0, -1, -1, -1.0
        t.fast_us = -1
        if x.dt_us >= limits.break_us:
            s.drive_us, t.long_us = x.t_us, x.t_us + limits.long_us
    spend(t, x, clock, s.zone, s.last_us, moving, over, phone, speed)
    if moving:
        t.moved_us, t.moved_lat, t.moved_lon = x.t_us, s.good_lat, s.good_lon
    episode(t, x, limits, out, slot, int(SPEEDING), over > 0, s.over_mph)
    episode(t, x, limits, out, slot, int(PHONE), phone > 0, shown_speed(s))


@compiled
def _way(s: Device, t: Trip, x: Now, clock: Clock) -> None:
    """Account for a step or a bridged gap."""
    over, phone = s.over, s.phone
    if x.gap:
        t.gap_m += x.metres
        over, phone = -1, -1
    mph = x.speed / MS_PER_MPH
    if x.gap or x.speed < 0.0:
        mph = band_mph(x.metres, x.t_us - x.from_us)
    travel(t, x, clock, s.zone, x.from_us, mph, over, phone)


@compiled
def _remember(s: Device, x: Now) -> None:
    """Hold the sample's values until the next one."""
    s.last_us, s.speed, s.moving, s.phone = x.t_us, x.speed, x.moving, x.phone
    s.over = -1
    if not isnan(x.limit_mph) and x.speed >= 0.0:
        s.over, s.over_mph = over_class(x.mph, x.limit_mph), x.mph - x.limit_mph


@compiled
def _decide(s: Device, t: Trip, x: Now, limits: Limits, out: Out, slot: int) -> None:
    """Confirm, end or forget the open trip as of this sample."""
    driven = x.metres > 0.0 and x.speed > limits.start_ms
    if x.verdict == REANCHORED:
        t.place_us, t.place_lat, t.place_lon = x.t_us, s.good_lat, s.good_lon
        if not t.confirmed:
            s.open = False
            return
    elif x.verdict != UNUSABLE and (driven or _left(s, t, limits)):
        t.place_us, t.place_lat, t.place_lon = x.t_us, s.good_lat, s.good_lon
    if x.kind == SAID_OFF:
        cut(s, t, limits, END_IGNITION, out, slot)
        return
    patience_us = limits.session_us if t.confirmed and is_short(t, limits) else limits.end_us
    if x.t_us - min(t.place_us, t.moved_us) >= patience_us:
        _rest(s, t, limits, out, slot)
    elif not t.confirmed:
        _confirm(s, t, x, limits)


@compiled
def _left(s: Device, t: Trip, limits: Limits) -> bool:
    """Tell whether the device is more than 200 m from the place where its stay began."""
    return flat_m(t.place_lat, t.place_lon, s.good_lat, s.good_lon) > limits.radius_m


@compiled
def _confirm(s: Device, t: Trip, x: Now, limits: Limits) -> None:
    """Confirm a beginning: more than 200 m away from its start, or faster than 5 mph for 30 s."""
    if s.speed <= limits.start_ms:
        t.fast_us = -1
    elif t.fast_us < 0:
        t.fast_us = x.t_us
    away = flat_m(t.start_lat, t.start_lon, s.good_lat, s.good_lon)
    fast = t.fast_us >= 0 and x.t_us - t.fast_us >= limits.start_run_us
    t.confirmed = fast or away > limits.start_m


@compiled
def _again(s: Device, t: Trip, x: Now, limits: Limits, out: Out, slot: int) -> None:
    """Take in another sample of the same instant: only what it asserts counts."""
    if s.open:
        if x.kind != SAID_NORMAL:
            note_assertion(t, x, out, slot)
        if x.kind == SAID_OFF:
            cut(s, t, limits, END_IGNITION, out, slot)


@compiled
def is_short(t: Trip, limits: Limits) -> bool:
    """Tell whether this is shorter than 500 m and, to its last movement, than 300 s: not a trip (yet)."""
    return t.metres < limits.min_m and t.moved_us - t.start_us < limits.min_us


@compiled
def _rest(s: Device, t: Trip, limits: Limits, out: Out, slot: int) -> None:
    """End at standstill: the trip ended when the car last moved, what came after is not part of it."""
    s.open = False
    if t.confirmed:
        s.closed_us = s.rested_us = t.moved_us
        put(s, t, limits, out, slot, END_STANDSTILL)


@compiled
def cut(s: Device, t: Trip, limits: Limits, reason: int, out: Out, slot: int) -> None:
    """End at the last sample: the device went off, fell silent or changed hands."""
    if s.open and t.confirmed:
        s.closed_us, s.rested_us = s.last_us, t.moved_us
        put(s, t, limits, out, slot, reason)
    s.open = False


@compiled
def put(s: Device, t: Trip, limits: Limits, out: Out, slot: int, reason: int) -> None:
    """Put the open trip, as it is if it ends for this reason, with the closings, and its events that are still kept."""
    place = out.cursor[3]
    out.cursor[3] += 1
    out.closed[place] = t
    ended: Trip = out.closed[place]
    c: Closing = out.closings[place]
    c.slot, c.driver, c.zone, c.reason, c.kept = slot, s.driver, s.zone, reason, not is_short(t, limits)
    if reason in (END_STANDSTILL, STILL_OPEN):
        c.end_us, c.end_lat, c.end_lon = t.moved_us, t.moved_lat, t.moved_lon
    else:
        c.end_us, c.end_lat, c.end_lon = s.last_us, s.good_lat, s.good_lon
        join_tail(ended)
    hand_out_all(ended, out, slot)


@compiled
def view(tables: Tables, slots: Longs, out: Out, reason: int) -> None:
    """Put what the confirmed open trips of these devices would be if they ended now; the devices stay as they are.

    ``out`` must have room for all of them.
    """
    limits: Limits = tables.limits[0]
    for slot in slots:
        s: Device = tables.devices[slot]
        t: Trip = tables.trips[slot]
        if s.open and t.confirmed:
            put(s, t, limits, out, slot, reason)
