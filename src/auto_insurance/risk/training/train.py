"""Trains what drivers are scored with: tables that are monotone by proof, the best by cross-validation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from auto_insurance.risk.errors import InvalidArtefact
from auto_insurance.risk.exposure import ExposureCurve
from auto_insurance.risk.features import FEATURES_VERSION
from auto_insurance.risk.training import artefact as artefacts
from auto_insurance.risk.training import benchmark, metrics, portfolio
from auto_insurance.risk.training.about import with_metrics
from auto_insurance.risk.training.artefact import Artefact
from auto_insurance.risk.training.benchmark import Bench, Plan
from auto_insurance.risk.training.boosting import BoostSettings
from auto_insurance.risk.training.credibility import half_credibility_miles
from auto_insurance.risk.training.evaluate import Told
from auto_insurance.risk.training.portfolio import Portfolio
from auto_insurance.risk.training.spec import shipped_spec
from auto_insurance.risk.training.table import Notes, TableData, encode, table_of
from auto_insurance.risk.training.tables import MonotoneProof, TableModel, prove_monotone

DRIVING = Plan(
    grouped_folds=5,
    random_used=0,
    bags=2,
    final_bags=4,
    rounds=600,
    bootstrap=100,
    free_grid=(),
    pairs_grid=(BoostSettings(learning_rate=0.05, num_leaves=8, min_data_in_leaf=1000, feature_fraction=0.5),),
    pair_shares=(0.5,),
    features_version=FEATURES_VERSION,
)
"""Work for a driving model. Free boosting does not compete: contributions have to be exact and quick."""
TEST_SEED_SHIFT = 1_000_003
"""The portfolio that a model is tested on has the recipe's seed plus this: other drivers, the same world."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """How much of a known truth a model found, on driver-years that it was not fitted on."""

    gini: float
    oracle_gini: float
    """Of the true frequency itself; both against the true expected claims."""
    slope: float
    balance: float

    @property
    def share(self) -> float:
        """The model's Gini over the oracle's."""
        return self.gini / self.oracle_gini

    def row(self) -> dict[str, float]:
        """Return it for a report."""
        return {
            "gini": self.gini,
            "oracle_gini": self.oracle_gini,
            "share_of_oracle": self.share,
            "calibration_slope": self.slope,
            "balance": self.balance,
        }


def reference_data(made: Portfolio) -> TableData:
    """Return a portfolio as training data."""
    source = f"{made.recipe.version} (simulated from documented assumptions)"
    return table_of(made.frame, shipped_spec("driving"), source)


def reference_portfolio(curve: ExposureCurve, rows: int | None = None, *, test: bool = False) -> Portfolio:
    """Return the reference portfolio, or the one to test on, of so many driver-years."""
    recipe = portfolio.read_recipe()
    seed = recipe.seed + (TEST_SEED_SHIFT if test else 0)
    return portfolio.make(recipe, curve.exponent, curve.reference_miles, rows=rows or recipe.driver_years, seed=seed)


def train(data: TableData, plan: Plan, told: Told) -> tuple[Bench, str]:
    """Fit the candidates and return them with the name of the champion.

    Raises ``InvalidArtefact`` if no candidate is monotone as its specification promises.
    """
    bench = benchmark.run(data, plan, told)
    figures = bench.figures["by contract"]
    sound = [name for name, one in bench.models.items() if is_sound(one)]
    if not sound:
        raise InvalidArtefact("No candidate is a model of tables that keeps every promised direction.")
    return bench, min(sound, key=lambda name: figures[name]["deviance_x100"])


def proofs(artefact: Artefact) -> list[MonotoneProof]:
    """Return the proof of every promised direction of a model of tables."""
    model = artefact.model
    if not isinstance(model, TableModel):
        return []
    promised = [(place, column.monotone) for place, column in enumerate(model.columns) if column.monotone]
    return [prove_monotone(model, place, direction) for place, direction in promised]


def is_sound(artefact: Artefact) -> bool:
    """Return whether it is a model of tables, without a curve, that keeps every promised direction."""
    plain = isinstance(artefact.model, TableModel) and not artefact.curve.raw
    return plain and all(proof.holds for proof in proofs(artefact))


def recovery(artefact: Artefact, truth: Portfolio) -> Recovery:
    """Compare a model with the true frequency of driver-years that it was not fitted on."""
    exposure = truth.frame[artefact.about.exposure].to_numpy().astype(np.float64)
    expected = truth.true_frequency * exposure
    frequency = artefact.frequency(encode(truth.frame, artefact.columns, Notes()))
    return Recovery(
        metrics.gini(expected, frequency, exposure),
        metrics.gini(expected, truth.true_frequency, exposure),
        metrics.calibration_slope(expected, frequency * exposure),
        metrics.balance(expected, frequency * exposure),
    )


def write(
    bench: Bench, champion: str, folder: Path, found: Recovery | None, frame: pl.DataFrame | None = None
) -> dict[str, Any]:
    """Write the champion to ``folder/model``; return its name, checksum and figures. Raises ``OSError``.

    With the driver-periods that it was fitted on it carries their credibility.
    """
    chosen = bench.models[champion]
    half = None if frame is None else half_credibility_miles(chosen, frame)
    chosen = replace(chosen, about=msgspec.structs.replace(chosen.about, half_credibility_miles=half))
    if found is not None:
        measured = {f"recovery_{name}": value for name, value in found.row().items()}
        about = chosen.about
        chosen = replace(chosen, about=with_metrics(about, {**about.metrics, **measured}))
    checksum = artefacts.save(folder / "model", chosen)
    return {
        "champion": champion,
        "sha256": checksum,
        "recovery": found.row() if found is not None else None,
        "half_credibility_miles": half,
    }
