"""A small data set with a known shape, for the tests of the training engine."""

from __future__ import annotations

import numpy as np
import polars as pl

from auto_insurance.risk.training.spec import TableSpec, parse_spec
from auto_insurance.risk.training.table import TableData, table_of

SPEC_TEXT = """
name = "little"
about = "Made up for a test."
exposure = "years"
exposure_unit = "years"
claims = "claims"
max_claims = 3.0
max_exposure = 1.0
segments = ["fuel", "town"]
period_end = "until"
features = [
  { name = "age", kind = "numeric", max_bins = 30 },
  { name = "power", kind = "numeric", monotone = 1 },
  { name = "fuel", kind = "categorical" },
  { name = "area", kind = "ordered", levels = ["low", "mid", "high"], monotone = 1 },
  { name = "engine", kind = "categorical", of = ["fuel", "power"] },
]
glm = [
  { feature = "age", form = "hinges", knots = [30, 50] },
  { feature = "power", form = "linear" },
  { feature = "fuel", form = "levels" },
  { feature = "area", form = "levels", times = { feature = "fuel", form = "levels" } },
  { feature = "age", form = "bins", knots = [25, 60], times = { feature = "power", form = "log" } },
]

[group]
order_by = "row"
equal = ["fuel", "town"]
"""


def spec() -> TableSpec:
    """Return the specification of the little data set."""
    return parse_spec(SPEC_TEXT, "little.toml")


def frame(rows: int, seed: int) -> pl.DataFrame:
    """Return made-up rows: frequency rises with power and area, is high for the young, and diesel turns power round."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, rows)
    power = rng.integers(1, 9, rows)
    fuel = np.array(["diesel", "petrol", "gas"])[rng.integers(0, 3, rows)]
    area = rng.integers(0, 3, rows)
    years = rng.uniform(0.1, 1.0, rows)
    log_rate = -1.2 + 0.12 * power + 0.3 * area + 0.8 * (age < 25) + 0.3 * ((fuel == "diesel") & (age > 50))
    return pl.DataFrame(
        {
            "row": np.arange(rows),
            "age": age,
            "power": power,
            "fuel": fuel,
            "area": np.array(["low", "mid", "high"])[area],
            "town": rng.integers(0, 40, rows),
            "years": years,
            "until": np.datetime64("2025-01-01") + rng.integers(0, 365, rows).astype("timedelta64[D]"),
            "claims": rng.poisson(years * np.exp(log_rate)),
        }
    )


def data_set(rows: int, seed: int = 1) -> TableData:
    """Return the made-up rows as training data."""
    return table_of(frame(rows, seed), spec(), "made up")
