from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from auto_insurance.risk.training.errors import InvalidTable
from auto_insurance.risk.training.mileage import (
    NORWAY,
    SOURCES,
    Shape,
    Source,
    poisson_fit,
    pool,
    read_shape,
    shape_of,
    to_toml,
)

LITTLE = Source(
    name="little",
    file="little.parquet",
    distance="class",
    km={"near": 5000, "far": 20000, "any": None},
    exposure="years",
    claims="claims",
    controls=("town",),
    about="Made up.",
)


def rows(exponent: float) -> pl.DataFrame:
    """Frequencies that follow the power exactly, twice as high in town."""
    cells = [("near", 5000.0), ("far", 20000.0), ("any", 12000.0)]
    return pl.DataFrame(
        [
            {"class": label, "town": town, "years": 1000.0, "claims": 1000.0 * 0.001 * (1 + town) * km**exponent}
            for label, km in cells
            for town in (0, 1)
        ]
    )


def test_poisson_regression_by_hand() -> None:
    # Two groups: the intercept is the log frequency of the first, the slope the log ratio; variances 1 / claims.
    design = np.array([[1.0, 0.0], [1.0, 1.0]])
    fit = poisson_fit(design, np.array([50.0, 200.0]), np.array([100.0, 100.0]))
    assert fit.coefficients == pytest.approx([np.log(0.5), np.log(4)])
    assert fit.covariance[1, 1] == pytest.approx(1 / 50 + 1 / 200)
    assert fit.dispersion == 1.0


@pytest.mark.parametrize("exponent", [0.0, 0.4, 1.0])
def test_the_power_is_found_whatever_the_controls(exponent: float) -> None:
    found = shape_of(rows(exponent), LITTLE)
    assert found.exponent == pytest.approx(exponent, abs=1e-6)
    assert found.low < found.exponent < found.high
    near, far, anything = found.classes
    assert near.relativity == 1.0
    assert far.relativity == pytest.approx(4**exponent)
    assert anything.km is None
    assert anything.relativity == pytest.approx(2.4**exponent)


def test_too_little_is_refused() -> None:
    with pytest.raises(InvalidTable, match="columns are missing: town"):
        shape_of(rows(0.5).drop("town"), LITTLE)
    with pytest.raises(InvalidTable, match="fewer than two classes"):
        shape_of(rows(0.5).filter(pl.col("class") != "far"), LITTLE)


def shape(exponent: float, error: float) -> Shape:
    return Shape(LITTLE, exponent, exponent - 1.959964 * error, exponent + 1.959964 * error, 1.0, ())


def test_pooling_by_hand() -> None:
    alike = pool([shape(0.5, 0.1), shape(0.5, 0.1)])
    assert alike.exponent == pytest.approx(0.5)
    assert alike.between == 0.0
    assert alike.high - alike.low == pytest.approx(2 * 1.959964 * 0.1 / np.sqrt(2))
    # Q = 2 * (0.2 / 0.1)**2 = 8, one degree of freedom, c = 100: between = 7 / 100.
    apart = pool([shape(0.3, 0.1), shape(0.7, 0.1)])
    assert apart.exponent == pytest.approx(0.5)
    assert apart.between == pytest.approx(0.07)
    assert apart.high - apart.low > alike.high - alike.low


def test_the_shipped_curve_is_what_the_data_say(shared_data: Path) -> None:
    shapes = [read_shape(shared_data, source) for source in SOURCES]
    made = tomllib.loads(to_toml(shapes, pool(shapes), 10_000))
    text = resources.files("auto_insurance.risk.training").joinpath("data", "mileage-1.toml").read_text("utf-8")
    assert made == tomllib.loads(text)


def test_claims_grow_less_than_in_proportion_to_distance() -> None:
    text = resources.files("auto_insurance.risk.training").joinpath("data", "mileage-1.toml").read_text("utf-8")
    curve = tomllib.loads(text)
    assert 0 < curve["low"] < curve["exponent"] < curve["high"] < 1
    for source in curve["source"]:
        rising = [row["relativity"] for row in source["classes"]]
        assert rising == sorted(rising)
        placed = [row for row in source["classes"] if "miles" in row]
        first, last = placed[0], placed[-1]
        assert last["relativity"] / first["relativity"] < last["miles"] / first["miles"]


def test_no_limit_is_no_distance() -> None:
    assert NORWAY.km["no limit"] is None
