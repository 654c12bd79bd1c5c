from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_insurance.risk import artefacts
from auto_insurance.risk.errors import InvalidArtefact
from auto_insurance.risk.tables_model import scoring_model
from auto_insurance.risk.training import credibility
from auto_insurance.risk.training.artefact import Artefact, load
from auto_insurance.risk.training.credibility import half_credibility, half_credibility_miles
from auto_insurance.risk.training.train import reference_portfolio

DRIVING = Path(artefacts.__file__).parent / "data" / "driving-2"
DEFAULT = artefacts.load()


@pytest.fixture(scope="module")
def model() -> Artefact:
    return load(DRIVING)


def test_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two drivers, two years each, weight 1: 1 and 3, 5 and 7.

    Within: four squares of 1 over 2 degrees of freedom = 2. Between: 2 (2 - 4)^2 + 2 (6 - 4)^2 = 16, less one 2 = 14,
    over 4 - 8 / 4 = 2: 7. K = 2 / 7.
    """
    monkeypatch.setattr(credibility, "LEAST_DRIVERS", 2)
    found = half_credibility(np.array([1.0, 3.0, 5.0, 7.0]), np.ones(4), np.array([4, 4, 9, 9]))
    assert found == pytest.approx(2 / 7)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 0.5), st.floats(5.0, 60.0), st.integers(0, 1000))
def test_what_a_world_was_made_of_is_found(between: float, within: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    drivers, years = 4000, 3
    weights = rng.uniform(2000.0, 20000.0, drivers * years)
    groups = np.repeat(np.arange(drivers), years)
    true = 1.0 + between * rng.standard_normal(drivers)
    values = true[groups] + within / np.sqrt(weights) * rng.standard_normal(len(groups))
    found = half_credibility(values, weights, groups)
    # Where chance is large beside the differences, K is large and itself uncertain.
    assert found is None or found == pytest.approx((within / between) ** 2, rel=0.25, abs=0.1) or within > 100 * between


def test_who_does_not_differ_or_was_seen_once_tells_nothing() -> None:
    same = np.tile([1.0, 2.0], 100)
    assert half_credibility(same, np.ones(200), np.repeat(np.arange(100), 2)) is None
    assert half_credibility(np.arange(100.0), np.ones(100), np.arange(100)) is None
    assert half_credibility(np.array([]), np.array([]), np.array([], np.int64)) is None


def test_the_reference_portfolio_tells_it_in_miles(model: Artefact) -> None:
    made = reference_portfolio(DEFAULT.exposure, 20_000)
    found = half_credibility_miles(model, made.frame)
    assert found is not None
    assert 100 < found < 5000
    assert half_credibility_miles(model, made.frame.drop("miles")) is None


def test_windows_that_overlap_are_not_two_observations(model: Artefact) -> None:
    """The same driving seen in two windows a month apart would make chance look small."""
    made = reference_portfolio(DEFAULT.exposure, 2000).frame.with_columns(exposure_miles=pl.col("miles"))
    start = datetime(2025, 1, 1, tzinfo=UTC)
    place = pl.Series(np.arange(len(made)) % 2)
    years = made.with_columns(period_start=pl.Series([start + timedelta(days=365 * int(n)) for n in place]))
    months = made.with_columns(period_start=pl.Series([start + timedelta(days=30 * int(n)) for n in place]))
    assert half_credibility_miles(model, years) is not None
    assert half_credibility_miles(model, months) is None


def test_a_model_is_served_with_its_own(model: Artefact) -> None:
    def served(half: float | None) -> float:
        about = msgspec.structs.replace(model.about, half_credibility_miles=half)
        return scoring_model("own", replace(model, about=about), DEFAULT.exposure, 1000.0).half_credibility_miles

    assert served(None) == 1000.0
    assert served(640.0) == 640.0
    for wrong in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(InvalidArtefact, match="half_credibility_miles must be positive"):
            served(wrong)
