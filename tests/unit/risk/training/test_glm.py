from __future__ import annotations

import sys

import numpy as np
import polars as pl
import pytest

from auto_insurance.risk.training.errors import InvalidTable, MissingExtra
from auto_insurance.risk.training.glm import fit_glm, intercept_only
from auto_insurance.risk.training.plots import lorenz_plot
from auto_insurance.risk.training.spec import FeatureSpec, GlmTerm, TableSpec
from auto_insurance.risk.training.table import TableData, table_of
from tests.unit.risk.training.support import data_set


def grouped(counts: list[float]) -> TableData:
    """Three levels, one year of exposure a row, claims as given."""
    rows = pl.DataFrame({"level": ["a", "b", "c"], "x": [1.0, 2.0, 4.0], "years": [1.0, 2.0, 4.0], "claims": counts})
    made = TableSpec(
        name="three",
        features=(FeatureSpec("level", "categorical"), FeatureSpec("x", "numeric")),
        exposure="years",
        claims="claims",
        exposure_unit="years",
    )
    return table_of(rows, made, "made up")


EVERY = np.ones(3, dtype=bool)


def test_levels_alone_give_each_level_its_own_frequency() -> None:
    data = grouped([30.0, 20.0, 60.0])
    model = fit_glm(data, EVERY, (GlmTerm("level", "levels"),), penalty=1e-9)
    assert np.exp(model.log_frequency(data.codes)) == pytest.approx([30, 10, 15], rel=1e-4)


def test_a_power_law_is_found_by_the_logarithm() -> None:
    data = grouped([100.0, 400.0, 1600.0])  # frequencies 100, 200, 400: the first power of x
    for form in ("log", "hinges"):
        term = GlmTerm("x", form, knots=(2.0,) if form == "hinges" else ())
        model = fit_glm(data, EVERY, (term,), penalty=1e-9)
        assert np.exp(model.log_frequency(data.codes)) == pytest.approx([100, 200, 400], rel=1e-3)


def test_products_and_forms_fit_the_little_data() -> None:
    data = data_set(3000)
    every = np.ones(3000, dtype=bool)
    model = fit_glm(data, every, data.spec.glm)
    assert {term.features for term in model.terms} == {(0,), (1,), (2,), (2, 3), (0, 1)}
    flat = intercept_only(data, every)
    assert np.exp(flat.log_frequency(data.codes)) * data.exposure.sum() == pytest.approx(data.claims.sum())
    spread = model.log_frequency(data.codes)
    assert np.corrcoef(spread, data.codes[:, 1])[0, 1] > 0.3


def test_no_logarithm_of_nothing() -> None:
    data = grouped([1.0, 1.0, 1.0])
    zero = table_of(
        pl.DataFrame({"level": ["a", "b"], "x": [0.0, 1.0], "years": [1.0, 1.0], "claims": [1, 1]}), data.spec, "x"
    )
    with pytest.raises(InvalidTable, match="takes its logarithm"):
        fit_glm(zero, np.ones(2, dtype=bool), (GlmTerm("x", "log"),))


@pytest.mark.parametrize("library", ["glum", "pandas"])
def test_without_the_extra_it_says_what_to_install(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=rf"{library}: install auto-insurance\[training\]"):
        fit_glm(grouped([1.0, 1, 1]), EVERY, (GlmTerm("level", "levels"),))


def test_plots_without_the_extra_say_so_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match="matplotlib"):
        lorenz_plot({}, {})
