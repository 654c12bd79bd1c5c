"""How sure a figure is: bootstrap intervals over contracts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from auto_insurance.risk.training.arrays import Floats


class Interval(NamedTuple):
    """A figure with its percentile bootstrap interval."""

    value: float
    low: float
    high: float


def bootstrap(
    statistic: Callable[[Floats], float],
    groups: NDArray[np.int64],
    *,
    seed: int,
    rounds: int = 200,
    level: float = 0.95,
) -> Interval:
    """Return the statistic with an interval. ``statistic`` takes the weight of each row (how often it was drawn).

    Whole groups are drawn with Poisson(1) weights, the limit of drawing with replacement (Hanley and MacGibbon,
    Computer Methods and Programs in Biomedicine 84 (2006), 110-115): rows of one contract come or stay away together.
    """
    rng = np.random.default_rng(seed)
    count = int(groups.max()) + 1
    values = [statistic(rng.poisson(1.0, count).astype(np.float64)[groups]) for _ in range(rounds)]
    low, high = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(statistic(np.ones(len(groups))), float(low), float(high))


def weighted_mean(values: Floats) -> Callable[[Floats], float]:
    """Return the statistic "mean of the rows" for :func:`bootstrap`."""
    return lambda weights: float((weights * values).sum() / weights.sum())


def weighted_gini(claims: Floats, frequency: Floats, exposure: Floats) -> Callable[[Floats], float]:
    """Return the statistic "Gini index" for :func:`bootstrap`; rows are sorted once."""
    order = np.argsort(frequency, kind="stable")
    ranked = frequency[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)

    def statistic(weights: Floats) -> float:
        drawn = weights[order]
        x, y = np.cumsum(drawn * exposure[order]), np.cumsum(drawn * claims[order])
        x, y = x[last] / x[-1], y[last] / y[-1]
        return float(1.0 - 2.0 * (np.trapezoid(y, x) + x[0] * y[0] / 2.0))

    return statistic


def lorenz_band(
    claims: Floats,
    frequency: Floats,
    exposure: Floats,
    groups: NDArray[np.int64],
    *,
    seed: int,
    rounds: int = 100,
    points: int = 41,
    level: float = 0.95,
) -> tuple[Floats, Floats, Floats]:
    """Return shares of the exposure, and between which shares of the claims the ordered Lorenz curve lies there.

    Pointwise percentile intervals of the bootstrap of :func:`bootstrap`. Shapes are (points,).
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(frequency, kind="stable")
    count, grid = int(groups.max()) + 1, np.linspace(0.0, 1.0, points)
    drawn = np.empty((rounds, points))
    for number in range(rounds):
        weights = rng.poisson(1.0, count).astype(np.float64)[groups[order]]
        x, y = np.cumsum(weights * exposure[order]), np.cumsum(weights * claims[order])
        drawn[number] = np.interp(grid, np.append(0.0, x / x[-1]), np.append(0.0, y / y[-1]))
    low, high = np.quantile(drawn, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=0)
    return grid, low, high
