"""Detection of harsh driving, speeding and phone use."""

from __future__ import annotations

from math import nan

import pytest

from auto_insurance.trips import detect
from auto_insurance.trips.contents import EventContent, TripContent
from tests.support.trips import Drive, kept

as_python = pytest.mark.usefixtures("interpreted")
"""Runs the rules as they are written; the others run them compiled, which is quicker."""


def only_trip(drive: Drive, speed_ms: float = 12.0) -> TripContent:
    (trip,) = kept(drive.go(speed_ms, 100).samples)
    return trip


def found(trip: TripContent, kind: str) -> list[EventContent]:
    return [event for event in trip.events if event.kind == kind and not event.asserted]


@pytest.mark.parametrize(
    ("g", "kind", "severity"),
    [
        (-0.34, "harsh_brake", "moderate"),
        (-0.47, "harsh_brake", "severe"),
        (0.28, "rapid_accel", "moderate"),
        (0.42, "rapid_accel", "severe"),
        (-0.29, None, None),
        (0.24, None, None),
    ],
)
def test_the_accelerometer_decides_where_there_is_one(g: float, kind: str | None, severity: str | None) -> None:
    trip = only_trip(Drive().go(12.0, 100, accel_g=0.0).go(12.0, 1, accel_g=g).go(12.0, 10, accel_g=0.0))
    assert [(event.kind, event.severity) for event in trip.events] == ([(kind, severity)] if kind else [])


@as_python
def test_cornering_by_the_accelerometer() -> None:
    drive = Drive().go(12.0, 50, lateral_g=0.0)
    trip = only_trip(drive.go(12.0, 2, lateral_g=0.4).go(12.0, 9, lateral_g=0.0).go(12.0, 1, lateral_g=-0.55))
    assert [(event.kind, event.severity) for event in trip.events] == [
        ("harsh_corner", "moderate"),
        ("harsh_corner", "severe"),
    ]
    assert (trip.harsh_corner_count, trip.harsh_corner_severe_count) == (2, 1)


def test_the_mounting_slope_is_taken_off() -> None:
    trip = only_trip(Drive().go(12.0, 400, accel_g=0.1, lateral_g=0.1).go(12.0, 1, accel_g=0.3, lateral_g=0.41))
    assert trip.events == ()
    level = only_trip(Drive().go(12.0, 400, accel_g=0.0, lateral_g=0.0).go(12.0, 1, accel_g=0.3, lateral_g=0.41))
    assert [event.kind for event in level.events] == ["harsh_corner", "rapid_accel"]


def test_without_accelerometer_the_change_of_speed_tells() -> None:
    drive = Drive().go(20.0, 60)
    for speed in (16.0, 12.0, 8.5):
        drive.go(speed, 1)
    trip = only_trip(drive.go(8.5, 30))
    (brake,) = found(trip, "harsh_brake")
    assert brake.peak == pytest.approx(4.0, abs=0.01)
    assert brake.duration_us == 3_000_000
    assert found(trip, "rapid_accel")


@as_python
def test_without_accelerometer_turning_tells() -> None:
    drive = Drive().go(15.0, 60, heading_deg=90.0)
    trip = only_trip(drive.go(15.0, 1, heading_deg=110.0).go(15.0, 20, heading_deg=110.0))
    (corner,) = found(trip, "harsh_corner")
    assert corner.peak == pytest.approx(15.0 * 0.349, abs=0.05)


def test_below_the_speed_gate_nothing_is_harsh() -> None:
    trip = only_trip(Drive().go(12.0, 60).go(5.0, 20, accel_g=0.0).go(5.0, 2, accel_g=-0.6, lateral_g=0.6))
    assert found(trip, "harsh_corner") == []
    assert [event for event in found(trip, "harsh_brake") if event.duration_us < 2_000_000] == []


def test_a_jump_of_speed_that_no_tyre_can_make_is_not_braking() -> None:
    trip = only_trip(Drive().go(30.0, 60).go(12.0, 1))
    assert found(trip, "harsh_brake") == []


def test_short_spikes_do_not_count_at_10_hz_and_long_ones_do() -> None:
    base = Drive(period_s=0.1).go(15.0, 60, accel_g=0.0)
    spike = only_trip(base.go(15.0, 0.4, accel_g=-0.5).go(15.0, 10, accel_g=0.0), 15.0)
    assert found(spike, "harsh_brake") == []
    base = Drive(period_s=0.1).go(15.0, 60, accel_g=0.0)
    held = only_trip(base.go(15.0, 0.8, accel_g=-0.5).go(15.0, 10, accel_g=0.0), 15.0)
    assert len(found(held, "harsh_brake")) == 1


def test_events_within_3_s_are_one() -> None:
    drive = Drive().go(15.0, 60, accel_g=0.0)
    for pause in (2, 3, 6):
        drive.go(15.0, 1, accel_g=-0.4).go(15.0, pause, accel_g=0.0)
    drive.go(15.0, 1, accel_g=-0.4)
    trip = only_trip(drive)
    assert len(found(trip, "harsh_brake")) == 2


@as_python
def test_what_the_device_asserts_is_kept_and_not_counted() -> None:
    drive = Drive().go(15.0, 60)
    for kind in ("harsh_brake", "rapid_accel", "harsh_corner", "speeding", "phone_usage", "crash", "ignition_on"):
        drive.go(15.0, 1, event_type=kind, accel_g=0.05, lateral_g=0.05, speed_limit_mph=30.0)
    drive.go(15.0, 1, event_type="harsh_corner")
    trip = only_trip(drive)
    said = {event.kind: event for event in trip.events if event.asserted and event.kind != "harsh_corner"}
    assert set(said) == {"harsh_brake", "rapid_accel", "speeding", "phone_usage", "crash"}
    assert said["crash"].severity == "severe"
    assert said["crash"].peak is None
    assert said["speeding"].peak == pytest.approx(3.55, abs=0.01)
    assert trip.crash_reported
    assert trip.harsh_braking_count == trip.rapid_accel_count == trip.harsh_corner_count == trip.speeding_count == 0


@as_python
def test_speeding_and_phone_use_are_timed_and_counted_by_episode() -> None:
    drive = Drive().go(12.0, 60, speed_limit_mph=40.0, phone_in_use=False)
    drive.go(16.0, 20, speed_limit_mph=30.0, phone_in_use=True).go(12.0, 5, speed_limit_mph=40.0)
    drive.go(25.0, 10, speed_limit_mph=30.0).go(12.0, 60, speed_limit_mph=40.0).go(19.0, 2, speed_limit_mph=30.0)
    trip = only_trip(drive)
    assert (trip.speeding_s, trip.speeding_10_s, trip.speeding_20_s) == (32.0, 12.0, 10.0)
    assert trip.speeding_count == 1
    (event,) = found(trip, "speeding")
    assert event.severity == "severe"
    assert event.peak == pytest.approx(25.92, abs=0.01)
    assert trip.phone_usage_s == 20.0
    assert trip.phone_known_s == 80.0
    assert len(found(trip, "phone_usage")) == 1
    assert trip.speed_limit_known_s == 157.0
    assert trip.speed_limit_known_miles < trip.distance_miles


@as_python
@pytest.mark.parametrize(
    ("speed", "limit", "want"),
    [(50.0, None, -1), (None, 30.0, -1), (34.9, 30.0, 0), (35.0, 30.0, 1), (40.0, 30.0, 2), (50.0, 30.0, 3)],
)
def test_classes_of_speeding(speed: float | None, limit: float | None, want: int) -> None:
    assert detect.over_class(nan if speed is None else speed, nan if limit is None else limit) == want
