"""Brings a frequency into balance, and checks whether its levels can be taken at face value (autocalibration)."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np

from auto_insurance.risk.errors import InvalidArtefact
from auto_insurance.risk.training.arrays import Floats, sum_by
from auto_insurance.risk.training.metrics import equal_exposure_bands, poisson_deviance


class Curve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From a model's log frequency to the calibrated one: straight between the points, parallel beyond them."""

    raw: tuple[float, ...] = ()
    calibrated: tuple[float, ...] = ()
    """Log frequencies, rising; both empty: the model is left as it is."""

    def apply(self, log_frequency: Floats) -> Floats:
        """Return the calibrated log frequency."""
        if not self.raw:
            return log_frequency
        inside = np.interp(log_frequency, self.raw, self.calibrated)
        below = np.minimum(0.0, log_frequency - self.raw[0])
        above = np.maximum(0.0, log_frequency - self.raw[-1])
        return inside + below + above


def check_curve(curve: Curve) -> None:
    """Raise ``InvalidArtefact`` for a curve that does not rise."""
    if len(curve.raw) != len(curve.calibrated) or len(curve.raw) == 1:
        raise InvalidArtefact("calibration: raw and calibrated must be as long, and none or at least two")
    if any(b <= a for a, b in pairwise(curve.raw)) or any(b < a for a, b in pairwise(curve.calibrated)):
        raise InvalidArtefact("calibration: raw must rise and calibrated not fall")


def isotonic(values: Floats, weights: Floats) -> Floats:
    """Return the rising sequence nearest to ``values`` in weighted squares: pool adjacent violators.

    Barlow, Bartholomew, Bremner and Brunk, Statistical Inference under Order Restrictions, 1972. For Poisson rates
    with exposure weights it is the maximum likelihood as well.
    """
    means: list[float] = []
    sums: list[float] = []
    counts: list[int] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        means.append(value)
        sums.append(weight)
        counts.append(1)
        while len(means) > 1 and means[-2] >= means[-1]:
            weight_sum = sums[-2] + sums[-1]
            mean = (means[-2] * sums[-2] + means[-1] * sums[-1]) / weight_sum if weight_sum > 0 else means[-2]
            means[-2:], sums[-2:], counts[-2:] = [mean], [weight_sum], [counts[-2] + counts[-1]]
    return np.repeat(means, counts)


def fit_curve(claims: Floats, expected: Floats, exposure: Floats, steps: int = 50) -> Curve:
    """Return the isotonic calibration of out-of-sample expectations, in steps of equal exposure."""
    band = equal_exposure_bands(expected / exposure, exposure, steps)
    weight = sum_by(band, exposure, steps)
    used = weight > 0
    raw = sum_by(band, expected, steps)[used] / weight[used]
    rates = isotonic(sum_by(band, claims, steps)[used] / weight[used], weight[used])
    kept = (rates > 0) & np.append(True, np.diff(raw) > 0)
    if kept.sum() < 2:
        return Curve()
    return Curve(tuple(np.log(raw[kept]).tolist()), tuple(np.log(rates[kept]).tolist()))


class Autocalibration(msgspec.Struct, frozen=True):
    """What an isotonic curve would gain on contracts that it was not fitted on, in deviance x 100.

    A model is autocalibrated when ``E[claims | prediction] = prediction`` (Denuit, Charpentier and Trufin, Insurance:
    Mathematics and Economics 101 (2021), 485-497): then no curve of the prediction gains anything.
    """

    before: float
    after: float

    @property
    def gain(self) -> float:
        """Deviance x 100 that the curve saves; not above 0: there is nothing to mend."""
        return self.before - self.after


def check_autocalibration(
    claims: Floats, expected: Floats, exposure: Floats, folds: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> Autocalibration:
    """Fit the curve on all folds but one and apply it to that one, for every fold."""
    after = np.empty_like(expected)
    for fold in np.unique(folds):
        test = folds == fold
        curve = fit_curve(claims[~test], expected[~test], exposure[~test])
        after[test] = exposure[test] * np.exp(curve.apply(np.log(expected[test] / exposure[test])))
    return Autocalibration(100.0 * poisson_deviance(claims, expected), 100.0 * poisson_deviance(claims, after))
