from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.risk.features import (
    BEHAVIOUR,
    CONTEXT,
    FEATURES,
    OF_DRIVERS,
    Harm,
    driver_features,
    extract,
    extract_all,
    of_facts,
)
from auto_insurance.trips.schemas import TripSums, TripTotals

miles = st.floats(0.01, 5000)
share = st.floats(0, 1)
counts = st.integers(0, 500)
spans = st.floats(0, 1e5)


@st.composite
def sums(draw: st.DrawFn) -> TripSums:
    """Sums that trips can have: parts within their wholes."""
    total = draw(miles)
    braking, accel, corner = draw(counts), draw(counts), draw(counts)
    over = sorted([draw(spans), draw(spans), draw(spans)], reverse=True)
    known_s = draw(spans)
    speed_known_s, jerk_known_s, moving_s = draw(spans), draw(spans), draw(spans)
    phone_speed_known_s = min(known_s, speed_known_s) * draw(share)
    phone_moving_s = phone_speed_known_s * draw(share)
    fast_s = speed_known_s * draw(share)
    mean_mph = draw(st.floats(0, 160))
    night = total * draw(share)
    return TripSums(
        distance_miles=total,
        duration_s=draw(spans),
        harsh_braking_count=braking,
        harsh_braking_severe_count=draw(st.integers(0, braking)),
        rapid_accel_count=accel,
        rapid_accel_severe_count=draw(st.integers(0, accel)),
        harsh_corner_count=corner,
        harsh_corner_severe_count=draw(st.integers(0, corner)),
        speeding_s=over[0],
        speeding_10_s=over[1],
        speeding_20_s=over[2],
        speed_limit_known_miles=total * draw(share),
        phone_usage_s=known_s * draw(share),
        phone_known_s=known_s,
        phone_known_miles=total * draw(share),
        night_miles=night,
        late_night_miles=night * draw(share),
        rush_hour_miles=total * draw(share),
        weekend_miles=total * draw(share),
        low_speed_miles=total * draw(share),
        high_speed_miles=total * draw(share),
        moving_s=moving_s,
        long_drive_s=moving_s * draw(share),
        phone_speed_known_s=phone_speed_known_s,
        phone_moving_s=phone_moving_s,
        phone_fast_s=phone_moving_s * draw(share),
        phone_standing_s=(phone_speed_known_s - phone_moving_s) * draw(share),
        speed_known_s=speed_known_s,
        speed_standing_s=(speed_known_s - fast_s) * draw(share),
        speed_slow_s=(speed_known_s - fast_s) * draw(share),
        speed_fast_s=fast_s,
        speed_very_fast_s=fast_s * draw(share),
        speed_mph_s=mean_mph * speed_known_s,
        speed_mph2_s=mean_mph**2 * speed_known_s * draw(st.floats(1, 4)),
        jerk_known_s=jerk_known_s,
        jerky_s=jerk_known_s * draw(share),
        jerk_square=jerk_known_s * draw(st.floats(0, 900)),
        braking_square=braking**2 / total * draw(st.floats(1, 9)),
        pace_square=draw(st.floats(0, 1e3)),
    )


@given(sums())
def test_every_feature_is_in_its_range(given_sums: TripSums) -> None:
    for name, value in extract(given_sums).items():
        upper = FEATURES[name].upper
        assert value is None or value >= 0
        assert value is None or upper is None or value <= upper


@given(sums(), st.integers(2, 9))
def test_rates_do_not_depend_on_how_often_the_same_driving_is_summed(given_sums: TripSums, times: int) -> None:
    more = TripSums(**{name: getattr(given_sums, name) * times for name in TripSums.__struct_fields__})
    once, often = extract(given_sums), extract(more)
    for feature in BEHAVIOUR:
        assert often[feature.name] == pytest.approx(once[feature.name])


@given(st.lists(sums() | st.just(TripSums()), min_size=1, max_size=8))
def test_all_at_once_is_each_by_itself_to_the_last_bit(some: list[TripSums]) -> None:
    columns = {name: np.array([getattr(one, name) for one in some], np.float64) for name in TripSums.__struct_fields__}
    found = extract_all(columns)
    for place, one in enumerate(some):
        row = {name: None if np.isnan(values[place]) else float(values[place]) for name, values in found.items()}
        assert row == extract(one)


def test_unknown_is_none_and_never_zero() -> None:
    values = extract(TripSums(distance_miles=50.0, speeding_s=0.0, phone_usage_s=0.0))
    assert values["speeding_s_per_100mi"] is None
    assert values["phone_s_per_hour"] is None
    assert values["phone_s_per_100mi"] is None
    assert values["harsh_braking_per_100mi"] == 0.0


def test_speeding_is_over_the_miles_where_the_limit_was_known() -> None:
    values = extract(TripSums(distance_miles=200.0, speeding_s=30.0, speed_limit_known_miles=50.0))
    assert values["speeding_s_per_100mi"] == pytest.approx(60.0)
    assert values["speed_limit_known_share"] == pytest.approx(0.25)


def test_phone_use_is_over_the_hours_in_which_it_was_watched() -> None:
    values = extract(TripSums(distance_miles=100.0, phone_usage_s=60.0, phone_known_s=1800.0, phone_known_miles=20.0))
    assert values["phone_s_per_hour"] == pytest.approx(120.0)
    assert values["phone_s_per_100mi"] == pytest.approx(300.0)


def test_events_and_shares_by_hand() -> None:
    values = extract(
        TripSums(
            distance_miles=400.0, harsh_braking_count=8, harsh_braking_severe_count=2, night_miles=40.0, duration_s=7200
        )
    )
    assert values["harsh_braking_per_100mi"] == pytest.approx(2.0)
    assert values["severe_braking_per_100mi"] == pytest.approx(0.5)
    assert values["night_share"] == pytest.approx(0.1)
    assert values["driving_hours"] == pytest.approx(2.0)


def test_without_miles_all_rates_are_unknown() -> None:
    values = extract(TripSums())
    assert all(values[feature.name] is None for feature in BEHAVIOUR)
    assert values["exposure_miles"] == 0.0


def _together(*trips: TripSums) -> TripSums:
    return TripSums(**{n: sum(getattr(trip, n) for trip in trips) for n in TripSums.__struct_fields__})


def test_phone_use_is_told_apart_by_speed() -> None:
    values = extract(
        TripSums(
            phone_usage_s=100,
            phone_known_s=3600,
            phone_speed_known_s=1800,
            phone_standing_s=30,
            phone_moving_s=50,
            phone_fast_s=20,
        )
    )
    assert values["phone_s_per_hour"] == pytest.approx(100.0)
    assert values["phone_standing_s_per_hour"] == pytest.approx(60.0)
    assert values["phone_moving_s_per_hour"] == pytest.approx(100.0)
    assert values["phone_fast_s_per_hour"] == pytest.approx(40.0)


def test_speed_and_jerk_by_hand() -> None:
    """Half of an hour at 20 mph, half at 60; jerk of 1 and 3 m/s3 for as long."""
    values = extract(
        TripSums(
            speed_known_s=3600,
            speed_mph_s=1800 * 20 + 1800 * 60,
            speed_mph2_s=1800 * 400 + 1800 * 3600,
            speed_slow_s=1800,
            speed_fast_s=1800,
            speed_very_fast_s=90,
            jerk_known_s=20,
            jerk_square=10 * 1 + 10 * 9,
            jerky_s=10,
        )
    )
    assert values["mean_speed_mph"] == pytest.approx(40.0)
    assert values["speed_spread_mph"] == pytest.approx(20.0)
    assert values["slow_time_share"] == values["fast_time_share"] == pytest.approx(0.5)
    assert values["standing_time_share"] == 0.0
    assert values["very_fast_s_per_hour"] == pytest.approx(90.0)
    assert values["jerk_rms_ms3"] == pytest.approx(sqrt(5.0))
    assert values["jerky_s_per_hour"] == pytest.approx(1800.0)
    assert all(extract(TripSums())[name] is None for name in ("mean_speed_mph", "speed_spread_mph", "jerk_rms_ms3"))


def test_who_drives_every_trip_alike_is_consistent() -> None:
    """30 and 60 miles in an hour each: 15 mph about the mean of 45. 3 and 12 events: 10 and 20 per 100 miles."""
    one = TripSums(
        distance_miles=30, duration_s=3600, harsh_braking_count=3, braking_square=9 / 30, pace_square=900 / 3600
    )
    two = TripSums(distance_miles=60, duration_s=3600, harsh_braking_count=12, braking_square=144 / 60, pace_square=1.0)
    alike, unlike = extract(_together(one, one, one)), extract(_together(one, two))
    assert alike["pace_spread_mph"] == pytest.approx(0.0, abs=1e-5)
    assert alike["braking_spread_per_100mi"] == pytest.approx(0.0, abs=1e-5)
    assert unlike["pace_spread_mph"] == pytest.approx(15.0)
    mean = 100 * 15 / 90
    assert unlike["braking_spread_per_100mi"] == pytest.approx(
        sqrt((30 * (10 - mean) ** 2 + 60 * (20 - mean) ** 2) / 90)
    )


def test_long_drives_are_a_share_of_moving_time() -> None:
    assert extract(TripSums(moving_s=10_000, long_drive_s=2_500))["long_drive_share"] == pytest.approx(0.25)
    assert extract(TripSums(long_drive_s=0))["long_drive_share"] is None


def test_experience_and_the_cars_age_are_as_of_a_day() -> None:
    on = date(2026, 7, 1)
    values = of_facts(date(2016, 7, 1), 2020, on)
    assert values["licence_years"] == pytest.approx(10.0, abs=0.01)
    assert values["vehicle_age_years"] == 6.0
    assert of_facts(None, None, on) == {"licence_years": None, "vehicle_age_years": None}
    assert of_facts(date(2026, 7, 2), 2028, on) == {"licence_years": None, "vehicle_age_years": None}
    assert of_facts(on, 2027, on) == {"licence_years": 0.0, "vehicle_age_years": 0.0}


def test_driver_features_add_trips_and_days() -> None:
    start = datetime(2026, 3, 1, 8, tzinfo=UTC)
    totals = TripTotals(
        driver_id="DRV001", trip_count=3, first_start=start, last_end=start + timedelta(days=2, hours=12)
    )
    values = driver_features(totals, of_facts(date(2006, 3, 1), None, start.date()))
    assert set(values) == {*FEATURES, *(fact.name for fact in OF_DRIVERS)}
    assert values["licence_years"] == pytest.approx(20.0, abs=0.01)
    assert values["trips"] == 3
    assert values["observed_days"] == pytest.approx(2.5)
    assert driver_features(TripTotals(driver_id="DRV002"), {})["observed_days"] == 0.0


def test_definitions_are_complete() -> None:
    assert len(FEATURES) == len(BEHAVIOUR) + len(CONTEXT)
    for feature in FEATURES.values():
        assert feature.unit
        assert feature.formula
        assert feature.source
    assert all(feature.harm is Harm.MORE_IS_WORSE for feature in BEHAVIOUR)
    assert all(feature.harm is Harm.NONE for feature in CONTEXT)
    assert FEATURES["exposure_miles"].harm is Harm.NONE


def test_a_phone_in_hand_all_the_time_is_an_hour_per_hour_to_the_last_bit() -> None:
    seconds = 1.2857142857142858
    assert 3600.0 * seconds / seconds > 3600.0
    values = extract(TripSums(distance_miles=1.0, phone_usage_s=seconds, phone_known_s=seconds))
    assert values["phone_s_per_hour"] == 3600.0
