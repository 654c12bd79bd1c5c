"""What a report says of drift: did the portfolio move while the data were gathered, and did the claims follow?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from auto_insurance.risk.training import metrics
from auto_insurance.risk.training.arrays import Floats, Groups, Rows, sum_by
from auto_insurance.risk.training.benchmark import TIME_CUTS, Bench, quantiles
from auto_insurance.risk.training.columns import Column
from auto_insurance.risk.training.drift import MOVED, STABLE, coarse, psi, score_drift
from auto_insurance.risk.training.evaluate import segment_table
from auto_insurance.risk.training.table import Segments, TableData

_TIME = "The last fifth of the periods against those before."
_CHANCE = (
    "The data know no periods: one fold of the contracts against the others. That is no drift, only what chance does; "
    "in operation each night's book is held against the training portfolio."
)
_TELLS = f"Population stability index: below {STABLE:.2f} stable, above {MOVED:.2f} moved."


def drift_table(bench: Bench) -> dict[str, Any]:
    """Return the index of each feature and of the best model's frequency, and actual to expected claims by part.

    Feature drift is a change of who is insured; concept drift one of the claims that follow, so that out-of-fold
    expectations no longer meet what is observed.
    """
    data, grouped = bench.data, bench.grouped
    expected = grouped.expected[bench.best]
    parts = _parts(bench)
    rows = grouped.rows & (parts.group >= 0)
    later, before = rows & (parts.group == len(parts.labels) - 1), rows & (parts.group < len(parts.labels) - 1)
    return {
        "compared": _TIME if data.period_end is not None else _CHANCE,
        "features": {
            column.name: _index(data, place, column, before, later) for place, column in enumerate(data.columns)
        },
        "frequency": _score(expected / data.exposure, data.exposure, before, later),
        "concept": [
            row | {"slope": _slope(data, expected, rows & (parts.group == parts.labels.index(row["segment"])))}
            for row in segment_table(data, expected, parts, rows)
        ],
    }


def drift_page(found: dict[str, Any], table: Callable[[Sequence[str], Sequence[Sequence[object]]], str]) -> str:
    """Return the section of the page."""
    indices = [(name, f"{value:.4f}") for name, value in found["features"].items()]
    indices.append(("predicted frequency", f"{found['frequency']:.4f}"))
    concept = [
        (
            row["segment"],
            f"{row['claims']:,.0f}",
            f"{row['expected']:,.1f}",
            f"{row['actual_to_expected']:.3f}",
            f"{2 * row['error']:.3f}",
            "" if row["slope"] is None else f"{row['slope']:.3f}",
        )
        for row in found["concept"]
    ]
    head = ("part", "claims", "expected", "actual / expected", "two standard errors", "slope")
    return (
        f"<h2>Drift</h2><p>{found['compared']} {_TELLS}</p>{table(('feature', 'index'), indices)}"
        "<h3>Concept drift</h3><p>Out-of-fold expectations of the best model against what was observed, part by part; "
        f"a ratio or slope that leaves 1 in later parts is a change of the claims.</p>{table(head, concept)}"
    )


def _parts(bench: Bench) -> Segments:
    """Return the periods between the cuts of the split by time, or one fold beside the others."""
    data = bench.data
    if data.period_end is None:
        held = (bench.grouped.folds == 0).astype(np.int64)
        return Segments("fold", ("other folds", "one fold"), held)
    days = np.sort(data.period_end)
    cuts = np.unique(days[[int(share * len(days)) for share in TIME_CUTS]])
    labels = (*(f"until {day}" for day in cuts), f"after {cuts[-1]}")
    return Segments("time", labels, np.searchsorted(cuts, data.period_end, side="left").astype(np.int64))


def _index(data: TableData, place: int, column: Column, before: Rows, later: Rows) -> float:
    group, codes = coarse(column), data.codes[:, place]
    first, second = (_sums(group, codes[rows], data.exposure[rows]) for rows in (before, later))
    return psi(first, second) if first.sum() > 0 and second.sum() > 0 else 0.0


def _sums(group: Groups, codes: Any, exposure: Floats) -> Floats:
    known = codes >= 0
    return sum_by(group[codes[known]], exposure[known], int(group.max()) + 1)


def _score(frequency: Floats, exposure: Floats, before: Rows, later: Rows) -> float:
    reference = np.asarray(quantiles(frequency[before], exposure[before]))
    return score_drift(reference, frequency[later], exposure[later]) if later.any() else 0.0


def _slope(data: TableData, expected: Floats, rows: Rows) -> float | None:
    claims, fitted = data.claims[rows], expected[rows]
    apart = len(fitted) > 1 and claims.sum() > 0 and float(np.ptp(fitted / data.exposure[rows])) > 1e-12
    return metrics.calibration_slope(claims, fitted) if apart else None
