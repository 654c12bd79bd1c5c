"""Has the portfolio moved away from what the model was trained on?"""

from __future__ import annotations

import numpy as np

from auto_insurance.risk.training.arrays import Codes, Floats, Groups, sum_by
from auto_insurance.risk.training.columns import Column, neighbours

STABLE = 0.10
MOVED = 0.25
"""Usual reading of the index: below the first stable, above the second moved; a convention of credit scoring."""
_FLOOR = 1e-4


def psi(reference: Floats, current: Floats) -> float:
    """Return the population stability index of two distributions over the same bins: ``sum (q - p) log(q / p)``.

    Shares below 0.01 % count as that, so that an empty bin does not make it infinite. Symmetric, 0 for equal shares.
    Siddiqi, Credit Risk Scorecards, 2006, chapter 11.
    """
    p = np.maximum(reference / reference.sum(), _FLOOR)
    q = np.maximum(current / current.sum(), _FLOOR)
    return float(((q - p) * np.log(q / p)).sum())


def coarse(column: Column, count: int = 10) -> Groups:
    """Return for each bin of a column its group: the levels themselves, or about ``count`` of equal exposure."""
    return np.arange(column.bins, dtype=np.int64) if column.levels else neighbours(np.asarray(column.exposure), count)


def feature_drift(column: Column, codes: Codes, exposure: Floats) -> float:
    """Return the index of a feature now against its training exposure; unknown values are left out."""
    group = coarse(column)
    count = int(group.max()) + 1
    known = codes >= 0
    now = sum_by(group[codes[known]], exposure[known], count)
    return psi(sum_by(group, np.asarray(column.exposure), count), now) if now.sum() > 0 else 0.0


def score_drift(quantiles: Floats, frequency: Floats, exposure: Floats, count: int = 10) -> float:
    """Return the index of predicted frequencies now against the training portfolio's equally spaced ``quantiles``."""
    cuts = np.quantile(quantiles, np.arange(1, count) / count)
    band = np.searchsorted(cuts, frequency, side="right")
    return psi(np.full(count, 1.0 / count), sum_by(band, exposure, count))
