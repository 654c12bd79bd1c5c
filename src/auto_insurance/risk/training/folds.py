"""Splits of a data set: by contract, by row, by time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Folds = NDArray[np.int64]


def grouped_folds(groups: NDArray[np.int64], count: int, seed: int) -> Folds:
    """Return each row's fold, 0 to ``count`` - 1; rows of one group share it. Group numbers are 0 and up."""
    size = int(groups.max()) + 1
    return balanced(size, count, seed)[groups]


def random_folds(rows: int, count: int, seed: int) -> Folds:
    """Return each row's fold, whatever its contract."""
    return balanced(rows, count, seed)


def balanced(size: int, count: int, seed: int) -> Folds:
    """Return numbers 0 to ``count`` - 1 in random order, each as often as the others, give or take one."""
    # The count is part of the seed: folds and the tenth that stops a booster must not be cut along the same lines.
    return np.random.default_rng([seed, count]).permutation(size).astype(np.int64) % count


def time_folds(ends: NDArray[np.datetime64], cuts: NDArray[np.datetime64]) -> Folds:
    """Return the number of cuts at or before each period's end: train on smaller numbers, test on larger.

    ``cuts`` rise. A period that ends after a cut must not be trained on to predict what follows that cut.
    """
    return np.searchsorted(cuts, ends, side="right").astype(np.int64)
