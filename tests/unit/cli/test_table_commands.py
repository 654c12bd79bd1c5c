"""``risk benchmark``, ``risk train``, ``risk predict`` and ``risk mileage`` on made-up data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from auto_insurance.risk.training import benchmark as benchmarks
from auto_insurance.risk.training import train as training
from auto_insurance.risk.training.boosting import BoostSettings
from tests.unit.cli.conftest import call
from tests.unit.risk.training.support import SPEC_TEXT, frame

LITTLE = BoostSettings(learning_rate=0.3, num_leaves=4, min_data_in_leaf=50)
PLAN = replace(
    benchmarks.QUICK,
    grouped_folds=2,
    random_used=0,
    rounds=10,
    bootstrap=3,
    sample=0.9,
    free_grid=(LITTLE,),
    pairs_grid=(LITTLE,),
    pair_shares=(),
)


@pytest.fixture
def little(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set with its specification, and little work for the engine."""
    frame(2000, 1).write_parquet(folder / "claims.parquet")
    (folder / "claims.toml").write_text(SPEC_TEXT)
    monkeypatch.setattr(benchmarks, "QUICK", PLAN)
    monkeypatch.setattr(training, "DRIVING", replace(PLAN, features_version="driving-2", free_grid=(), sample=1.0))
    return folder


def test_benchmark_then_predict(little: Path) -> None:
    made = call("risk", "benchmark", "claims.parquet", "--spec", "claims.toml", "-o", "proof", "--quick")
    assert made.exit_code == 0, made.output
    assert "by contract" in made.output
    assert "Chosen, with contracts kept together" in made.output
    assert {file.name for file in (little / "proof").iterdir()} == {
        "best",
        "explainable",
        "glm",
        "rating-tables",
        "report.html",
        "report.json",
    }
    report = json.loads((little / "proof" / "report.json").read_text())
    assert set(report["models"]) == {"best", "explainable", "glm"}
    rows = frame(300, 5)
    rows.with_columns(fuel=pl.lit("steam")).write_csv(little / "risks.csv")
    for model in ("best", "explainable"):
        scored = call("risk", "predict", f"proof/{model}", "risks.csv", "-o", "scored.parquet")
        assert scored.exit_code == 0, scored.output
        assert "300 rows scored" in scored.output
        assert "fuel=steam: not known to the model, 300 rows" in scored.output
        back = pl.read_parquet(little / "scored.parquet")
        assert back["row"].to_list() == rows["row"].to_list()
        assert (back["expected_claims"] > 0).all()
    (little / "proof" / "best" / "columns.json").write_text("[]")
    refused = call("risk", "predict", "proof/best", "risks.csv", "-o", "again.parquet")
    assert refused.exit_code == 1
    assert "was changed or damaged" in refused.output
    assert not (little / "again.parquet").exists()


def test_train_on_the_reference_portfolio(little: Path) -> None:
    made = call("risk", "train", "--reference", "--rows", "3000", "-o", "champion")
    assert made.exit_code == 0, made.output
    assert "of the true frequency's" in made.output
    report = json.loads((little / "champion" / "report.json").read_text())
    assert report["champion"] in {"glm", "explainable"}
    assert report["recovery"]["share_of_oracle"] > 0.5
    card = (little / "champion" / "model" / "card.md").read_text()
    assert "The claims behind this model are simulated" in card


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("train", "-o", "x"), "Name a file of driver-years, or say --reference"),
        (("train", "claims.parquet", "--reference", "-o", "x"), "Name a file of driver-years, or say --reference"),
        (("train", "claims.parquet", "-o", "x"), "Columns are missing: harsh_braking_per_100mi"),
        (("benchmark", "claims.parquet", "-o", "x"), "Columns are missing: Area"),
        (("benchmark", "claims.toml", "-o", "x"), "claims.toml cannot be read as a table"),
        (("benchmark", "claims.parquet", "--spec", "claims.parquet", "-o", "x"), "claims.parquet"),
        (("predict", ".", "claims.parquet", "-o", "x.parquet"), "is no model: it has no manifest.json"),
        (("mileage", "."), "norauto.parquet cannot be read as a table"),
    ],
)
def test_what_cannot_be_done_is_said_plainly(little: Path, argv: tuple[str, ...], message: str) -> None:
    found = call("risk", *argv)
    assert found.exit_code in {1, 2}
    assert message in found.output
    assert "Traceback" not in found.output


def test_a_folder_that_is_something_else_is_left_alone(little: Path) -> None:
    (little / "proof" / "best").mkdir(parents=True)
    (little / "proof" / "best" / "notes.txt").write_text("keep me")
    found = call("risk", "benchmark", "claims.parquet", "--spec", "claims.toml", "-o", "proof", "--quick")
    assert found.exit_code == 1
    assert "is no model; nothing was overwritten" in found.output


def test_mileage_prints_and_writes_the_curve(little: Path, shared_data: Path) -> None:
    shown = call("risk", "mileage", str(shared_data), "-o", "curve.toml")
    assert shown.exit_code == 0, shown.output
    assert "together: miles ** 0.475" in shown.output
    assert "exponent = 0.4754" in (little / "curve.toml").read_text()
    assert call("risk", "mileage", str(shared_data), "-o", "-").output.startswith("# Made by")
