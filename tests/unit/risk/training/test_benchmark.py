from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from auto_insurance.risk.training.artefact import load
from auto_insurance.risk.training.benchmark import (
    QUICK,
    Bench,
    Plan,
    quantiles,
    report_data,
    run,
    to_json,
    write_models,
)
from auto_insurance.risk.training.boosting import BoostSettings
from auto_insurance.risk.training.candidates import chosen_pairs
from auto_insurance.risk.training.drift import MOVED
from auto_insurance.risk.training.evaluate import feature_segments, partial_dependence, segment_table, stability
from auto_insurance.risk.training.metrics import lorenz
from auto_insurance.risk.training.moved import drift_table
from auto_insurance.risk.training.report import full_report
from auto_insurance.risk.training.resample import lorenz_band
from auto_insurance.risk.training.table import TableData
from auto_insurance.risk.training.tables import TableModel, Term
from auto_insurance.risk.training.tuning import sensible_pairs
from tests.unit.risk.training.support import data_set

LITTLE = BoostSettings(learning_rate=0.3, num_leaves=4, min_data_in_leaf=50)
PLAN = replace(
    QUICK,
    grouped_folds=2,
    random_folds=3,
    rounds=15,
    bootstrap=5,
    sample=0.9,
    threads=1,
    free_grid=(LITTLE,),
    pairs_grid=(LITTLE,),
    pair_shares=(0.5,),
    final_bags=2,
)


@pytest.fixture(scope="module")
def data() -> TableData:
    return data_set(3000)


@pytest.fixture(scope="module")
def bench(data: TableData) -> Bench:
    return run(data, PLAN, lambda what, done: None)


def test_every_candidate_is_measured_both_ways(bench: Bench) -> None:
    assert set(bench.figures) == {"by contract", "by row", "by time"}
    for models in bench.figures.values():
        assert list(models) == ["intercept", "glm", "boosted", "explainable"]
        for name in ("glm", "explainable"):
            assert models[name]["deviance_x100"] < models["intercept"]["deviance_x100"]
            assert models[name]["gini"] > 0.05
            low, high = models[name]["deviance_x100_interval"]
            assert low < models[name]["deviance_x100"] < high
        assert models["intercept"]["calibration_slope"] is None
    assert bench.figures["by contract"]["glm"]["rows"] == len(bench.data)
    assert bench.figures["by row"]["glm"]["rows"] == pytest.approx(len(bench.data) / 3, abs=1)
    assert bench.figures["by time"]["glm"]["rows"] == pytest.approx(0.4 * len(bench.data), rel=0.02)
    least = min(one["deviance_x100"] for one in bench.figures["by contract"].values())
    assert bench.figures["by contract"][bench.best]["deviance_x100"] == least
    for name in ("intercept", "glm", "boosted", "explainable"):
        assert bench.figures["by contract"][name]["balance"] == pytest.approx(1.0, abs=0.01)


def test_the_same_seed_gives_the_same_models(bench: Bench, data: TableData) -> None:
    again = run(data, PLAN, lambda what, done: None)
    for name, artefact in bench.models.items():
        first, second = artefact.frequency(data.codes), again.models[name].frequency(data.codes)
        if name == "glm":  # its library sums in threads, in an order of their own
            assert second == pytest.approx(first, rel=1e-8)
        else:
            assert (second == first).all()
            for grouping, models in bench.figures.items():
                assert again.figures[grouping][name] == models[name]


def test_models_and_report_are_written(bench: Bench, tmp_path: Path) -> None:
    sums = write_models(bench, tmp_path)
    assert set(sums) == {"best", "explainable", "glm"}
    assert load(tmp_path / "explainable").about.kind == "tables"
    assert load(tmp_path / "best").about.name == f"little-{bench.best}"
    heard: list[tuple[str, float]] = []
    figures, html = full_report(bench, lambda what, done: heard.append((what, done)))
    assert heard[-1] == ("drawing", 1.0)
    assert html.count("<img") > 10
    assert 'src="http' not in html
    assert "smoke test" in html
    assert {row["feature"] for row in figures["monotone"]} == {"power", "area"}
    assert all(row["holds"] for row in figures["monotone"])
    assert {"age", "power", "fuel", "area", "engine", "town"} <= set(figures["segments"])
    assert set(figures["stability"]) == {"glm", "boosted", "explainable"}
    assert figures["stability"]["boosted"]["correlation_of_logs"] > 0.5
    assert set(figures["drift"]["features"]) == {column.name for column in bench.data.columns}
    assert max(figures["drift"]["features"].values()) < 0.1
    assert [row["segment"] for row in figures["drift"]["concept"]][-1].startswith("after 2025-")
    assert sum(row["claims"] for row in figures["drift"]["concept"]) == pytest.approx(bench.data.claims.sum())
    assert "Concept drift" in html
    text = to_json(figures)
    assert json.loads(text)["data"]["fingerprint"] == bench.data.fingerprint
    assert to_json(report_data(bench))


def test_without_free_boosting_and_rows_there_is_still_a_report(data: TableData) -> None:
    small = replace(PLAN, free_grid=(), random_used=0, pair_shares=(), sample=1.0, quick=False)
    found = run(data, small, lambda what, done: None)
    assert set(found.figures) == {"by contract", "by time"}
    assert set(found.models) == {"glm", "explainable"}
    figures, html = full_report(found, lambda what, done: None)
    assert set(figures["stability"]) == {"glm", "explainable"}
    assert "smoke test" not in html


def test_the_plan_of_a_full_run_is_more_than_a_quick_one() -> None:
    assert Plan().rounds > QUICK.rounds
    assert Plan().sample == 1.0


def test_segments_keep_every_claim(bench: Bench) -> None:
    rows = np.ones(len(bench.data), dtype=bool)
    for place in range(len(bench.data.columns)):
        table = segment_table(bench.data, bench.data.exposure, feature_segments(bench.data, place), rows)
        assert sum(row["claims"] for row in table) == pytest.approx(bench.data.claims.sum())
        assert sum(row["expected"] for row in table) == pytest.approx(bench.data.exposure.sum())


def test_partial_dependence_of_a_sum_is_its_part(bench: Bench) -> None:
    data = bench.data
    effect = np.linspace(0, 1, data.columns[1].bins)
    model = TableModel(data.columns, -1.0, (Term((1,), np.append(effect, 0.0)),))
    found = partial_dependence(
        model.log_frequency, data.codes[:50], data.exposure[:50], 1, [0, data.columns[1].bins - 1]
    )
    assert found == pytest.approx(np.exp([-1.0, 0.0]))


def test_stability_by_hand() -> None:
    first, second = np.log([1.0, 2.0, 4.0]), np.log([2.0, 4.0, 8.0])
    found = stability([first, second])
    assert found["mean_abs_log_ratio"] == pytest.approx(np.log(2))
    assert found["correlation_of_logs"] == pytest.approx(1.0)
    third = stability([first, second, second])
    assert third["mean_abs_log_ratio"] == pytest.approx(2 / 3 * np.log(2))


def test_drift_is_seen_where_the_portfolio_and_its_claims_moved(bench: Bench) -> None:
    """Later periods hold the old alone, and twice the claims."""
    data = bench.data
    assert data.period_end is not None
    late = data.period_end > np.sort(data.period_end)[int(0.8 * len(data))]
    place = [column.name for column in data.columns].index("age")
    kept = ~late | (data.codes[:, place] > data.columns[place].bins // 2)
    moved = replace(data.take(kept), claims=np.where(late, 2.0, 1.0)[kept] * data.claims[kept])
    grouped = replace(
        bench.grouped,
        folds=bench.grouped.folds[kept],
        expected={name: values[kept] for name, values in bench.grouped.expected.items()},
    )
    found = drift_table(replace(bench, data=moved, grouped=grouped))
    assert found["features"]["age"] > 0.25
    assert found["features"]["fuel"] < 0.1
    ratios = [row["actual_to_expected"] for row in found["concept"]]
    assert ratios[-1] > 1.3
    assert ratios[0] < 1.2


def test_without_periods_the_index_is_that_of_chance(bench: Bench) -> None:
    found = drift_table(replace(bench, data=replace(bench.data, period_end=None)))
    assert "no periods" in found["compared"]
    assert max(found["features"].values()) < 0.1
    assert found["frequency"] < MOVED
    assert [row["segment"] for row in found["concept"]] == ["other folds", "one fold"]


def test_the_lorenz_band_holds_the_curve(bench: Bench) -> None:
    data = bench.data
    frequency = bench.grouped.expected["glm"] / data.exposure
    grid, low, high = lorenz_band(data.claims, frequency, data.exposure, data.groups, seed=1, rounds=60)
    curve = lorenz(data.claims, frequency, data.exposure)
    own = np.interp(grid, curve.exposure, curve.claims)
    assert (low <= high).all()
    assert np.mean((low <= own) & (own <= high)) > 0.9
    assert (low[0], high[-1]) == (0.0, 1.0)


def test_pairs_worth_keeping() -> None:
    columns = data_set(200).columns
    terms = tuple(Term(pair, np.zeros((1, 1))) for pair in ((0, 1), (0, 2), (1, 2)))
    model = TableModel(columns, 0.0, (Term((0,), np.zeros(1)), *terms))
    assert chosen_pairs(model, [9.0, 1.0, 6.0, 3.0], 0.6) == ((0, 2),)
    assert chosen_pairs(model, [9.0, 1.0, 6.0, 3.0], 0.9) == ((0, 2), (1, 2))
    assert chosen_pairs(model, [9.0, 0.0, 0.0, 0.0], 0.9) == ()
    every = sensible_pairs(columns)
    assert (0, 1) in every
    assert (1, 4) not in every  # engine is made of power
    assert (2, 4) not in every


def test_the_scale_rises_even_where_many_are_alike() -> None:
    found = quantiles(np.array([1.0, 1.0, 1.0, 2.0]), np.ones(4), steps=10)
    assert len(found) == 11
    assert (np.diff(found) > 0).all()
    assert found[0] == pytest.approx(1.0)
    assert found[-1] == pytest.approx(2.0)
