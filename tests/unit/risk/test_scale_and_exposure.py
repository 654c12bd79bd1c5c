from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.risk.artefacts import load
from auto_insurance.risk.exposure import ExposureCurve, credibility
from auto_insurance.risk.scale import ReferenceScale, category

SCALE = load().scale
CURVE = load().exposure


@given(st.floats(0, 1000), st.floats(0, 1000))
def test_scores_are_monotone_and_bounded(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= SCALE.score(low) <= SCALE.score(high) <= 100


def test_scores_are_linear_between_quantiles() -> None:
    scale = ReferenceScale([1.0, 2.0, 4.0])
    assert [scale.score(x) for x in (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 9.0)] == [0.0, 0.0, 25.0, 50.0, 75.0, 100.0, 100.0]


@pytest.mark.parametrize("quantiles", [[], [1.0], [1.0, 1.0], [2.0, 1.0]])
def test_wrong_quantiles_are_refused(quantiles: list[float]) -> None:
    with pytest.raises(ValueError, match="strictly rising"):
        ReferenceScale(quantiles)


@pytest.mark.parametrize(
    ("score", "name"),
    [
        (0, "low"),
        (19.99, "low"),
        (20, "moderate"),
        (40, "elevated"),
        (60, "high"),
        (79.99, "high"),
        (80, "very_high"),
        (100, "very_high"),
    ],
)
def test_categories(score: float, name: str) -> None:
    assert category(score) == name


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_credibility_grows_with_distance(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= credibility(low, 1000) <= credibility(high, 1000) < 1
    assert credibility(0, 1000) == 0
    assert credibility(1000, 1000) == 0.5


@given(st.floats(100, 40_000), st.floats(1.01, 5))
def test_claims_grow_less_than_in_proportion_to_distance(miles: float, times: float) -> None:
    once, more = CURVE.claims_per_year(5.0, miles), CURVE.claims_per_year(5.0, miles * times)
    assert once < more < once * times


def test_expected_claims_by_hand() -> None:
    assert CURVE.claims_per_year(5.0, 10_000) == pytest.approx(0.05)
    assert ExposureCurve(0.5, 10_000).claims_per_year(5.0, 40_000) == pytest.approx(0.1)
    assert CURVE.claims_per_year(5.0, 0) == 0.0
