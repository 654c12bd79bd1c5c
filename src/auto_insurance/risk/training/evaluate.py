"""Cross-validation of candidates, and everything that a report says about out-of-fold expectations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from auto_insurance.risk.training import metrics
from auto_insurance.risk.training.arrays import Floats, Rows
from auto_insurance.risk.training.boosting import Trainer
from auto_insurance.risk.training.calibrate import check_autocalibration
from auto_insurance.risk.training.candidates import Candidate
from auto_insurance.risk.training.columns import neighbours
from auto_insurance.risk.training.folds import Folds
from auto_insurance.risk.training.resample import bootstrap, weighted_gini, weighted_mean
from auto_insurance.risk.training.table import MOST_SEGMENTS, Segments, TableData

SAMPLE = 20_000
"""Rows on which the models of different folds are compared."""
Told = Callable[[str, float], None]
"""Hears what is being done and which share of it is done."""


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Expectations of rows by models that were not fitted on them; NaN for rows of folds that were left out."""

    grouping: str
    folds: Folds
    expected: Mapping[str, Floats]
    """By candidate."""
    refits: Mapping[str, Sequence[Floats]] = field(default_factory=dict)
    """By candidate: what the model of each fold says of one sample of rows, as log frequencies."""

    @property
    def rows(self) -> Rows:
        """The rows that were predicted."""
        return ~np.isnan(next(iter(self.expected.values())))


def cross_validate(
    trainer: Trainer,
    candidates: Sequence[Candidate],
    folds: Folds,
    *,
    grouping: str,
    seed: int,
    use: Sequence[int] | None = None,
    forward: bool = False,
    told: Told = lambda what, done: None,
) -> OutOfFold:
    """Return each candidate's out-of-fold expectations; with ``use``, of these folds alone.

    ``forward``: folds are in the order of time, and a model sees the smaller ones only.
    """
    data = trainer.data
    numbers = range(int(folds.max()) + 1) if use is None else use
    expected = {candidate.name: np.full(len(data), np.nan) for candidate in candidates}
    refits: dict[str, list[Floats]] = {candidate.name: [] for candidate in candidates}
    sample = np.random.default_rng(seed).choice(len(data), min(SAMPLE, len(data)), replace=False)
    for place, fold in enumerate(numbers):
        test = folds == fold
        train = folds < fold if forward else ~test
        for candidate in candidates:
            what = f"{grouping}: fold {place + 1} of {len(numbers)}, {candidate.name}"
            told(what, 0.0)
            model = candidate.fit(trainer, train, seed + 1000 * fold, lambda done, what=what: told(what, done))  # type: ignore[misc]
            expected[candidate.name][test] = data.exposure[test] * np.exp(model.log_frequency(data.codes[test]))
            refits[candidate.name].append(model.log_frequency(data.codes[sample]))
            told(what, 1.0)
    return OutOfFold(grouping, folds, expected, refits)


def figures(data: TableData, found: OutOfFold, name: str, *, seed: int, rounds: int) -> dict[str, Any]:
    """Return a candidate's out-of-fold figures; intervals are 95 % bootstrap over contracts (``rounds`` of them)."""
    rows = found.rows
    claims, expected, exposure = data.claims[rows], found.expected[name][rows], data.exposure[rows]
    _, groups = np.unique(data.groups[rows], return_inverse=True)
    frequency = expected / exposure
    deviance = bootstrap(
        weighted_mean(100.0 * metrics.unit_deviance(claims, expected)), groups, seed=seed, rounds=rounds
    )
    gini = bootstrap(weighted_gini(claims, frequency, exposure), groups, seed=seed, rounds=rounds)
    told_apart = float(np.ptp(frequency)) > 1e-12 and name != "intercept"
    auto = check_autocalibration(claims, expected, exposure, found.folds[rows])
    return {
        "deviance_x100": deviance.value,
        "deviance_x100_interval": [deviance.low, deviance.high],
        "gini": gini.value,
        "gini_interval": [gini.low, gini.high],
        "balance": metrics.balance(claims, expected),
        "calibration_slope": metrics.calibration_slope(claims, expected) if told_apart else None,
        "isotonic_gain_x100": auto.gain,
        "rows": int(rows.sum()),
        "fold_deviance_x100": [
            100.0 * metrics.poisson_deviance(claims[part], expected[part])
            for fold in np.unique(found.folds[rows])
            if (part := found.folds[rows] == fold).any()
        ],
    }


def feature_segments(data: TableData, feature: int, at_most: int = MOST_SEGMENTS) -> Segments:
    """Return the groups of a feature's bins: its levels, or neighbouring bins of about equal exposure."""
    column = data.columns[feature]
    if column.levels:
        return Segments(column.name, column.levels, data.codes[:, feature].astype(np.int64))
    group = neighbours(np.asarray(column.exposure), at_most)
    codes = data.codes[:, feature]
    ends = [np.flatnonzero(group == number)[[0, -1]] for number in range(int(group.max()) + 1)]
    spans = [(column.centres[low], column.centres[high]) for low, high in ends]
    labels = tuple(f"{low:.4g} to {high:.4g}" if low < high else f"{low:.4g}" for low, high in spans)
    return Segments(column.name, labels, np.where(codes >= 0, group[codes], -1))


def segment_table(data: TableData, expected: Floats, segments: Segments, rows: Rows) -> list[dict[str, Any]]:
    """Return actual against expected by group; groups without exposure are left out."""
    count = len(segments.labels)
    sums = metrics.bands(segments.group[rows], data.claims[rows], expected[rows], data.exposure[rows], count)
    return [
        {
            "segment": label,
            "exposure": float(sums.exposure[number]),
            "claims": float(sums.claims[number]),
            "expected": float(sums.expected[number]),
            "actual_to_expected": float(sums.ratio[number]),
            "error": float(sums.error[number]),
        }
        for number, label in enumerate(segments.labels)
        if sums.exposure[number] > 0
    ]


def partial_dependence(
    log_frequency: Callable[[Any], Floats], codes: Any, exposure: Floats, feature: int, bins: Sequence[int]
) -> Floats:
    """Return the mean frequency over the rows with the feature set to each of the bins.

    Friedman, Annals of Statistics 29 (2001), 1189-1232.
    """
    changed = np.repeat(codes[None, :, :], len(bins), axis=0)
    changed[:, :, feature] = np.asarray(bins)[:, None]
    frequency = np.exp(log_frequency(changed.reshape(-1, codes.shape[1]))).reshape(len(bins), -1)
    return np.asarray(frequency @ exposure / exposure.sum(), dtype=np.float64)


def stability(refits: Sequence[Floats]) -> dict[str, float]:
    """Return how far fits of one procedure differ, on the average of all pairs of them.

    ``refits`` are the log frequencies of the same rows: by models that were fitted with other seeds, on other folds.
    """
    pairs = list(combinations(refits, 2))
    gaps = [np.abs(first - second) for first, second in pairs]
    return {
        "mean_abs_log_ratio": float(np.mean([gap.mean() for gap in gaps])),
        "p95_abs_log_ratio": float(np.mean([np.quantile(gap, 0.95) for gap in gaps])),
        "correlation_of_logs": float(np.mean([np.corrcoef(first, second)[0, 1] for first, second in pairs])),
    }
