"""The way that a device really travelled: filters positions and measures steps. Pure.

* A point that can't be reached at 160 mph from the last good one is left out; five such points in a row that agree with
  one another are believed instead (the first fix was wrong), and the jump between adds nothing.
* Way is measured from an *anchor*: a step counts once the device is 15 m off it (three times the usual error of a civil
  receiver, about 5 m: GPS SPS Performance Standard 2020), or as far as the point's own accuracy if that is worse, so
  jitter does not lengthen the way; at standstill the anchor drifts along and nothing is added.
* A device that reports no speed needs a step of 30 m within 30 s to be moving. A reported standstill during which the
  place changes by 5 m/s over 10 s is not believed, and neither is what the device reports until that is over.
* A gap (more than 30 s without a good point) is bridged by the great circle, the shortest way that is sure, if it is
  longer than 50 m, the worst accuracy that is accepted.
"""

from __future__ import annotations

from math import asin, cos, sin, sqrt

from auto_insurance.kernel.geo import EARTH_RADIUS_M
from auto_insurance.trips.compiled import compiled
from auto_insurance.trips.state import Device, Limits, Now

RAD = 0.017453292519943295
_M_PER_DEG = EARTH_RADIUS_M * RAD
UNUSABLE, STILL, MOVING, REANCHORED = -1, 0, 1, 2
UNITS = (None, "kmh_as_mph", "ms_as_mph")
"""By ``Device.units_suspect``."""
_KMH_AS_MPH, _MS_AS_MPH = 1, 2
_KMH_RATIO, _MS_RATIO = 1.609344, 0.44704
_UNITS_MEMORY = 4
"""The check of units forgets: past this many times its minimum, what it has counts half."""


@compiled
def flat_m(lat: float, lon: float, to_lat: float, to_lon: float) -> float:
    """Return the distance of near points on the tangent plane at the second one, in metres (error < 0.1 % to 10 km)."""
    turn = to_lon - lon
    if turn > 180.0:
        turn -= 360.0
    elif turn < -180.0:
        turn += 360.0
    x = turn * cos(to_lat * RAD)
    y = to_lat - lat
    return sqrt(x * x + y * y) * _M_PER_DEG


@compiled
def great_circle_m(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Return the great-circle distance in metres, as :func:`auto_insurance.kernel.geo.haversine_m` does."""
    phi1, phi2 = lat1 * RAD, lat2 * RAD
    up, across = sin((phi2 - phi1) / 2), sin(((lon2 - lon1) * RAD) / 2)
    a = up * up + cos(phi1) * cos(phi2) * (across * across)
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(a)))


@compiled
def locate(s: Device, x: Now, r: Limits) -> None:
    """Take in the position in hand: sets ``verdict`` (UNUSABLE, STILL, MOVING, REANCHORED), ``metres``, ``gap``."""
    if s.good_us < 0:
        x.verdict = MOVING if x.speed >= r.still else STILL
        _settle(s, x)
        return
    jump = flat_m(s.good_lat, s.good_lon, x.lat, x.lon)
    elapsed = x.t_us - s.good_us
    if jump > r.max_m_per_us * max(elapsed, 1_000_000):
        if _stray(s, x, r):
            x.verdict = REANCHORED
            _settle(s, x)
        return
    s.strays = 0
    s.good_us, s.good_lat, s.good_lon = x.t_us, x.lat, x.lon
    if elapsed > r.gap_us:
        _bridge(s, x, r)
        return
    way = flat_m(s.anchor_lat, s.anchor_lon, x.lat, x.lon)
    if 0.0 <= x.speed < r.still:
        if not _contradicted(s, x, r):
            x.verdict, x.metres = STILL, (way if s.moving else 0.0)
            _move_anchor(s, x)
            return
    elif x.speed >= 0.0:
        s.still_us, s.contradicted = -1, False
        x.verdict = MOVING
        if way >= r.step_m and way >= x.accuracy:
            _check_units(s, x, r, way)
            x.metres = way
            _move_anchor(s, x)
        return
    _by_position(s, x, r, way)


@compiled
def _move_anchor(s: Device, x: Now) -> None:
    s.anchor_us, s.anchor_lat, s.anchor_lon = x.t_us, x.lat, x.lon


@compiled
def _settle(s: Device, x: Now) -> None:
    s.good_us, s.good_lat, s.good_lon = x.t_us, x.lat, x.lon
    s.strays = 0
    _move_anchor(s, x)


@compiled
def _contradicted(s: Device, x: Now, r: Limits) -> bool:
    """Tell whether a reported standstill is one that the positions contradict, judged every 10 s."""
    if s.still_us >= 0 and x.t_us - s.still_us < r.contradiction_us:
        return s.contradicted
    if s.still_us >= 0:
        away = flat_m(s.still_lat, s.still_lon, x.lat, x.lon)
        s.contradicted = away >= r.contradiction_m_per_us * (x.t_us - s.still_us)
    s.still_us, s.still_lat, s.still_lon = x.t_us, x.lat, x.lon
    return s.contradicted


@compiled
def _by_position(s: Device, x: Now, r: Limits, way: float) -> None:
    """Tell movement without a believable speed: a whole step within 30 s is movement, less is drift."""
    age = x.t_us - s.anchor_us
    if way >= max(r.blind_step_m, x.accuracy):
        moving = way * 1e6 >= r.still * age
    elif age >= r.stale_us:
        moving = False
    else:
        x.verdict = MOVING if s.moving else STILL
        return
    _move_anchor(s, x)
    x.verdict = STILL
    if moving:
        x.verdict, x.metres = MOVING, way


@compiled
def _bridge(s: Device, x: Now, r: Limits) -> None:
    metres = great_circle_m(s.anchor_lat, s.anchor_lon, x.lat, x.lon)
    _move_anchor(s, x)
    x.gap = True
    if metres < r.gap_min_m:
        x.verdict = MOVING if x.speed >= r.still else STILL
    else:
        x.verdict, x.metres = MOVING, metres


@compiled
def _stray(s: Device, x: Now, r: Limits) -> bool:
    """Note a point out of reach; true once enough of them in a row agree with one another."""
    reach = r.max_m_per_us * max(x.t_us - s.stray_us, 1_000_000)
    if s.strays > 0 and flat_m(s.stray_lat, s.stray_lon, x.lat, x.lon) <= reach:
        s.strays += 1
    else:
        s.strays = 1
    s.stray_us, s.stray_lat, s.stray_lon = x.t_us, x.lat, x.lon
    return s.strays >= r.reanchor


@compiled
def _check_units(s: Device, x: Now, r: Limits, metres: float) -> None:
    """Compare reported with implied speed. A ratio near 1.609 is km/h sent as mph, one near 0.447 m/s."""
    seconds = (x.t_us - s.anchor_us) / 1e6
    if seconds <= 0.0 or metres < r.units_speed * seconds or s.speed < 0.0:
        return
    s.units_steps += 1
    s.units_implied_m += metres
    s.units_reported_m += (x.speed + s.speed) / 2 * seconds
    if s.units_steps < r.units_min:
        return
    ratio = s.units_reported_m / s.units_implied_m
    s.units_suspect = 0
    if abs(ratio / _KMH_RATIO - 1.0) <= r.units_tolerance:
        s.units_suspect = _KMH_AS_MPH
    elif abs(ratio / _MS_RATIO - 1.0) <= r.units_tolerance:
        s.units_suspect = _MS_AS_MPH
    if s.units_steps >= _UNITS_MEMORY * r.units_min:
        s.units_steps //= 2
        s.units_implied_m /= 2
        s.units_reported_m /= 2
