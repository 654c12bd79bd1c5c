"""Rules of segmentation, one by one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from auto_insurance.kernel.units import METRES_PER_MILE
from auto_insurance.telematics.schemas import Quality
from auto_insurance.trips.rules import TripRules
from auto_insurance.trips.track import UNITS
from tests.support.trips import START_US, Drive, OneDevice, fold, kept


def metres(drive: Drive) -> float:
    return sum(trip.distance_miles for trip in kept(drive.samples)) * METRES_PER_MILE


def test_a_plain_drive() -> None:
    drive = Drive().stand(60).go(10.0, 300).stand(200)
    (trip,) = kept(drive.samples)
    assert trip.end_reason == "standstill"
    assert trip.start_us == START_US + 60_000_000
    assert trip.end_us == START_US + 360_000_000
    assert trip.distance_miles * METRES_PER_MILE == pytest.approx(3000, abs=20)
    assert trip.duration_s == trip.moving_s == 300.0
    assert trip.avg_speed_mph == pytest.approx(22.3, abs=0.2)
    assert trip.max_speed_mph == pytest.approx(22.37, abs=0.01)
    assert trip.speed_limit_known_s == trip.speed_limit_known_miles == 0.0
    assert trip.phone_known_s == trip.phone_known_miles == 0.0
    assert trip.rush_hour_miles == trip.distance_miles


@pytest.mark.parametrize(("seconds", "count"), [(175, 1), (181, 2)])
def test_standing_for_180_s_ends_a_trip(seconds: int, count: int) -> None:
    drive = Drive().go(12.0, 100).stand(seconds, [(0, 0), (20, -30), (-40, 10)]).go(12.0, 100)
    assert len(kept(drive.samples)) == count


def test_ignition_off_ends_a_trip_at_once() -> None:
    drive = Drive().go(12.0, 100).emit(0.0, event_type="ignition_off").wait(1).go(12.0, 100)
    first, second = kept(drive.samples)
    assert first.end_reason == "ignition_off"
    assert first.end_us == START_US + 100_000_000
    assert second.start_us == START_US + 101_000_000


def test_ignition_off_of_the_same_instant_ends_a_trip() -> None:
    drive = Drive().go(12.0, 100)
    last = drive.samples[-1]
    drive.samples.append(msgspec.structs.replace(last, event_id="z", event_type="ignition_off"))
    drive.go(12.0, 100)
    assert [trip.end_reason for trip in kept(drive.samples)] == ["ignition_off", "silence"]


@pytest.mark.parametrize(("gap_s", "count"), [(30, 1), (599, 1), (600, 2), (3600, 2)])
def test_ten_minutes_of_silence_end_a_trip(gap_s: float, count: int) -> None:
    drive = Drive().go(12.0, 100).wait(gap_s - 1)
    drive.move(12.0 * gap_s)
    drive.go(12.0, 100)
    assert len(kept(drive.samples)) == count


def test_an_hour_splits_even_if_silence_may_last_longer() -> None:
    rules = TripRules(silence_s=7200.0)
    drive = Drive().go(12.0, 100).wait(3600).go(12.0, 100)
    assert len(kept(drive.samples, rules)) == 2


def test_a_change_of_driver_splits() -> None:
    drive = Drive().go(12.0, 100)
    drive.driver_id = "DRV002"
    drive.go(12.0, 100)
    assert [(t.driver_id, t.end_reason) for t in kept(drive.samples)] == [
        ("DRV001", "driver_change"),
        ("DRV002", "silence"),
    ]


def test_short_and_brief_is_dropped_but_long_or_lasting_is_kept() -> None:
    assert kept(Drive().go(8.0, 55).stand(700).samples) == []
    assert len(kept(Drive().go(12.0, 50).stand(700).samples)) == 1
    assert len(kept(Drive().go(1.4, 310).stand(700).samples)) == 1
    (dropped,) = fold(Drive().go(8.0, 55).stand(700).samples)
    assert not dropped.kept


def test_a_short_way_waits_for_its_continuation() -> None:
    drive = Drive().go(8.0, 50).stand(300).go(12.0, 100).stand(200)
    (trip,) = kept(drive.samples)
    assert trip.distance_miles * METRES_PER_MILE == pytest.approx(1600, abs=30)
    assert trip.idle_s == pytest.approx(300, abs=1)


def test_a_short_move_below_5_mph_is_no_trip() -> None:
    assert fold(Drive().stand(30).go(2.0, 60).stand(300).samples) == []


def test_drift_at_standstill_invents_nothing() -> None:
    drift = [(0, 0), (8, 3), (15, -4), (6, -14), (-9, -9), (-12, 5), (-3, 11)]
    parked = Drive().stand(3000, drift)
    assert fold(parked.samples) == []
    assert fold(Drive().stand(3000, drift, speed_ms=None).samples) == []
    steady = metres(Drive().go(12.0, 100).stand(100).go(12.0, 100))
    assert metres(Drive().go(12.0, 100).stand(100, drift).go(12.0, 100)) == pytest.approx(steady, abs=20)


def test_null_island_and_inaccurate_points_are_left_out() -> None:
    plain = Drive().go(12.0, 100)
    doubtful = Drive().go(12.0, 40)
    for i in range(20):
        doubtful.move(12.0)
        if i % 2:
            doubtful.emit(12.0, latitude=0.0, longitude=0.0, quality=int(Quality.NULL_ISLAND))
        else:
            doubtful.emit(12.0, latitude=doubtful.lat + 0.01, quality=int(Quality.LOW_ACCURACY))
        doubtful.wait(1)
    doubtful.go(12.0, 40)
    (trip,) = kept(doubtful.samples)
    assert trip.distance_miles * METRES_PER_MILE == pytest.approx(metres(plain), abs=15)
    assert trip.flagged_count == 20


def test_stray_points_are_flagged_and_do_not_lock_the_device() -> None:
    drive = Drive().go(12.0, 50)
    for _ in range(3):
        drive.emit(12.0, latitude=drive.lat + 1.0).wait(1)
        drive.move(12.0)
    drive.go(12.0, 50)
    device = OneDevice()
    device.advance(drive.samples)
    assert [s.t_us - START_US for s in device.flagged] == [50_000_000, 51_000_000, 52_000_000]
    assert metres(drive) == pytest.approx(103 * 12, abs=25)


def test_five_points_that_agree_are_believed_and_the_jump_adds_nothing() -> None:
    drive = Drive().go(12.0, 60)
    drive.lat += 1.0
    drive.go(12.0, 60)
    device = OneDevice()
    device.advance(drive.samples)
    assert len(device.flagged) == 4
    assert metres(drive) == pytest.approx(115 * 12, abs=40)


def test_a_wrong_first_fix_is_not_a_drive() -> None:
    drive = Drive().stand(5, speed_ms=2.0)
    drive.lat += 1.0
    drive.stand(600)
    assert fold(drive.samples) == []


def test_gaps_are_bridged_by_the_shortest_way_and_told() -> None:
    drive = Drive().go(20.0, 60).wait(120)
    drive.move(1500.0)
    drive.go(20.0, 60, speed_limit_mph=30.0)
    (trip,) = kept(drive.samples)
    assert trip.gap_count == 1
    assert trip.gap_miles * METRES_PER_MILE == pytest.approx(1520, abs=40)
    assert trip.distance_miles * METRES_PER_MILE == pytest.approx(1200 + 1180 + 1520, abs=60)
    assert trip.speed_limit_known_s == pytest.approx(59)


def test_a_gap_at_one_place_adds_nothing() -> None:
    drive = Drive().go(12.0, 100).stand(20).wait(100)
    drive.lat += 0.0002
    drive.stand(20).go(12.0, 100)
    (trip,) = kept(drive.samples)
    assert trip.gap_count == 1
    assert trip.gap_miles == 0.0


def test_a_device_without_speed_is_measured_by_its_places() -> None:
    (trip,) = kept(Drive().stand(60, speed_ms=None).go(10.0, 300, silent_speed=True).stand(200, speed_ms=None).samples)
    assert trip.distance_miles * METRES_PER_MILE == pytest.approx(3000, abs=40)
    assert trip.max_speed_mph == 0.0
    assert trip.moving_s == pytest.approx(300, abs=31)


def test_a_speed_of_zero_that_the_positions_contradict_is_not_believed() -> None:
    drive = Drive()
    for _ in range(200):
        drive.move(15.0)
        drive.emit(0.0).wait(1)
    assert metres(drive) == pytest.approx(3000, rel=0.08)


def test_an_impossible_speed_is_unknown() -> None:
    drive = Drive().go(12.0, 100)
    drive.emit(100.0).wait(1).go(12.0, 100)
    (trip,) = kept(drive.samples)
    assert trip.max_speed_mph < 30.0


def test_without_positions_there_is_no_trip() -> None:
    nowhere: dict[str, Any] = {"latitude": None, "longitude": None, "quality": int(Quality.NO_POSITION)}
    assert fold(Drive().go(12.0, 300, **nowhere).samples) == []


def test_a_garage_without_positions_ends_the_trip() -> None:
    nowhere: dict[str, Any] = {"latitude": None, "longitude": None, "quality": int(Quality.NO_POSITION)}
    for speed in (0.0, None):
        drive = Drive().go(12.0, 100).stand(400, speed_ms=speed, **nowhere)
        (trip,) = kept(drive.samples)
        assert trip.end_reason == "standstill"
        assert trip.duration_s <= 131


def test_samples_out_of_order_are_refused() -> None:
    drive = Drive().go(12.0, 3)
    device = OneDevice()
    device.advance(drive.samples[2:])
    with pytest.raises(ValueError, match="order"):
        device.advance(drive.samples[:2])


def test_the_date_line_is_no_jump() -> None:
    drive = Drive(lon=179.99).go(20.0, 100)
    for i, sample in enumerate(drive.samples):
        if sample.longitude is not None and sample.longitude > 180:
            drive.samples[i] = msgspec.structs.replace(sample, longitude=sample.longitude - 360)
    assert metres(drive) == pytest.approx(1980, abs=25)


@pytest.mark.parametrize(("factor", "verdict"), [(1.609344, "kmh_as_mph"), (0.44704, "ms_as_mph"), (1.0, None)])
def test_wrong_units_are_suspected(factor: float, verdict: str | None) -> None:
    drive = Drive()
    for _ in range(1600):
        drive.move(20.0)
        drive.emit(20.0 * factor).wait(1)
    device = OneDevice()
    device.advance(drive.samples)
    assert UNITS[device.state.units_suspect] == verdict


def test_in_progress_trips_can_be_seen_once_confirmed() -> None:
    device = OneDevice()
    drive = Drive().go(12.0, 60)
    device.advance(drive.samples[:10])
    assert device.preview() is None
    device.advance(drive.samples[10:])
    trip = device.preview()
    assert trip is not None
    assert trip.end_reason is None
    assert trip.start_us == START_US


def test_a_slow_start_is_confirmed_by_30_s_above_5_mph() -> None:
    device = OneDevice()
    drive = Drive()
    for i in range(40):
        drive.course = 9.0 * i
        drive.go(3.0, 1)
    device.advance(drive.samples[:29])
    assert device.preview() is None
    device.advance(drive.samples[29:])
    assert device.preview() is not None
