"""What a device makes of the truth: noisy positions, gaps, drift, wrong points, in the public API's event form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Any

from auto_insurance.devicekit.simulator.network import Projection
from auto_insurance.devicekit.simulator.vehicle import State
from auto_insurance.kernel.units import MS_PER_MPH, STANDARD_GRAVITY_MS2

_G = 1.0 / STANDARD_GRAVITY_MS2
_SIMULATED = {"simulated": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorOptions:
    """Faults and noise of a device; rates are per hour of driving, chances per sample.

    ``drift_m`` standard deviation of the slowly wandering position error per axis (first-order Gauss-Markov with
    ``drift_s`` seconds correlation time, the usual model of GPS error), ``white_m`` of the rest. ``gaps_per_hour``:
    no event at all for 5-40 s; ``no_fix_per_hour``: events without a position for 5-40 s (a tunnel);
    ``poor_per_hour``: accuracy worse than 50 m for 5-15 s. ``null_chance``: a point at 0/0; ``outlier_chance``: a
    point 3-30 km off. ``assert_events``: the device names harsh events.
    """

    drift_m: float = 2.0
    drift_s: float = 60.0
    white_m: float = 0.3
    speed_mph: float = 0.15
    accel_g: float = 0.008
    bias_g: float = 0.012
    gaps_per_hour: float = 0.3
    no_fix_per_hour: float = 0.5
    poor_per_hour: float = 0.4
    null_chance: float = 2e-4
    outlier_chance: float = 2e-4
    assert_events: bool = False

    @classmethod
    def perfect(cls) -> SensorOptions:
        """Return a device without noise or faults."""
        return cls(
            drift_m=0.0,
            white_m=0.0,
            speed_mph=0.0,
            accel_g=0.0,
            bias_g=0.0,
            gaps_per_hour=0.0,
            no_fix_per_hour=0.0,
            poor_per_hour=0.0,
            null_chance=0.0,
            outlier_chance=0.0,
        )


class Sensor:
    """The device of one trip. Call :meth:`event` once per second, in order: its noise has a memory."""

    def __init__(
        self, options: SensorOptions, projection: Projection, rng: Random, device_id: str, trip_id: str
    ) -> None:
        self._o, self._projection, self._rng = options, projection, rng
        self._device_id, self._trip_id = device_id, trip_id
        self._keep = math.exp(-1.0 / options.drift_s)
        self._kick = options.drift_m * math.sqrt(1.0 - self._keep**2)
        self._east, self._north = rng.gauss(0, options.drift_m), rng.gauss(0, options.drift_m)
        self._bias_along, self._bias_across = rng.gauss(0, options.bias_g), rng.gauss(0, options.bias_g)
        self._silent = self._no_fix = self._poor = 0
        self._heading = 0.0

    def event(self, t_ms: int, state: State, phone: bool, event_type: str = "normal") -> dict[str, Any] | None:
        """Return the event of one second, or None in a gap; an ignition event is never lost."""
        o, rng = self._o, self._rng
        gauss = rng.gauss
        self._east = self._keep * self._east + gauss(0, self._kick)
        self._north = self._keep * self._north + gauss(0, self._kick)
        self._faults()
        mph = state.v / MS_PER_MPH
        if mph > 0.0:
            mph = max(0.0, mph + gauss(0, o.speed_mph))
        if state.v > 0.7:
            self._heading = math.degrees(state.heading) % 360.0
        event: dict[str, Any] = {
            "device_id": self._device_id,
            "event_id": f"{self._device_id}-{t_ms // 1000:x}",
            "timestamp": t_ms,
            "speed": round(mph, 2),
            "acceleration": round(state.a * _G + self._bias_along + gauss(0, o.accel_g), 4),
            "lateral_acceleration": round(state.lateral * _G + self._bias_across + gauss(0, o.accel_g), 4),
            "event_type": event_type,
            "speed_limit": state.limit_mph,
            "phone_in_use": phone,
            "trip_id": self._trip_id,
        }
        if event_type != "normal":
            event["extra"] = _SIMULATED
        elif self._silent:
            return None
        elif o.assert_events:
            event["event_type"] = _asserted(state)
        if not self._no_fix:
            self._position(event, state)
        return event

    def _faults(self) -> None:
        o, rng = self._o, self._rng
        die, length = rng.random() * 3600.0, rng.random()
        self._silent, self._no_fix, self._poor = (
            max(0, self._silent - 1),
            max(0, self._no_fix - 1),
            max(0, self._poor - 1),
        )
        if self._silent or self._no_fix or self._poor:
            return
        if die < o.gaps_per_hour:
            self._silent = 5 + int(35 * length)
        elif die < o.gaps_per_hour + o.no_fix_per_hour:
            self._no_fix = 5 + int(35 * length)
        elif die < o.gaps_per_hour + o.no_fix_per_hour + o.poor_per_hour:
            self._poor = 5 + int(10 * length)

    def _position(self, event: dict[str, Any], state: State) -> None:
        o, rng = self._o, self._rng
        east, north = state.x + self._east, state.y + self._north
        accuracy = 3.0 + abs(rng.gauss(0, 1.5))
        if o.white_m:
            east, north = east + rng.gauss(0, o.white_m), north + rng.gauss(0, o.white_m)
        if self._poor:
            accuracy = rng.uniform(55.0, 140.0)
            east, north = east + rng.gauss(0, 35.0), north + rng.gauss(0, 35.0)
        die = rng.random()
        if die < o.outlier_chance:
            angle, far = rng.uniform(0, 2 * math.pi), rng.uniform(3_000.0, 30_000.0)
            east, north = east + far * math.sin(angle), north + far * math.cos(angle)
        latitude, longitude = self._projection.degrees(east, north)
        if o.outlier_chance <= die < o.outlier_chance + o.null_chance:
            latitude = longitude = 0.0
        event["latitude"], event["longitude"] = round(latitude, 7), round(longitude, 7)
        event["heading"] = round(self._heading, 1)
        event["altitude"] = round(240.0 + 8.0 * math.sin(state.x / 900.0) + 6.0 * math.cos(state.y / 1300.0), 1)
        event["gps_accuracy"] = round(accuracy, 1)


def _asserted(state: State) -> str:
    if state.a <= -3.0:
        return "harsh_brake"
    if state.a >= 2.5:
        return "rapid_accel"
    return "harsh_corner" if abs(state.lateral) >= 3.5 else "normal"
