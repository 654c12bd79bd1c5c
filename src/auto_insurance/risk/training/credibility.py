"""How many miles tell who somebody is: Buehlmann-Straub on what a model says of drivers seen more than once.

A driver's observed relativity differs from year to year by chance, the less the more miles stand behind it, and from
driver to driver for good. The ratio of the two is the distance at which own driving and the portfolio count alike.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from auto_insurance.risk.training.arrays import Floats, Groups, sum_by
from auto_insurance.risk.training.artefact import Artefact
from auto_insurance.risk.training.table import Notes, encode

DRIVER = "driver_number"
START = "period_start"
MILES = ("exposure_miles", "miles")
"""Columns with the miles behind the features: of the window in our own data, of the year in the portfolio."""
WINDOW = timedelta(days=365)
LEAST_DRIVERS = 50
"""Fewer drivers who were seen more than once say nothing."""


def half_credibility(values: Floats, weights: Floats, groups: Groups) -> float | None:
    """Return K, the weight at which ``Z = w / (w + K)`` is a half; None where groups do not differ beyond chance.

    ``values`` of shape (n,) are a group's observations, ``weights`` their volumes. K is the expected variance within
    groups at weight 1 over the variance between them, by the unbiased estimators of Buehlmann and Straub, Mitteilungen
    der Vereinigung schweizerischer Versicherungsmathematiker 70 (1970), 111-133.
    """
    _, index = np.unique(groups, return_inverse=True)
    count = int(index.max()) + 1 if len(index) else 0
    times, volume = np.bincount(index, minlength=count), sum_by(index, weights, count)
    if int((times > 1).sum()) < LEAST_DRIVERS:
        return None
    own = sum_by(index, weights * values, count) / volume
    within = float((weights * (values - own[index]) ** 2).sum() / (times - 1).sum())
    total = float(volume.sum())
    mean = float((volume * own).sum() / total)
    spread = float((volume * (own - mean) ** 2).sum())
    between = (spread - (count - 1) * within) / (total - float((volume**2).sum()) / total)
    return within / between if between > 0 and within > 0 else None


def half_credibility_miles(artefact: Artefact, frame: pl.DataFrame) -> float | None:
    """Return K in miles for a model's relativity, of driver-periods; None where they do not tell."""
    miles = next((name for name in MILES if name in frame.columns), None)
    if miles is None or DRIVER not in frame.columns:
        return None
    seen = frame.filter(pl.col(miles).is_not_null() & (pl.col(miles) > 0))
    if START in seen.columns:
        seen = seen.filter(pl.Series(_apart(seen)))
    if seen.is_empty():
        return None
    frequency = artefact.frequency(encode(seen, artefact.columns, Notes()))
    portfolio = artefact.about.portfolio_frequency or float(frequency.mean())
    weights = seen[miles].to_numpy().astype(np.float64)
    return half_credibility(frequency / portfolio, weights, seen[DRIVER].to_numpy().astype(np.int64))


def _apart(frame: pl.DataFrame) -> NDArray[np.bool_]:
    """Tell which rows to take so that no trip is in the windows of two rows of one driver."""
    kept = np.zeros(len(frame), dtype=bool)
    last: dict[int, datetime] = {}
    ranked = frame.select(DRIVER, START).with_row_index("row").sort(DRIVER, START)
    for row, driver, start in ranked.iter_rows():
        if driver not in last or start - last[driver] >= WINDOW:
            kept[row], last[driver] = True, start
    return kept
