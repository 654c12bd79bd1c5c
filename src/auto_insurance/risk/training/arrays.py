"""Array types and the one sum that everything here is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Rows = NDArray[np.bool_]
Groups = NDArray[np.int64]


def sum_by(index: NDArray[np.integer], values: Floats, count: int) -> Floats:
    """Return the sums of ``values`` by ``index``, which holds numbers of 0 to ``count`` - 1; shape (count,)."""
    return np.bincount(index, values, count).astype(np.float64)
