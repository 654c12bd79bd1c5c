"""The first model: a Poisson scorecard, log-linear relativities on a base claim frequency per million miles.

``frequency = base * exp(sum_j slope_j * (min(x_j, cap_j) - reference_j))`` with ``slope_j >= 0``: the linear
predictor of a Poisson regression with a log link and distance as exposure (McCullagh and Nelder, Generalized Linear
Models, 1989, chapter 6), its coefficients set by judgement from the literature that the data file names. Capping keeps
one extraordinary number from deciding a score.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, isfinite

import numpy as np

from auto_insurance.kernel.errors import FieldError
from auto_insurance.risk.errors import InvalidFeatures
from auto_insurance.risk.features import FEATURES, Doubles, FeatureValues
from auto_insurance.risk.model import Contribution, ModelInfo, Prediction, Predictions

_LARGEST = sys.float_info.max
_UPPER = {name: feature.upper for name, feature in FEATURES.items() if feature.upper is not None}


@dataclass(frozen=True, slots=True)
class Factor:
    """One row of the card. ``slope`` is the change of the log frequency per unit of the feature."""

    feature: str
    slope: float
    reference: float
    cap: float
    evidence: str
    assumption: str

    def log_effect(self, value: float) -> float:
        """Return the log relativity of ``value`` against the reference mean."""
        return self.slope * (min(value, self.cap) - self.reference)


class PoissonScorecard:
    """Predicts from a card. Implements :class:`auto_insurance.risk.model.RiskModel`."""

    def __init__(self, info: ModelInfo, portfolio_frequency: float, balance: float, factors: Sequence[Factor]) -> None:
        """``balance`` is the reference population's mean of ``exp(sum of effects)``, so that its mean prediction is
        ``portfolio_frequency`` although the exponential of a mean is not the mean of an exponential."""
        self._info = info
        self._portfolio = portfolio_frequency
        self._base = portfolio_frequency / balance
        self._factors: Mapping[str, Factor] = {factor.feature: factor for factor in factors}
        self._lines = [(f.feature, f.slope, f.reference, f.cap) for f in factors]

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def portfolio_frequency(self) -> float:
        return self._portfolio

    @property
    def base_frequency(self) -> float:
        """Frequency of the driver whose every feature is typical, claims per million miles."""
        return self._base

    @property
    def scored(self) -> tuple[str, ...]:
        return tuple(self._factors)

    @property
    def factors(self) -> tuple[Factor, ...]:
        """Rows of the card in their order."""
        return tuple(self._factors.values())

    def predict(self, rows: Sequence[FeatureValues]) -> list[Prediction]:
        return [self._one(row) for row in rows]

    def predict_all(self, features: Mapping[str, Doubles]) -> Predictions:
        check_columns(features)
        effects: dict[str, Doubles] = {}
        for name, factor in self._factors.items():
            values = features[name]
            effect = factor.slope * (np.minimum(values, factor.cap) - factor.reference)
            effects[name] = np.where(np.isnan(values), 0.0, effect)
        frequency = self._base * np.exp(np.sum(list(effects.values()), axis=0))
        return Predictions(frequency, frequency / self._portfolio, effects)

    def average(self) -> Prediction:
        unknown = tuple(Contribution(f.feature, None, f.reference, 0.0) for f in self._factors.values())
        return Prediction(self._portfolio, 1.0, unknown)

    def typical(self, feature: str) -> float | None:
        factor = self._factors.get(feature)
        return factor.reference if factor is not None else None

    def _one(self, row: FeatureValues) -> Prediction:
        check_features(row)
        parts = []
        total = 0.0
        for name, slope, reference, cap in self._lines:
            value = row.get(name)
            effect = 0.0 if value is None else slope * (min(cap, value) - reference)
            total += effect
            parts.append(Contribution(name, value, reference, effect))
        frequency = self._base * exp(total)
        return Prediction(frequency, frequency / self._portfolio, tuple(parts))


def check_features(row: FeatureValues) -> None:
    """Raise ``InvalidFeatures`` naming every value that is not finite, negative or above what is possible."""
    # One look at each: NaN and infinities fail the comparison too.
    if all(value is None or 0.0 <= value <= _UPPER.get(name, _LARGEST) for name, value in row.items()):
        return
    wrong = [error for name, value in row.items() if value is not None and (error := _wrong(name, value)) is not None]
    if wrong:
        names = ", ".join(error.field for error in wrong)
        raise InvalidFeatures(f"Values that cannot be: {names}.", errors=wrong)


def check_columns(features: Mapping[str, Doubles]) -> None:
    """Raise ``InvalidFeatures`` naming every feature with a value that cannot be; NaN is unknown."""
    wrong = []
    for name, values in features.items():
        seen = values[~np.isnan(values)]
        worst = [float(value) for value in (seen.min(), seen.max())] if len(seen) else []
        wrong += [error for value in worst if (error := _wrong(name, value)) is not None][:1]
    if wrong:
        names = ", ".join(error.field for error in wrong)
        raise InvalidFeatures(f"Values that cannot be: {names}.", errors=wrong)


def _wrong(name: str, value: float) -> FieldError | None:
    if not isfinite(value):
        return FieldError(name, "not_finite", "must be a finite number")
    feature = FEATURES.get(name)
    upper = feature.upper if feature is not None else None
    if value < 0 or (upper is not None and value > upper):
        return FieldError(name, "out_of_range", "must not be negative" if value < 0 else f"must be at most {upper}")
    return None
