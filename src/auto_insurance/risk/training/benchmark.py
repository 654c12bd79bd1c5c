"""The proof on a data set of real claims: tune, cross-validate, fit, and write the models with a report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from auto_insurance.kernel import clock
from auto_insurance.risk.training import artefact as artefacts
from auto_insurance.risk.training import tuning
from auto_insurance.risk.training.about import About
from auto_insurance.risk.training.arrays import Floats, Rows
from auto_insurance.risk.training.artefact import Artefact
from auto_insurance.risk.training.boosting import BoostSettings, Trainer
from auto_insurance.risk.training.calibrate import Curve, fit_curve
from auto_insurance.risk.training.candidates import Boosted, Candidate, Explainable, Glm, Intercept, Model
from auto_insurance.risk.training.evaluate import OutOfFold, Told, cross_validate, figures
from auto_insurance.risk.training.folds import grouped_folds, random_folds, time_folds
from auto_insurance.risk.training.table import TableData

CURVE_WORTH = 0.01
"""Deviance x 100 that an isotonic curve must save out of fold before a booster gets one."""
REFERENCE_STEPS = 100
TIME_CUTS = (0.6, 0.8)
"""Shares of the rows before each cut of the split by time: what follows a cut is predicted from what came before."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much work to put in."""

    seed: int = 1
    threads: int = 2
    grouped_folds: int = 5
    random_folds: int = 10
    random_used: int = 2
    """Folds of the row-wise split that are run: each a tenth of the rows, as in the published split."""
    bags: int = 2
    """Boosters averaged within the cross-validation."""
    final_bags: int = 3
    """Boosters averaged in the models that are written."""
    rounds: int = 1500
    bootstrap: int = 100
    sample: float = 1.0
    """Share of the contracts that are used."""
    free_grid: tuple[BoostSettings, ...] = tuning.FREE_GRID
    """Settings of free boosting to choose from; empty: it does not compete."""
    pairs_grid: tuple[BoostSettings, ...] = tuning.PAIRS_GRID
    pair_shares: tuple[float, ...] = tuning.PAIR_SHARES
    simulated: bool = False
    """The claims are."""
    features_version: str = ""
    """Of ``risk.features``, if the data's features are those."""
    quick: bool = False


QUICK = Plan(
    free_grid=tuning.FREE_GRID[:1],
    pairs_grid=tuning.PAIRS_GRID[:1],
    pair_shares=tuning.PAIR_SHARES[:1],
    grouped_folds=3,
    random_folds=5,
    random_used=1,
    bags=1,
    final_bags=1,
    rounds=250,
    bootstrap=20,
    sample=0.2,
    quick=True,
)


@dataclass(slots=True)
class Bench:
    """What a run came to."""

    plan: Plan
    data: TableData
    tried: list[tuning.Tried]
    candidates: list[Candidate]
    grouped: OutOfFold
    figures: dict[str, dict[str, dict[str, Any]]]
    """By grouping, by candidate."""
    models: dict[str, Artefact] = field(default_factory=dict)
    """By candidate: what is written."""
    best: str = ""


def run(data: TableData, plan: Plan, told: Told) -> Bench:
    """Tune, cross-validate and fit. Deterministic by ``plan.seed`` and the data."""
    if plan.sample < 1.0:
        kept = np.random.default_rng(plan.seed).random(int(data.groups.max()) + 1) < plan.sample
        data = data.take(kept[data.groups])
    told("laying out the data", 0.0)
    trainer = Trainer(data, threads=plan.threads)
    told("laying out the data", 1.0)
    folds = grouped_folds(data.groups, plan.grouped_folds, plan.seed)
    tuner = tuning.Tuner(trainer, folds != 0, folds == 0, plan.rounds, plan.seed, told)
    candidates = _candidates(data, plan, tuner)
    grouped = cross_validate(trainer, candidates, folds, grouping="by contract", seed=plan.seed, told=told)
    runs = [grouped, *_other_splits(trainer, candidates, plan, told)]
    measured = {found.grouping: _measured(data, found, candidates, plan, told) for found in runs}
    bench = Bench(plan, data, tuner.tried, candidates, grouped, measured)
    bench.best = min(measured["by contract"], key=lambda name: measured["by contract"][name]["deviance_x100"])
    _fit_final(bench, trainer, told)
    return bench


def _other_splits(trainer: Trainer, candidates: Sequence[Candidate], plan: Plan, told: Told) -> Iterator[OutOfFold]:
    """Yield the split by row, as published comparisons have it, and the one by time where periods are known."""
    data = trainer.data
    if plan.random_used:
        rows = random_folds(len(data), plan.random_folds, plan.seed)
        used = range(plan.random_used)
        yield cross_validate(trainer, candidates, rows, grouping="by row", seed=plan.seed, use=used, told=told)
    if data.period_end is not None:
        days = np.sort(data.period_end)
        cuts = np.unique(days[[int(share * len(days)) for share in TIME_CUTS]])
        folds = time_folds(data.period_end, cuts)
        used = range(1, int(folds.max()) + 1)
        yield cross_validate(
            trainer, candidates, folds, grouping="by time", seed=plan.seed, use=used, forward=True, told=told
        )


def _measured(
    data: TableData, found: OutOfFold, candidates: Sequence[Candidate], plan: Plan, told: Told
) -> dict[str, dict[str, Any]]:
    measured: dict[str, dict[str, Any]] = {}
    for number, candidate in enumerate(candidates):
        told(f"measuring: {found.grouping}", number / len(candidates))
        measured[candidate.name] = figures(data, found, candidate.name, seed=plan.seed, rounds=plan.bootstrap)
    told(f"measuring: {found.grouping}", 1.0)
    return measured


def _candidates(data: TableData, plan: Plan, tuner: tuning.Tuner) -> list[Candidate]:
    found: list[Candidate] = [Intercept()]
    if data.spec.glm:
        found.append(Glm(data.spec.glm))
    if plan.free_grid:
        found.append(Boosted(tuner.free(plan.free_grid), plan.rounds, plan.bags))
    paired, pairs = tuner.explainable(plan.pairs_grid, plan.pair_shares)
    found.append(Explainable(paired, plan.rounds, plan.bags, pairs))
    return found


def _fit_final(bench: Bench, trainer: Trainer, told: Told) -> None:
    everything = np.ones(len(bench.data), dtype=bool)
    for candidate in bench.candidates:
        if candidate.name == "intercept":
            continue
        what = f"fitting on all rows: {candidate.name}"
        told(what, 0.0)
        final = _with_bags(candidate, bench.plan.final_bags)
        model = final.fit(trainer, everything, bench.plan.seed, lambda done, what=what: told(what, done))  # type: ignore[misc]
        told(what, 1.0)
        bench.models[candidate.name] = _artefact(bench, final, model, everything)


def _with_bags(candidate: Candidate, bags: int) -> Candidate:
    if isinstance(candidate, Boosted):
        return Boosted(candidate.boost, candidate.rounds, bags)
    if isinstance(candidate, Explainable):
        return Explainable(candidate.boost, candidate.rounds, bags, candidate.pairs)
    return candidate


def _artefact(bench: Bench, candidate: Candidate, model: Model, rows: Rows) -> Artefact:
    data, name = bench.data, candidate.name
    measured = bench.figures["by contract"][name]
    curve = Curve()
    if name == "boosted" and measured["isotonic_gain_x100"] >= CURVE_WORTH:
        curve = fit_curve(data.claims, bench.grouped.expected[name], data.exposure)
    frequency = np.exp(curve.apply(model.log_frequency(data.codes[rows])))
    kept = ("deviance_x100", "gini", "balance", "calibration_slope", "isotonic_gain_x100")
    about = About(
        name=f"{data.spec.name}-{name}",
        kind=model.kind,
        data=data.spec.name,
        data_fingerprint=data.fingerprint,
        rows=len(data),
        simulated=bench.plan.simulated,
        trained_on=f"{data.source}: {data.spec.about}",
        trained_at=clock.now().isoformat(),
        seed=bench.plan.seed,
        exposure=data.spec.exposure,
        exposure_unit=data.spec.exposure_unit,
        max_exposure=data.spec.max_exposure,
        claims=data.spec.claims,
        max_claims=data.spec.max_claims,
        settings=candidate.settings(),
        metrics={f"cv_{key}": value for key in kept if (value := measured[key]) is not None},
        features_version=bench.plan.features_version,
        reference=tuple(quantiles(frequency, data.exposure)),
        portfolio_frequency=float(np.average(frequency, weights=data.exposure[rows])),
    )
    return Artefact(about, model, curve)


def quantiles(frequency: Floats, exposure: Floats, steps: int = REFERENCE_STEPS) -> list[float]:
    """Return the frequency at equally spaced shares of the exposure, from the lowest to the highest.

    Tables give many the same frequency; equal neighbours are set apart by a billionth, so that the scale rises.
    """
    order = np.argsort(frequency, kind="stable")
    share = np.cumsum(exposure[order]) / exposure.sum()
    places = np.searchsorted(share, np.arange(steps + 1) / steps)
    found: list[float] = []
    for value in frequency[order][np.minimum(places, len(order) - 1)].tolist():
        found.append(max(value, found[-1] * (1.0 + 1e-9)) if found else value)
    return found


def write_models(bench: Bench, folder: Path) -> dict[str, str]:
    """Write ``best``, ``explainable`` and ``glm`` below the folder; return their checksums by name."""
    named = {"best": bench.best, "explainable": "explainable", "glm": "glm"}
    return {
        name: artefacts.save(folder / name, bench.models[candidate])
        for name, candidate in named.items()
        if candidate in bench.models
    }


def report_data(bench: Bench) -> dict[str, Any]:
    """Return what ``report.json`` holds."""
    data = bench.data
    return {
        "data": {
            "name": data.spec.name,
            "source": data.source,
            "about": data.spec.about,
            "rows": len(data),
            "contracts": int(data.groups.max()) + 1,
            "claims": float(data.claims.sum()),
            "exposure": float(data.exposure.sum()),
            "fingerprint": data.fingerprint,
        },
        "definition": (
            "Deviance: mean over rows of the Poisson deviance, x 100; claims and exposure capped as the data's "
            "specification says. Gini: of the ordered Lorenz curve by exposure. Balance: expected over observed."
        ),
        "seed": bench.plan.seed,
        "quick": bench.plan.quick,
        "best": bench.best,
        "cross_validation": bench.figures,
        "tuning": [tried.row() for tried in bench.tried],
        "settings": {candidate.name: candidate.settings() for candidate in bench.candidates},
    }


def to_json(report: dict[str, Any]) -> str:
    """Return a report as text, numbers with nine digits."""
    return json.dumps(json.loads(json.dumps(report), parse_float=lambda text: float(f"{float(text):.9g}")), indent=1)
