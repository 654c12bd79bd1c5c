"""From a claim frequency to a score of 0-100 and a category: the place in the model's reference population."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

CATEGORIES: Sequence[tuple[float, str]] = (
    (20.0, "low"),
    (40.0, "moderate"),
    (60.0, "elevated"),
    (80.0, "high"),
    (100.0, "very_high"),
)
"""A category reaches up to, and not including, its bound; the last includes 100."""


class ReferenceScale:
    """Equally spaced quantiles of the predicted frequency, from the smallest to the largest of the population."""

    def __init__(self, quantiles: Sequence[float]) -> None:
        """``quantiles`` in claims per million miles, strictly rising, at least two. Raises ``ValueError``."""
        if len(quantiles) < 2 or any(b <= a for a, b in pairwise(quantiles)):
            raise ValueError("quantiles must be at least two and strictly rising")
        self._quantiles = tuple(quantiles)

    @property
    def quantiles(self) -> NDArray[np.float64]:
        """The quantiles, claims per million miles."""
        return np.asarray(self._quantiles)

    def score(self, frequency: float) -> float:
        """Return the percentile, 0-100 with two decimals, 100 the riskiest; linear between the quantiles."""
        points = self._quantiles
        if frequency <= points[0]:
            return 0.0
        if frequency >= points[-1]:
            return 100.0
        above = bisect_right(points, frequency)
        low, high = points[above - 1], points[above]
        return round(100.0 * (above - 1 + (frequency - low) / (high - low)) / (len(points) - 1), 2)

    def frequency(self, score: float) -> float:
        """Return the frequency at a percentile (0-100), in claims per million miles; linear between the quantiles."""
        place = min(max(score, 0.0), 100.0) / 100.0 * (len(self._quantiles) - 1)
        below = min(int(place), len(self._quantiles) - 2)
        low, high = self._quantiles[below], self._quantiles[below + 1]
        return low + (high - low) * (place - below)

    def scores(self, frequencies: NDArray[np.float64]) -> list[float]:
        """Return the percentiles of many frequencies, each as :meth:`score` gives it."""
        return [self.score(frequency) for frequency in frequencies.tolist()]


def category(score: float) -> str:
    """Return the category of a score: bands of 20."""
    return next((name for bound, name in CATEGORIES if score < bound), CATEGORIES[-1][1])
