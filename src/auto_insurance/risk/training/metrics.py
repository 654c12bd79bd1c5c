"""How good a claim frequency is: deviance, order, balance. Pure functions of numpy arrays.

``claims`` are counts, ``expected`` their expectation (frequency times exposure), ``exposure`` years or miles; all of
one length. Shapes are (n,) throughout.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from auto_insurance.risk.training.arrays import Floats, sum_by


def unit_deviance(claims: Floats, expected: Floats) -> Floats:
    """Return each row's Poisson deviance ``2 (y log(y / mu) - (y - mu))``, with ``0 log 0 = 0``.

    McCullagh and Nelder, Generalized Linear Models, 1989, section 2.3.
    """
    positive = claims > 0
    ratio = np.where(positive, claims, 1.0) / np.where(positive, expected, 1.0)
    deviance: Floats = 2.0 * (claims * np.log(ratio) - (claims - expected))
    return deviance


def poisson_deviance(claims: Floats, expected: Floats) -> float:
    """Return the mean Poisson deviance over the rows, as in Noll, Salzmann and Wuethrich (SSRN 3164764)."""
    return float(unit_deviance(claims, expected).mean())


def balance(claims: Floats, expected: Floats) -> float:
    """Return expected over observed claims: 1 is balanced."""
    return float(expected.sum() / claims.sum())


class Lorenz(NamedTuple):
    """The ordered Lorenz curve: cumulative shares from the lowest predicted frequency to the highest, from (0, 0)."""

    exposure: Floats
    claims: Floats


def lorenz(claims: Floats, frequency: Floats, exposure: Floats) -> Lorenz:
    """Return the share of claims of the lowest-predicted share of exposure. Equal predictions are one step.

    Frees, Meyers and Cummings, Journal of the American Statistical Association 106 (2011), 1085-1098.
    """
    order = np.argsort(frequency, kind="stable")
    ranked = frequency[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    return Lorenz(_shares(exposure[order], last), _shares(claims[order], last))


def gini(claims: Floats, frequency: Floats, exposure: Floats) -> float:
    """Return the Gini index of the ordered Lorenz curve: 1 minus twice its area; 0 tells nothing apart."""
    curve = lorenz(claims, frequency, exposure)
    return float(1.0 - 2.0 * np.trapezoid(curve.claims, curve.exposure))


def _shares(values: Floats, last: NDArray[np.intp]) -> Floats:
    sums = np.cumsum(values)
    return np.concatenate(([0.0], sums[last] / sums[-1]))


class Bands(NamedTuple):
    """Rows put together: exposure, observed and expected claims of each band; A/E is their ratio."""

    exposure: Floats
    claims: Floats
    expected: Floats

    @property
    def ratio(self) -> Floats:
        """Actual over expected; NaN where nothing is expected."""
        return np.divide(self.claims, self.expected, out=np.full_like(self.claims, np.nan), where=self.expected > 0)

    @property
    def error(self) -> Floats:
        """Standard error of the ratio if claims are Poisson with the expected mean; NaN where nothing is expected."""
        out = np.full_like(self.claims, np.nan)
        return np.divide(1.0, np.sqrt(self.expected), out=out, where=self.expected > 0)


def bands(band: NDArray[np.integer], claims: Floats, expected: Floats, exposure: Floats, count: int) -> Bands:
    """Return the sums by band; ``band`` holds numbers of 0 to ``count`` - 1, and negative for rows left out."""
    kept = band >= 0
    index = band[kept]
    return Bands(
        sum_by(index, exposure[kept], count),
        sum_by(index, claims[kept], count),
        sum_by(index, expected[kept], count),
    )


def equal_exposure_bands(order_by: Floats, exposure: Floats, count: int) -> NDArray[np.int64]:
    """Return each row's band, so that bands rise in ``order_by`` and hold about the same exposure."""
    order = np.argsort(order_by, kind="stable")
    middle = np.cumsum(exposure[order]) - exposure[order] / 2.0
    ranks = np.minimum((count * middle / exposure.sum()).astype(np.int64), count - 1)
    found = np.empty(len(order), dtype=np.int64)
    found[order] = ranks
    return found


def calibration(claims: Floats, expected: Floats, exposure: Floats, count: int = 10) -> Bands:
    """Return actual against expected by tenths of the exposure, from the lowest predicted frequency."""
    return bands(equal_exposure_bands(expected / exposure, exposure, count), claims, expected, exposure, count)


def calibration_slope(claims: Floats, expected: Floats, steps: int = 25) -> float:
    """Return the slope b of ``log E[claims] = a + b log(expected)``, a Poisson regression: 1 is calibrated.

    Cox, Biometrika 45 (1958), 562-565. Below 1 the predictions are too far apart, above 1 too close together.
    """
    x = np.log(expected)
    centre = np.average(x, weights=expected)
    a, b = np.log(claims.sum() / expected.sum()), 1.0
    for _ in range(steps):
        mean = np.exp(a + centre + b * (x - centre))
        residual = claims - mean
        z = x - centre
        information = np.array([[mean.sum(), (mean * z).sum()], [(mean * z).sum(), (mean * z * z).sum()]])
        step = np.linalg.solve(information, np.array([residual.sum(), (residual * z).sum()]))
        a, b = a + step[0], b + step[1]
        if np.abs(step).max() < 1e-10:
            break
    return float(b)


class DoubleLift(NamedTuple):
    """Two models against what happened, where they disagree: bands from "B above A" to "A above B"."""

    exposure: Floats
    actual: Floats
    first: Floats
    second: Floats
    """Frequencies of each band: observed, of the first model, of the second."""


def double_lift(claims: Floats, first: Floats, second: Floats, exposure: Floats, count: int = 10) -> DoubleLift:
    """Return the double lift chart of two expectations: bands of equal exposure by their ratio ``first / second``."""
    band = equal_exposure_bands(first / second, exposure, count)
    one = bands(band, claims, first, exposure, count)
    two = bands(band, claims, second, exposure, count)
    return DoubleLift(one.exposure, one.claims / one.exposure, one.expected / one.exposure, two.expected / one.exposure)
