from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from auto_insurance.risk.errors import InvalidArtefact
from auto_insurance.risk.training.arrays import Floats
from auto_insurance.risk.training.calibrate import Curve, check_autocalibration, check_curve, fit_curve, isotonic
from auto_insurance.risk.training.columns import numeric_codes, numeric_column
from auto_insurance.risk.training.drift import feature_drift, psi, score_drift
from auto_insurance.risk.training.folds import grouped_folds, random_folds, time_folds
from auto_insurance.risk.training.spec import FeatureSpec

rows = st.integers(1, 30)


@given(st.data())
def test_isotonic_rises_and_keeps_the_mean(data: st.DataObject) -> None:
    count = data.draw(rows)
    values = data.draw(hnp.arrays(np.float64, count, elements=st.floats(0, 5)))
    weights = data.draw(hnp.arrays(np.float64, count, elements=st.floats(0.1, 3)))
    found = isotonic(values, weights)
    assert (np.diff(found) >= -1e-12).all()
    assert found @ weights == pytest.approx(values @ weights)
    assert isotonic(found, weights) == pytest.approx(found)


def test_isotonic_by_hand() -> None:
    assert isotonic(np.array([1.0, 3, 2, 4]), np.ones(4)).tolist() == [1, 2.5, 2.5, 4]
    assert isotonic(np.array([3.0, 1.0]), np.array([1.0, 3.0])).tolist() == [1.5, 1.5]


def test_a_curve_goes_on_straight_beyond_its_ends() -> None:
    curve = Curve((0.0, 1.0), (0.5, 1.0))
    assert curve.apply(np.array([-1.0, 0, 0.5, 1, 3])).tolist() == [-0.5, 0.5, 0.75, 1.0, 3.0]
    untouched = np.array([1.0, 2.0])
    assert Curve().apply(untouched) is untouched


@pytest.mark.parametrize("curve", [Curve((1.0,), (1.0,)), Curve((0.0, 1.0), (1.0,)), Curve((1.0, 0.0), (0.0, 1.0))])
def test_a_curve_that_does_not_rise_is_refused(curve: Curve) -> None:
    with pytest.raises(InvalidArtefact, match="calibration"):
        check_curve(curve)


def _claims(frequency: Floats, seed: int) -> Floats:
    return np.random.default_rng(seed).poisson(frequency).astype(np.float64)


def test_the_check_finds_what_is_wrong_and_nothing_where_nothing_is() -> None:
    truth = np.exp(np.random.default_rng(1).normal(-1.5, 0.8, 20_000))
    claims, exposure, folds = _claims(truth, 2), np.ones(20_000), np.arange(20_000) % 5
    assert check_autocalibration(claims, truth, exposure, folds).gain < 0.05
    crooked = truth**1.6 * (truth.sum() / (truth**1.6).sum())
    assert check_autocalibration(claims, crooked, exposure, folds).gain > 0.3
    mended = np.exp(fit_curve(claims, crooked, exposure).apply(np.log(crooked)))
    assert np.average(np.abs(np.log(mended / truth)), weights=truth) < 0.1


def test_too_little_to_fit_gives_no_curve() -> None:
    assert fit_curve(np.zeros(5), np.ones(5), np.ones(5)) == Curve()


def test_psi_by_hand() -> None:
    # (0.6 - 0.5) ln(0.6 / 0.5) + (0.4 - 0.5) ln(0.4 / 0.5)
    assert psi(np.array([1.0, 1.0]), np.array([6.0, 4.0])) == pytest.approx(0.1 * np.log(1.2) - 0.1 * np.log(0.8))
    assert psi(np.array([1.0, 0.0]), np.array([0.5, 0.5])) < 5  # an empty bin is not infinite


@given(hnp.arrays(np.float64, 4, elements=st.floats(0.01, 9)), hnp.arrays(np.float64, 4, elements=st.floats(0.01, 9)))
def test_psi_is_symmetric_and_not_negative(one: Floats, other: Floats) -> None:
    assert psi(one, other) >= -1e-12
    assert psi(one, other) == pytest.approx(psi(other, one))
    assert psi(one, 7 * one) == pytest.approx(0, abs=1e-12)


def test_drift_of_features_and_scores() -> None:
    rng = np.random.default_rng(5)
    then, exposure = rng.normal(0, 1, 5000), np.ones(5000)
    column = numeric_column(FeatureSpec("x", "numeric", max_bins=50), then, exposure)
    assert feature_drift(column, numeric_codes(rng.normal(0, 1, 5000), column.edges), exposure) < 0.02
    assert feature_drift(column, numeric_codes(rng.normal(1, 1, 5000), column.edges), exposure) > 0.25
    assert feature_drift(column, np.full(3, -1, np.int32), np.ones(3)) == 0.0
    quantiles = np.quantile(then, np.arange(101) / 100)
    assert score_drift(quantiles, rng.normal(0, 1, 5000), exposure) < 0.02
    assert score_drift(quantiles, rng.normal(1, 1, 5000), exposure) > 0.25


@given(st.integers(2, 6), st.integers(0, 9))
def test_folds_keep_groups_whole_and_sizes_even(count: int, seed: int) -> None:
    groups = np.repeat(np.arange(30), 3)
    folds = grouped_folds(groups, count, seed)
    assert all(len(set(folds[groups == group].tolist())) == 1 for group in range(30))
    assert np.ptp(np.bincount(random_folds(50, count, seed), minlength=count)) <= 1
    assert (grouped_folds(groups, count, seed) == folds).all()


def test_one_cut_says_nothing_about_another() -> None:
    tenth, fifth = random_folds(10_000, 10, 1), random_folds(10_000, 5, 1)
    assert 0.15 < (fifth[tenth == 0] == 0).mean() < 0.25


def test_time_folds_never_train_on_what_follows() -> None:
    ends = np.array(["2026-01-31", "2026-06-01", "2026-06-30"], dtype="datetime64[D]")
    cuts = np.array(["2026-02-01", "2026-06-30"], dtype="datetime64[D]")
    assert time_folds(ends, cuts).tolist() == [0, 1, 2]
