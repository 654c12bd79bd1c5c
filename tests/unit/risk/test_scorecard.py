from __future__ import annotations

from math import exp, inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.risk.artefacts import load
from auto_insurance.risk.errors import InvalidFeatures
from auto_insurance.risk.features import BEHAVIOUR, Harm, extract
from auto_insurance.risk.scorecard import PoissonScorecard, check_features
from auto_insurance.trips.schemas import TripSums

LOADED = load()
assert isinstance(LOADED.model, PoissonScorecard)
MODEL = LOADED.model


def values() -> st.SearchStrategy[dict[str, float | None]]:
    """Any vector that may be: unknowns included."""
    return st.fixed_dictionaries({f.name: st.none() | st.floats(0, f.upper or 20_000) for f in BEHAVIOUR})


@given(values(), st.sampled_from(BEHAVIOUR), st.floats(0, 1), st.floats(0, 1))
def test_worse_behaviour_never_lowers_the_frequency(
    row: dict[str, float | None], feature: object, low: float, high: float
) -> None:
    assert any(feature is known for known in BEHAVIOUR)
    name = feature.name  # type: ignore[attr-defined]
    scale = feature.upper or 20_000  # type: ignore[attr-defined]
    better, worse = sorted((low * scale, high * scale))
    before, after = MODEL.predict([{**row, name: better}, {**row, name: worse}])
    assert after.frequency >= before.frequency
    assert LOADED.scale.score(after.frequency) >= LOADED.scale.score(before.frequency)


@given(values())
def test_contributions_add_up_exactly(row: dict[str, float | None]) -> None:
    (prediction,) = MODEL.predict([row])
    product = MODEL.base_frequency * exp(sum(part.log_effect for part in prediction.contributions))
    assert prediction.frequency == pytest.approx(product, rel=1e-12)
    assert prediction.relativity == pytest.approx(prediction.frequency / MODEL.portfolio_frequency, rel=1e-12)


@given(st.lists(values(), min_size=1, max_size=6))
def test_many_at_once_are_each_by_itself(rows: list[dict[str, float | None]]) -> None:
    columns = {f.name: np.array([nan if row[f.name] is None else row[f.name] for row in rows]) for f in BEHAVIOUR}
    found = MODEL.predict_all(columns)
    for place, single in enumerate(MODEL.predict(rows)):
        assert found.frequency[place] == pytest.approx(single.frequency, rel=1e-12)
        assert found.relativity[place] == pytest.approx(single.relativity, rel=1e-12)
        assert {part.feature: part.log_effect for part in single.contributions} == {
            name: effect[place] for name, effect in found.effects.items()
        }


def test_columns_that_cannot_be_are_named() -> None:
    columns = {f.name: np.array([nan, 0.5]) for f in BEHAVIOUR}
    columns["night_share"] = np.array([0.5, 1.5])
    columns["phone_s_per_hour"] = np.array([-1.0, nan])
    columns["harsh_braking_per_100mi"] = np.array([inf, 1.0])
    with pytest.raises(InvalidFeatures) as caught:
        MODEL.predict_all(columns)
    assert {(error.field, error.code) for error in caught.value.errors} == {
        ("night_share", "out_of_range"), ("phone_s_per_hour", "out_of_range"),
        ("harsh_braking_per_100mi", "not_finite"),
    }  # fmt: skip


@given(values())
def test_an_unknown_feature_counts_as_the_typical_one(row: dict[str, float | None]) -> None:
    filled = {name: MODEL.typical(name) if value is None else value for name, value in row.items()}
    unknown, typical = MODEL.predict([row, filled])
    assert unknown.frequency == pytest.approx(typical.frequency)


@given(st.integers(1, 40), st.floats(1, 500))
def test_each_more_severe_event_of_a_trip_raises_the_frequency_or_meets_the_cap(events: int, miles: float) -> None:
    mild = extract(TripSums(distance_miles=miles, harsh_braking_count=events))
    severe = extract(TripSums(distance_miles=miles, harsh_braking_count=events, harsh_braking_severe_count=1))
    before, after = MODEL.predict([mild, severe])
    assert after.frequency > before.frequency


def test_distance_time_and_place_are_not_scored() -> None:
    near = {f.name: 1.0 if f.upper is None else 0.1 for f in BEHAVIOUR}
    context = {"exposure_miles": 9e4, "weekend_share": 0.9, "high_speed_share": 0.9, "low_speed_share": 0.0}
    plain, more = MODEL.predict([near, {**near, **context, "prior_claims": 4.0}])
    assert plain == more


def test_typical_driving_gives_the_base_frequency() -> None:
    (prediction,) = MODEL.predict([{f.feature: f.reference for f in MODEL.factors}])
    assert prediction.frequency == pytest.approx(MODEL.base_frequency)
    assert MODEL.typical("exposure_miles") is None


def test_nobody_known_is_the_average_of_the_portfolio() -> None:
    average = MODEL.average()
    assert average.frequency == MODEL.portfolio_frequency
    assert average.relativity == 1.0
    assert all(part.value is None and part.log_effect == 0.0 for part in average.contributions)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("night_share", nan, "not_finite"),
        ("harsh_braking_per_100mi", inf, "not_finite"),
        ("night_share", 1.5, "out_of_range"),
        ("phone_s_per_hour", 3601.0, "out_of_range"),
        ("harsh_braking_per_100mi", -1.0, "out_of_range"),
        ("no_such_feature", -1.0, "out_of_range"),
    ],
)
def test_values_that_cannot_be_are_named(name: str, value: float, code: str) -> None:
    with pytest.raises(InvalidFeatures) as caught:
        MODEL.predict([{name: value}])
    assert [(error.field, error.code) for error in caught.value.errors] == [(name, code)]
    assert name in caught.value.detail


def test_all_wrong_values_are_named_at_once() -> None:
    with pytest.raises(InvalidFeatures) as caught:
        check_features({"night_share": 2.0, "rush_hour_share": nan, "late_night_share": 0.1})
    assert {error.field for error in caught.value.errors} == {"night_share", "rush_hour_share"}


NEWER = {
    "phone_moving_s_per_hour", "phone_fast_s_per_hour", "very_fast_s_per_hour", "jerky_s_per_hour", "long_drive_share",
}  # fmt: skip
"""Defined after the card was written."""


def test_the_card_scores_the_behaviour_of_its_time_and_nothing_else() -> None:
    harmful = {f.name for f in BEHAVIOUR if f.harm is Harm.MORE_IS_WORSE}
    assert {f.feature for f in MODEL.factors} == harmful - NEWER
    assert all(f.evidence and f.assumption for f in MODEL.factors)
    assert MODEL.info.assumption_based
    assert "simulated" in MODEL.info.reference_population
