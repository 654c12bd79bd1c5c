from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from auto_insurance.risk.training import metrics
from auto_insurance.risk.training.arrays import Floats
from auto_insurance.risk.training.resample import bootstrap, weighted_gini, weighted_mean


def portfolio() -> st.SearchStrategy[tuple[Floats, Floats, Floats]]:
    """Claims (some), frequencies and exposures of some rows."""

    def made(rows: int) -> st.SearchStrategy[tuple[Floats, Floats, Floats]]:
        return st.tuples(
            hnp.arrays(np.float64, rows, elements=st.integers(0, 4).map(float)).filter(lambda y: y.sum() > 0),
            hnp.arrays(np.float64, rows, elements=st.floats(0.01, 2)),
            hnp.arrays(np.float64, rows, elements=st.floats(0.05, 1)),
        )

    return st.integers(2, 40).flatmap(made)


def test_deviance_by_hand() -> None:
    claims, expected = np.array([0.0, 1.0, 2.0]), np.array([0.5, 0.5, 2.0])
    by_hand = [2 * 0.5, 2 * (log(1 / 0.5) - 0.5), 0.0]
    assert metrics.unit_deviance(claims, expected) == pytest.approx(by_hand)
    assert metrics.poisson_deviance(claims, expected) == pytest.approx(sum(by_hand) / 3)


@given(portfolio())
def test_deviance_is_never_negative_and_least_at_the_truth(rows: tuple[Floats, Floats, Floats]) -> None:
    claims, frequency, exposure = rows
    assert (metrics.unit_deviance(claims, frequency * exposure) >= -1e-12).all()
    expected = frequency * exposure
    factor = claims.sum() / expected.sum()
    least = metrics.poisson_deviance(claims, factor * expected)
    assert least <= metrics.poisson_deviance(claims, 1.1 * factor * expected) + 1e-12
    assert metrics.balance(claims, factor * expected) == pytest.approx(1.0)


def test_lorenz_and_gini_by_hand() -> None:
    # The lower half of the exposure has a quarter of the claims: area 0.5 * 0.25 / 2 + 0.5 * (0.25 + 1) / 2 = 0.375.
    claims, frequency, exposure = np.array([3.0, 1.0]), np.array([0.3, 0.1]), np.array([1.0, 1.0])
    curve = metrics.lorenz(claims, frequency, exposure)
    assert curve.exposure == pytest.approx([0, 0.5, 1])
    assert curve.claims == pytest.approx([0, 0.25, 1])
    assert metrics.gini(claims, frequency, exposure) == pytest.approx(0.25)
    assert metrics.gini(claims, -frequency, exposure) == pytest.approx(-0.25)
    assert metrics.gini(claims, np.ones(2), exposure) == pytest.approx(0.0)


@given(portfolio(), st.randoms(use_true_random=False))
def test_gini_knows_order_alone(rows: tuple[Floats, Floats, Floats], random: object) -> None:
    claims, frequency, exposure = rows
    frequency = np.round(frequency, 1)  # ties
    found = metrics.gini(claims, frequency, exposure)
    assert -1 <= found <= 1
    assert metrics.gini(claims, frequency**2, 3 * exposure) == pytest.approx(found)
    order = np.random.default_rng(len(claims)).permutation(len(claims))
    assert metrics.gini(claims[order], frequency[order], exposure[order]) == pytest.approx(found)
    assert weighted_gini(claims, frequency, exposure)(np.ones(len(claims))) == pytest.approx(found)
    twice = np.full(len(claims), 2.0)
    assert weighted_gini(claims, frequency, exposure)(twice) == pytest.approx(found)


@given(portfolio(), st.integers(1, 12))
def test_bands_keep_every_sum(rows: tuple[Floats, Floats, Floats], count: int) -> None:
    claims, frequency, exposure = rows
    expected = frequency * exposure
    found = metrics.calibration(claims, expected, exposure, count)
    assert found.claims.sum() == pytest.approx(claims.sum())
    assert found.expected.sum() == pytest.approx(expected.sum())
    assert found.exposure.sum() == pytest.approx(exposure.sum())
    band = metrics.equal_exposure_bands(frequency, exposure, count)
    order = np.argsort(frequency, kind="stable")
    assert (np.diff(band[order]) >= 0).all()


def test_bands_by_hand() -> None:
    band = np.array([0, 0, 1, -1])
    found = metrics.bands(band, np.array([1.0, 0, 2, 9]), np.array([0.5, 0.5, 4, 9]), np.ones(4), 3)
    assert found.ratio[:2] == pytest.approx([1.0, 0.5])
    assert found.error[:2] == pytest.approx([1.0, 0.5])
    assert np.isnan(found.ratio[2])


def test_slope_finds_how_far_predictions_are_apart() -> None:
    rng = np.random.default_rng(1)
    truth = np.exp(rng.normal(-1, 0.7, 2000))
    assert metrics.calibration_slope(truth, truth) == pytest.approx(1.0)
    assert metrics.calibration_slope(truth, truth**2) == pytest.approx(0.5)
    assert metrics.calibration_slope(truth, 3 * np.sqrt(truth)) == pytest.approx(2.0)


def test_double_lift_by_hand() -> None:
    claims, exposure = np.array([0.0, 4.0]), np.array([1.0, 1.0])
    found = metrics.double_lift(claims, np.array([1.0, 3.0]), np.array([2.0, 2.0]), exposure, 2)
    assert found.actual == pytest.approx([0, 4])
    assert found.first == pytest.approx([1, 3])
    assert found.second == pytest.approx([2, 2])


def test_bootstrap_holds_the_truth_and_whole_groups() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(5, 2, 400)
    alone = bootstrap(weighted_mean(values), np.arange(400), seed=1, rounds=300)
    assert alone.low < alone.value < alone.high
    assert alone.value == pytest.approx(values.mean())
    assert alone.high - alone.low == pytest.approx(2 * 1.96 * 2 / 20, rel=0.25)
    doubled = bootstrap(weighted_mean(np.repeat(values, 4)), np.repeat(np.arange(400), 4), seed=1, rounds=300)
    assert doubled.high - doubled.low == pytest.approx(alone.high - alone.low, rel=0.2)
    assert bootstrap(weighted_mean(values), np.arange(400), seed=1, rounds=300) == alone
