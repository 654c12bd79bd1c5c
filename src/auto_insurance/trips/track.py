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

from math import cos, sqrt

from auto_insurance.kernel.geo import EARTH_RADIUS_M, haversine_m
from auto_insurance.kernel.units import MS_PER_MPH
from auto_insurance.trips.rules import TripRules
from auto_insurance.trips.state import DeviceState

_RAD = 0.017453292519943295
_M_PER_DEG = EARTH_RADIUS_M * _RAD
UNUSABLE, STILL, MOVING, REANCHORED = -1, 0, 1, 2
KMH_AS_MPH, MS_AS_MPH = "kmh_as_mph", "ms_as_mph"
_KMH_RATIO, _MS_RATIO = 1.609344, 0.44704
_UNITS_MEMORY = 4
"""The check of units forgets: past this many times its minimum, what it has counts half."""


def flat_m(lat: float, lon: float, to_lat: float, to_lon: float) -> float:
    """Return the distance of near points on the tangent plane at the second one, in metres (error < 0.1 % to 10 km)."""
    turn = to_lon - lon
    if turn > 180.0:
        turn -= 360.0
    elif turn < -180.0:
        turn += 360.0
    x = turn * cos(to_lat * _RAD)
    y = to_lat - lat
    return sqrt(x * x + y * y) * _M_PER_DEG


class Tracker:
    """Moves a state's good point and anchor. Keeps nothing itself."""

    __slots__ = (
        "_blind_step", "_contradiction", "_contradiction_us", "_gap_min", "_gap_us", "_max", "_reanchor", "_stale_us",
        "_step", "_still", "_units_min", "_units_speed", "_units_tolerance",
    )  # fmt: skip

    def __init__(self, rules: TripRules) -> None:
        self._gap_us = round(rules.gap_s * 1e6)
        self._gap_min = rules.gap_min_m
        self._max = rules.max_speed_mph * MS_PER_MPH / 1e6
        self._contradiction = rules.contradiction_ms / 1e6
        self._contradiction_us = round(rules.contradiction_s * 1e6)
        self._reanchor = rules.reanchor_points
        self._still = rules.still_speed_ms
        self._step = rules.step_m
        self._blind_step = rules.blind_step_m
        self._stale_us = round(rules.blind_step_m / rules.still_speed_ms * 1e6)
        self._units_min = rules.units_min_steps
        self._units_speed = rules.units_min_speed_ms
        self._units_tolerance = rules.units_tolerance

    def locate(
        self, state: DeviceState, t_us: int, lat: float, lon: float, speed: float, accuracy: float
    ) -> tuple[int, float, bool]:
        """Take in a position. Returns (UNUSABLE | STILL | MOVING | REANCHORED, metres travelled, over a gap).

        ``speed`` in m/s as the device reports it, negative if unknown; ``accuracy`` of the point in metres.
        """
        if state.good_us < 0:
            return self._settle(state, t_us, lat, lon, MOVING if speed >= self._still else STILL)
        jump = flat_m(state.good_lat, state.good_lon, lat, lon)
        elapsed = t_us - state.good_us
        if jump > self._max * max(elapsed, 1_000_000):
            if not self._stray(state, t_us, lat, lon):
                return UNUSABLE, 0.0, False
            return self._settle(state, t_us, lat, lon, REANCHORED)
        state.strays = 0
        state.good_us, state.good_lat, state.good_lon = t_us, lat, lon
        if elapsed > self._gap_us:
            return self._bridge(state, t_us, lat, lon, speed)
        way = flat_m(state.anchor_lat, state.anchor_lon, lat, lon)
        if 0.0 <= speed < self._still:
            if not self._contradicted(state, t_us, lat, lon):
                metres = way if state.moving else 0.0
                state.anchor_us, state.anchor_lat, state.anchor_lon = t_us, lat, lon
                return STILL, metres, False
        elif speed >= 0.0:
            state.still_us, state.contradicted = -1, False
            if way < self._step or way < accuracy:
                return MOVING, 0.0, False
            self._check_units(state, way, t_us - state.anchor_us, speed)
            state.anchor_us, state.anchor_lat, state.anchor_lon = t_us, lat, lon
            return MOVING, way, False
        return self._by_position(state, t_us, (lat, lon), way, max(self._blind_step, accuracy))

    def _contradicted(self, state: DeviceState, t_us: int, lat: float, lon: float) -> bool:
        """Tell whether a reported standstill is one that the positions contradict, judged every 10 s."""
        if state.still_us >= 0 and t_us - state.still_us < self._contradiction_us:
            return state.contradicted
        if state.still_us >= 0:
            away = flat_m(state.still_lat, state.still_lon, lat, lon)
            state.contradicted = away >= self._contradiction * (t_us - state.still_us)
        state.still_us, state.still_lat, state.still_lon = t_us, lat, lon
        return state.contradicted

    def _by_position(
        self, state: DeviceState, t_us: int, place: tuple[float, float], way: float, step: float
    ) -> tuple[int, float, bool]:
        """Tell movement without a believable speed: a whole step within 30 s is movement, less is drift."""
        age = t_us - state.anchor_us
        if way >= step:
            moving = way * 1e6 >= self._still * age
        elif age >= self._stale_us:
            moving = False
        else:
            return (MOVING if state.moving else STILL), 0.0, False
        state.anchor_us, (state.anchor_lat, state.anchor_lon) = t_us, place
        return (MOVING, way, False) if moving else (STILL, 0.0, False)

    def _settle(self, state: DeviceState, t_us: int, lat: float, lon: float, verdict: int) -> tuple[int, float, bool]:
        state.good_us, state.good_lat, state.good_lon = t_us, lat, lon
        state.anchor_us, state.anchor_lat, state.anchor_lon = t_us, lat, lon
        state.strays = 0
        return verdict, 0.0, False

    def _bridge(self, state: DeviceState, t_us: int, lat: float, lon: float, speed: float) -> tuple[int, float, bool]:
        metres = haversine_m(state.anchor_lat, state.anchor_lon, lat, lon)
        state.anchor_us, state.anchor_lat, state.anchor_lon = t_us, lat, lon
        if metres < self._gap_min:
            return (MOVING if speed >= self._still else STILL), 0.0, True
        return MOVING, metres, True

    def _stray(self, state: DeviceState, t_us: int, lat: float, lon: float) -> bool:
        """Note a point out of reach; true once enough of them in a row agree with one another."""
        reach = self._max * max(t_us - state.stray_us, 1_000_000)
        if state.strays and flat_m(state.stray_lat, state.stray_lon, lat, lon) <= reach:
            state.strays += 1
        else:
            state.strays = 1
        state.stray_us, state.stray_lat, state.stray_lon = t_us, lat, lon
        return state.strays >= self._reanchor

    def _check_units(self, state: DeviceState, metres: float, span_us: int, speed: float) -> None:
        """Compare reported with implied speed. A ratio near 1.609 is km/h sent as mph, one near 0.447 m/s."""
        seconds = span_us / 1e6
        if seconds <= 0.0 or metres < self._units_speed * seconds or state.speed < 0.0:
            return
        state.units_steps += 1
        state.units_implied_m += metres
        state.units_reported_m += (speed + state.speed) / 2 * seconds
        if state.units_steps < self._units_min:
            return
        ratio = state.units_reported_m / state.units_implied_m
        state.units_suspect = None
        if abs(ratio / _KMH_RATIO - 1.0) <= self._units_tolerance:
            state.units_suspect = KMH_AS_MPH
        elif abs(ratio / _MS_RATIO - 1.0) <= self._units_tolerance:
            state.units_suspect = MS_AS_MPH
        if state.units_steps >= _UNITS_MEMORY * self._units_min:
            state.units_steps //= 2
            state.units_implied_m /= 2
            state.units_reported_m /= 2
