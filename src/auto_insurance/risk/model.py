"""What every risk model looks like to the rest of the system, whether it was written down or trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from auto_insurance.risk.features import Doubles, FeatureValues


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Who a model is and what it rests on."""

    version: str
    kind: str
    """Form of the model, such as ``scorecard``; the label of its metrics."""
    features_version: str
    trained_on: str
    """A sentence for people: the data, or that there were none."""
    assumption_based: bool
    """True as long as no observed claims stand behind the relativities."""
    reference_population: str


class Contribution(msgspec.Struct, frozen=True, gc=False):
    """One feature's part of a prediction, relative to the typical value.

    ``log_effect`` is additive: the effects of all features and the logarithm of the typical driver's frequency add up
    to the logarithm of the prediction, exactly. An unknown feature has ``value`` None and the effect 0.
    """

    feature: str
    value: float | None
    typical: float
    log_effect: float


class Prediction(msgspec.Struct, frozen=True):
    """Expected claims per million miles, and why."""

    frequency: float
    relativity: float
    """``frequency`` over the mean of the reference portfolio, before credibility."""
    contributions: tuple[Contribution, ...]


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a model says of many drivers: an array entry per driver."""

    frequency: Doubles
    """Claims per million miles."""
    relativity: Doubles
    effects: Mapping[str, Doubles]
    """Log effect of each scored feature, in the model's order; 0 where it was not observed."""


class RiskModel(Protocol):
    """Expected claim frequency per million miles from driving behaviour; monotone in everything harmful."""

    @property
    def info(self) -> ModelInfo: ...

    @property
    def portfolio_frequency(self) -> float:
        """Mean of the reference portfolio in claims per million miles."""
        ...

    @property
    def scored(self) -> tuple[str, ...]:
        """The features that the model scores, in its order."""
        ...

    @property
    def base_frequency(self) -> float:
        """Claims per million miles to which contributions are relative."""
        ...

    def predict(self, rows: Sequence[FeatureValues]) -> list[Prediction]:
        """Return one prediction per row, in order. Raises ``InvalidFeatures`` for values that cannot be."""
        ...

    def predict_all(self, features: Mapping[str, Doubles]) -> Predictions:
        """Return the predictions for columns of features, NaN where unknown. Raises ``InvalidFeatures``."""
        ...

    def average(self) -> Prediction:
        """Return the prediction for somebody of whom nothing is known: the portfolio's mean."""
        ...

    def typical(self, feature: str) -> float | None:
        """Return the reference mean of a scored feature, None for one that the model does not score."""
        ...
