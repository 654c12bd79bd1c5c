"""What a device adds to the truth."""

from __future__ import annotations

import math
from random import Random

import msgspec
import pytest

from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.devicekit.simulator.network import Projection
from auto_insurance.devicekit.simulator.sensor import Sensor, SensorOptions
from auto_insurance.devicekit.simulator.vehicle import State
from auto_insurance.kernel import geo

_PLANE = Projection(39.9612, -82.9988)
_NOON = 1_772_500_000_000


def _sensor(options: SensorOptions, seed: int = 1) -> Sensor:
    return Sensor(options, _PLANE, Random(seed), "SIM00001", "SIM00001-x")


def _state(v: float = 15.0, a: float = 0.0, lateral: float = 0.0, x: float = 100.0, y: float = 200.0) -> State:
    return State(0.0, 0.0, v, a, lateral, x, y, math.radians(90), 35.0)


def _errors_m(options: SensorOptions, count: int = 4000) -> list[float]:
    sensor, state = _sensor(options), _state(v=0.0)
    truth = _PLANE.degrees(state.x, state.y)
    out = []
    for k in range(count):
        event = sensor.event(_NOON + k * 1000, state, False)
        if event is not None and "latitude" in event:
            out.append(geo.haversine_m(*truth, event["latitude"], event["longitude"]))
    return out


def test_a_perfect_device_tells_the_truth_in_the_units_of_the_api() -> None:
    event = _sensor(SensorOptions.perfect()).event(_NOON, _state(v=44.704, a=-9.80665 / 2, lateral=9.80665 / 4), True)
    assert event is not None
    parsed = msgspec.convert(event, TelemetryEvent)
    assert parsed.speed == 100.0
    assert parsed.acceleration == -0.5
    assert parsed.lateral_acceleration == 0.25
    assert parsed.heading == 90.0
    assert parsed.speed_limit == 35.0
    assert parsed.phone_in_use is True
    assert parsed.event_type == "normal"
    assert parsed.timestamp == _NOON
    assert parsed.latitude is not None
    assert parsed.longitude is not None
    assert geo.haversine_m(parsed.latitude, parsed.longitude, *_PLANE.degrees(100, 200)) < 0.05


def test_position_error_wanders_about_its_size_also_at_a_standstill() -> None:
    errors = _errors_m(SensorOptions(outlier_chance=0.0, null_chance=0.0, poor_per_hour=0.0))
    assert 1.0 < sum(errors) / len(errors) < 5.0
    assert max(errors) < 15.0
    assert max(errors) - min(errors) > 1.0


def test_faults_come_at_their_rates() -> None:
    options = SensorOptions(
        gaps_per_hour=4.0, no_fix_per_hour=4.0, poor_per_hour=4.0, null_chance=0.002, outlier_chance=0.002
    )
    sensor, state = _sensor(options, seed=5), _state()
    truth = _PLANE.degrees(state.x, state.y)
    hours = 15
    lost = blind = null = far = poor = 0
    for k in range(hours * 3600):
        event = sensor.event(_NOON + k * 1000, state, False)
        if event is None:
            lost += 1
        elif "latitude" not in event:
            blind += 1
            assert "longitude" not in event
            assert "gps_accuracy" not in event
        elif event["latitude"] == event["longitude"] == 0.0:
            null += 1
        else:
            far += geo.haversine_m(*truth, event["latitude"], event["longitude"]) > 2000.0
            poor += event["gps_accuracy"] > 50.0
    # Mean lengths: 22 s for gaps and lost fixes, 10 s of poor accuracy; faults do not overlap: a little less than that.
    assert lost / hours == pytest.approx(4 * 22, rel=0.4)
    assert blind / hours == pytest.approx(4 * 22, rel=0.4)
    assert poor / hours == pytest.approx(4 * 10, rel=0.4)
    assert null / hours == pytest.approx(7.2, rel=0.4)
    assert far / hours == pytest.approx(7.2, rel=0.4)


def test_ignition_events_are_never_lost_and_say_that_they_are_simulated() -> None:
    sensor = _sensor(SensorOptions(gaps_per_hour=3600.0))
    kinds = [sensor.event(_NOON + k * 1000, _state(v=0.0), False, "ignition_off") for k in range(50)]
    assert all(event is not None and event["extra"] == {"simulated": True} for event in kinds)


def test_a_device_may_assert_what_it_felt() -> None:
    sensor = _sensor(SensorOptions(assert_events=True, gaps_per_hour=0.0))
    said = [
        (sensor.event(_NOON, state, False) or {})["event_type"]
        for state in (_state(a=-3.5), _state(a=2.8), _state(lateral=-3.8), _state())
    ]
    assert said == ["harsh_brake", "rapid_accel", "harsh_corner", "normal"]


def test_heading_holds_at_a_standstill() -> None:
    sensor = _sensor(SensorOptions.perfect())
    sensor.event(_NOON, _state(v=10.0), False)
    event = sensor.event(_NOON + 1000, _state(v=0.0)._replace(heading=0.0), False)
    assert event is not None
    assert event["heading"] == 90.0
    assert event["speed"] == 0.0
