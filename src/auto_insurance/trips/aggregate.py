"""Adds up what a trip is made of. Pure.

Time is added in whole microseconds (exact, whatever the order of batches); distance in metres in the order of the fold.
A sample's speed, limit and phone use stand for the time until the next sample.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from auto_insurance.kernel.units import METRES_PER_MILE, MS_PER_MPH
from auto_insurance.trips.calendar import LATE, NIGHT, RUSH, SLOT_US, WEEKEND, night_us, slot_flags
from auto_insurance.trips.detect import KINDS, SEVERE, Senses, severity
from auto_insurance.trips.rules import TripRules
from auto_insurance.trips.schemas import TripSums

LOW_BELOW_MPH, HIGH_FROM_MPH = 25.0, 50.0


class Times(msgspec.Struct, array_like=True):
    """Microseconds and counts of a stretch of a trip."""

    moving: int = 0
    idle: int = 0
    over_5: int = 0
    over_10: int = 0
    over_20: int = 0
    limit_known: int = 0
    phone: int = 0
    phone_known: int = 0
    night: int = 0
    samples: int = 0
    flagged: int = 0
    gaps: int = 0


class OpenTrip(msgspec.Struct, array_like=True):
    """A trip under way. ``tail`` holds what happened since the car last moved: it joins ``times`` if it moves on."""

    start_us: int
    start_lat: float
    start_lon: float
    moved_us: int
    moved_lat: float
    moved_lon: float
    place_us: int
    place_lat: float
    place_lon: float
    times: Times
    tail: Times
    senses: Senses
    confirmed: bool = False
    fast_us: int = -1
    max_speed_mph: float = 0.0
    metres: float = 0.0
    limit_known_m: float = 0.0
    phone_known_m: float = 0.0
    night_m: float = 0.0
    late_m: float = 0.0
    rush_m: float = 0.0
    weekend_m: float = 0.0
    low_m: float = 0.0
    mid_m: float = 0.0
    high_m: float = 0.0
    gap_m: float = 0.0
    slot_from: int = 0
    slot_until: int = 0
    slot: int = 0
    ref: bytes | None = None
    """The caller's own: which stored row this trip has."""


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
    """All that a trip is, without its id: a pure function of the samples, the rules and the driver's time zone."""

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


def spend(
    trip: OpenTrip,
    zone: str,
    from_us: int,
    to_us: int,
    *,
    moving: bool,
    over: int,
    phone: int,
    flagged: bool,
    gap: bool,
) -> None:
    """Add the interval between two samples. ``over`` and ``phone`` are -1 where unknown."""
    span = to_us - from_us
    if moving:
        if trip.tail.samples:
            _join(trip.times, trip.tail)
            trip.tail = Times()
        part = trip.times
        part.moving += span
    else:
        part = trip.tail
        part.idle += span
    part.samples += 1
    if flagged:
        part.flagged += 1
    if gap:
        part.gaps += 1
    if over >= 0:
        _limits(part, over, span)
    if phone >= 0:
        part.phone_known += span
        if phone:
            part.phone += span
    if to_us <= trip.slot_until:
        if trip.slot & NIGHT:
            part.night += span
    else:
        part.night += night_us(zone, from_us, to_us)
        enter_slot(trip, zone, to_us)


def _limits(part: Times, over: int, span: int) -> None:
    part.limit_known += span
    if over:
        part.over_5 += span
        if over > 1:
            part.over_10 += span
            if over > 2:
                part.over_20 += span


def enter_slot(trip: OpenTrip, zone: str, at_us: int) -> None:
    """Remember the quarter of an hour that begins at or before ``at_us``."""
    slot = at_us // SLOT_US
    trip.slot_from, trip.slot_until = slot * SLOT_US, (slot + 1) * SLOT_US
    trip.slot = slot_flags(zone, slot)


def _join(times: Times, tail: Times) -> None:
    for name in Times.__struct_fields__:
        setattr(times, name, getattr(times, name) + getattr(tail, name))


def travel(
    trip: OpenTrip, zone: str, metres: float, from_us: int, to_us: int, *, mph: float, over: int, phone: int
) -> None:
    """Add a stretch of way that took from one instant to the other. ``mph`` decides the speed band."""
    trip.metres += metres
    if over >= 0:
        trip.limit_known_m += metres
    if phone >= 0:
        trip.phone_known_m += metres
    if mph < LOW_BELOW_MPH:
        trip.low_m += metres
    elif mph < HIGH_FROM_MPH:
        trip.mid_m += metres
    else:
        trip.high_m += metres
    if from_us >= trip.slot_from:
        _by_clock(trip, trip.slot, metres)
    else:
        _by_clock_split(trip, zone, metres, from_us, to_us)


def _by_clock(trip: OpenTrip, flags: int, metres: float) -> None:
    if flags & NIGHT:
        trip.night_m += metres
        if flags & LATE:
            trip.late_m += metres
    if flags & RUSH:
        trip.rush_m += metres
    if flags & WEEKEND:
        trip.weekend_m += metres


def _by_clock_split(trip: OpenTrip, zone: str, metres: float, from_us: int, to_us: int) -> None:
    """Share a stretch out over the quarters of an hour that it touches, in proportion to time."""
    span, at = to_us - from_us, from_us
    while at < to_us:
        slot = at // SLOT_US
        until = min(to_us, (slot + 1) * SLOT_US)
        _by_clock(trip, slot_flags(zone, slot), metres * ((until - at) / span))
        at = until


def content(
    trip: OpenTrip, rules: TripRules, *, driver_id: str, device_id: str, zone: str, end: tuple[int, float, float],
    reason: str | None,
) -> TripContent:  # fmt: skip
    """Return the trip as it would be if it ended at ``end`` (instant, latitude, longitude)."""
    end_us, end_lat, end_lon = end
    seconds = (end_us - trip.start_us) / 1e6
    miles = trip.metres / METRES_PER_MILE
    events = _events(trip, rules)
    times = trip.times
    return TripContent(
        driver_id=driver_id,
        device_id=device_id,
        time_zone=zone,
        start_us=trip.start_us,
        end_us=end_us,
        start_latitude=trip.start_lat,
        start_longitude=trip.start_lon,
        end_latitude=end_lat,
        end_longitude=end_lon,
        duration_s=seconds,
        moving_s=times.moving / 1e6,
        idle_s=times.idle / 1e6,
        distance_miles=miles,
        avg_speed_mph=miles * 3600.0 / seconds if seconds > 0 else 0.0,
        max_speed_mph=trip.max_speed_mph,
        speeding_s=times.over_5 / 1e6,
        speeding_10_s=times.over_10 / 1e6,
        speeding_20_s=times.over_20 / 1e6,
        speed_limit_known_s=times.limit_known / 1e6,
        speed_limit_known_miles=trip.limit_known_m / METRES_PER_MILE,
        phone_usage_s=times.phone / 1e6,
        phone_known_s=times.phone_known / 1e6,
        phone_known_miles=trip.phone_known_m / METRES_PER_MILE,
        night_s=times.night / 1e6,
        night_miles=trip.night_m / METRES_PER_MILE,
        late_night_miles=trip.late_m / METRES_PER_MILE,
        rush_hour_miles=trip.rush_m / METRES_PER_MILE,
        weekend_miles=trip.weekend_m / METRES_PER_MILE,
        low_speed_miles=trip.low_m / METRES_PER_MILE,
        mid_speed_miles=trip.mid_m / METRES_PER_MILE,
        high_speed_miles=trip.high_m / METRES_PER_MILE,
        sample_count=times.samples,
        flagged_count=times.flagged,
        gap_count=times.gaps,
        gap_miles=trip.gap_m / METRES_PER_MILE,
        crash_reported=any(event.kind == "crash" for event in events),
        end_reason=reason,
        events=events,
        **_counts(events),
    )


def join_tail(trip: OpenTrip) -> None:
    """Count what happened since the car last moved as part of the trip: it was cut off, it did not come to rest."""
    _join(trip.times, trip.tail)
    trip.tail = Times()


def _events(trip: OpenTrip, rules: TripRules) -> tuple[EventContent, ...]:
    found = [
        EventContent(
            start_us=event.start_us,
            kind=event.kind,
            asserted=event.asserted,
            duration_us=event.end_us - event.start_us,
            severity=severity(event, rules),
            peak=event.peak,
            speed_mph=event.speed_mph,
            latitude=event.latitude,
            longitude=event.longitude,
        )
        for event in (*trip.senses.found, *trip.senses.said)
    ]
    return tuple(sorted(found, key=lambda event: (event.start_us, event.kind, event.asserted)))


_COUNTED = {
    KINDS[0]: "harsh_braking_count",
    KINDS[1]: "rapid_accel_count",
    KINDS[2]: "harsh_corner_count",
    KINDS[3]: "speeding_count",
}
_COUNTED_SEVERE = {
    KINDS[0]: "harsh_braking_severe_count",
    KINDS[1]: "rapid_accel_severe_count",
    KINDS[2]: "harsh_corner_severe_count",
}


def _counts(events: tuple[EventContent, ...]) -> dict[str, Any]:
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


def band_mph(metres: float, span_us: int) -> float:
    """Return the mean speed of a stretch in mph; infinity if it took no time."""
    return metres * 1e6 / span_us / MS_PER_MPH if span_us > 0 else float("inf")
