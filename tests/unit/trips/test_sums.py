"""What a trip says about speed, jerk, phone use by speed and long drives, by hand."""

from __future__ import annotations

import pytest

from auto_insurance.kernel.units import METRES_PER_MILE, MS_PER_MPH
from auto_insurance.trips.contents import TripContent
from auto_insurance.trips.rules import TripRules
from tests.support.trips import Drive, kept

HOUR = 3600.0


def _one(drive: Drive) -> TripContent:
    (trip,) = kept(drive.samples)
    return trip


def test_phone_use_is_told_apart_by_speed() -> None:
    drive = Drive().go(5.0, 200).go(5.0, 30, phone_in_use=True).stand(40, phone_in_use=True)
    trip = _one(drive.go(20.0, 60, phone_in_use=True).go(20.0, 60, phone_in_use=False))
    assert trip.phone_usage_s == 130.0
    assert trip.phone_standing_s == 40.0
    assert trip.phone_moving_s == 90.0
    assert trip.phone_fast_s == 60.0
    assert trip.phone_speed_known_s == trip.phone_known_s


def test_phone_use_at_an_unknown_speed_is_use_but_at_no_speed() -> None:
    trip = _one(Drive().go(20.0, 100, phone_in_use=True).go(20.0, 100, silent_speed=True, phone_in_use=True))
    assert trip.phone_usage_s == trip.phone_known_s == pytest.approx(199.0, abs=1.0)
    assert trip.phone_speed_known_s == trip.speed_known_s == pytest.approx(100.0, abs=1.0)
    assert trip.phone_moving_s == trip.phone_speed_known_s


def test_time_by_speed_and_its_moments() -> None:
    drive = Drive().go(10.0, 100).stand(50).go(15.0, 100).go(25.0, 200).go(40.0, 100)
    trip = _one(drive)
    assert trip.speed_standing_s == 50.0
    assert trip.speed_slow_s == 100.0
    assert trip.speed_fast_s == pytest.approx(299.0, abs=1.0)
    assert trip.speed_very_fast_s == pytest.approx(99.0, abs=1.0)
    assert trip.speed_known_s == trip.duration_s
    metres = 10 * 100 + 15 * 100 + 25 * 200 + 40 * (trip.speed_very_fast_s)
    assert trip.speed_mph_s / HOUR == pytest.approx(metres / METRES_PER_MILE, rel=1e-3)
    squares = 100 * 100 + 225 * 100 + 625 * 200 + 1600 * trip.speed_very_fast_s
    assert trip.speed_mph2_s * MS_PER_MPH**2 == pytest.approx(squares, rel=1e-3)


def test_the_miles_of_the_speed_are_those_of_the_way() -> None:
    trip = _one(Drive(period_s=2.0).go(13.0, 400).go(22.0, 300))
    assert trip.speed_mph_s / HOUR == pytest.approx(trip.distance_miles, rel=0.01)


def test_jerk_is_the_change_of_acceleration_from_one_second_to_the_next() -> None:
    steady = _one(Drive().go(10.0, 200))
    assert (steady.jerky_s, steady.jerk_square) == (0.0, 0.0)
    assert steady.jerk_known_s == pytest.approx(197.0, abs=1.0)
    # 10 to 13 m/s within a second: 3 m/s3 as it begins and again as it ends.
    trip = _one(Drive().go(10.0, 100).go(13.0, 100))
    assert trip.jerky_s == 2.0
    assert trip.jerk_square == pytest.approx(18.0, rel=0.01)


def test_jerk_is_unknown_over_gaps_and_without_a_speed() -> None:
    drive = Drive().go(10.0, 200)
    drive.wait(5.0).move(50.0)
    drive.go(20.0, 100)
    assert _one(drive).jerky_s == 0.0
    assert _one(Drive().go(15.0, 200, silent_speed=True)).jerk_known_s == 0.0
    assert _one(Drive(period_s=5.0).go(15.0, 400)).jerk_known_s == 0.0


def test_a_drive_is_long_after_two_hours() -> None:
    assert _one(Drive(period_s=5.0).go(20.0, 1.9 * HOUR)).long_drive_s == 0.0
    trip = _one(Drive(period_s=5.0).go(20.0, 2.5 * HOUR))
    assert trip.long_drive_s == pytest.approx(0.5 * HOUR, abs=10.0)


def test_a_short_stop_is_no_break() -> None:
    first, second = kept(Drive(period_s=5.0).go(20.0, 1.5 * HOUR).stand(14 * 60).go(20.0, 1.5 * HOUR).samples)
    assert first.long_drive_s == 0.0
    assert second.long_drive_s == pytest.approx(1.5 * HOUR - (0.5 * HOUR - 14 * 60), abs=20.0)


@pytest.mark.parametrize("silent", [False, True])
def test_a_break_begins_anew(silent: bool) -> None:
    drive = Drive(period_s=5.0).go(20.0, 1.5 * HOUR)
    drive = drive.wait(11 * 60) if silent else drive.stand(16 * 60)
    assert [trip.long_drive_s for trip in kept(drive.go(20.0, 1.5 * HOUR).samples)] == [0.0, 0.0]


def test_where_silence_may_last_longer_it_is_a_break_too() -> None:
    drive = Drive(period_s=5.0).go(20.0, 1.5 * HOUR).wait(20 * 60)
    drive.move(20_000.0)
    (trip,) = kept(drive.go(20.0, 1.5 * HOUR).samples, rules=TripRules(silence_s=3000.0))
    assert trip.long_drive_s == 0.0


def test_squares_are_those_of_the_trip() -> None:
    trip = _one(Drive().go(15.0, 100).go(8.0, 100).go(15.0, 100))
    assert trip.pace_square == pytest.approx(trip.distance_miles**2 / trip.duration_s)
    assert trip.braking_square == pytest.approx(trip.harsh_braking_count**2 / trip.distance_miles)
