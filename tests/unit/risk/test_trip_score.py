from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.risk.artefacts import load
from auto_insurance.risk.explain import WORDINGS, reason_codes, reasons, recommendations
from auto_insurance.risk.features import BEHAVIOUR, extract
from auto_insurance.risk.trip_score import judge_trip, risk_level
from auto_insurance.trips.schemas import TripSums

MODEL = load().model


def _judge(**sums: float) -> tuple[float, str]:
    verdict = judge_trip(MODEL, extract(TripSums(**sums)), sums["distance_miles"])  # type: ignore[arg-type]
    return verdict.trip_score, verdict.risk_level


@given(st.floats(0.1, 300), st.integers(0, 20), st.integers(0, 20), st.floats(0, 600))
def test_a_worse_trip_never_scores_better(miles: float, braking: int, more: int, speeding: float) -> None:
    fixed = {"distance_miles": miles, "speed_limit_known_miles": miles}
    better, _ = _judge(**fixed, harsh_braking_count=braking)
    worse, _ = _judge(**fixed, harsh_braking_count=braking + more, speeding_s=speeding)
    assert 0 <= worse <= better <= 100


@given(st.floats(0.1, 300))
def test_a_flawless_trip_scores_100(miles: float) -> None:
    assert _judge(distance_miles=miles, speed_limit_known_miles=miles, phone_known_s=60.0) == (100.0, "low")


def test_one_event_says_more_of_a_long_trip_about_little_and_of_a_short_one_about_less_than_its_rate() -> None:
    short, long = (
        _judge(distance_miles=3, harsh_braking_count=1)[0],
        _judge(distance_miles=60, harsh_braking_count=1)[0],
    )
    assert 70 < short < long < 100


def test_unknown_speed_limits_neither_help_nor_harm() -> None:
    assert _judge(distance_miles=10) == _judge(distance_miles=10, speed_limit_known_miles=10)


def test_a_trip_without_distance_is_not_judged_by_it() -> None:
    assert _judge(distance_miles=0) == (100.0, "low")


@pytest.mark.parametrize(
    ("score", "level"), [(100, "low"), (80, "low"), (79.99, "medium"), (60, "medium"), (59.9, "high")]
)
def test_levels(score: float, level: str) -> None:
    assert risk_level(score) == level


def test_reasons_are_ranked_and_told_in_the_trips_own_numbers() -> None:
    verdict = judge_trip(
        MODEL, extract(TripSums(distance_miles=20, harsh_braking_count=4, rapid_accel_count=1, night_miles=2)), 20
    )
    ranked = reasons(verdict.contributions)
    assert ranked[0].feature == "harsh_braking_per_100mi"
    assert ranked[0].value == pytest.approx(20.0)
    assert ranked[0].direction == "raises"
    assert ranked[0].change_to_typical_pct < 0 < ranked[0].effect_pct
    known = [reason for reason in ranked if reason.value is not None]
    assert [abs(r.log_effect) for r in known] == sorted((abs(r.log_effect) for r in known), reverse=True)
    assert ranked[-1].direction == "unknown"
    assert reason_codes(ranked)[0] == "HARSH_BRAKING_PER_100MI_RAISES"
    assert all("UNKNOWN" not in code for code in reason_codes(ranked, at_most=20))


def test_recommendations_name_each_advice_once_and_only_for_harm() -> None:
    sums = TripSums(distance_miles=100, harsh_braking_count=12, harsh_braking_severe_count=4, night_miles=60)
    (prediction,) = MODEL.predict([extract(sums)])
    found = recommendations(reasons(prediction.contributions))
    assert len({reason.recommendation for reason in found}) == len(found) == 2
    (flawless,) = MODEL.predict([extract(TripSums(distance_miles=100))])
    assert recommendations(reasons(flawless.contributions)) == []


def test_a_typical_value_has_no_direction() -> None:
    (prediction,) = MODEL.predict([{"night_share": MODEL.typical("night_share")}])
    night = next(r for r in reasons(prediction.contributions) if r.feature == "night_share")
    assert night.direction == "typical"
    assert night.recommendation is None


def test_every_scored_feature_has_words() -> None:
    assert set(WORDINGS) == {feature.name for feature in BEHAVIOUR}
