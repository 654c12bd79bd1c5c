"""The score of one trip, 0-100 with 100 best, from the same model that scores the driver.

``trip_score = 100 * frequency of a flawless trip of the same length / frequency of this trip``: 80 means that the
trip's behaviour costs a quarter more expected claims than none of it would. The rates of a short trip say little, so
they are drawn to the typical ones as if ``PRIOR_MILES`` of typical driving came along; the flawless trip is treated
alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from auto_insurance.risk.features import BEHAVIOUR, FeatureValues
from auto_insurance.risk.model import Contribution, RiskModel

PRIOR_MILES = 10.0
"""Assumption: of the order of an ordinary car trip."""
LOW_FROM, MEDIUM_FROM = 80.0, 60.0


@dataclass(frozen=True, slots=True)
class TripVerdict:
    """``trip_score`` 0-100, 100 best; ``relativity`` of the drawn rates to the portfolio."""

    trip_score: float
    risk_level: str
    relativity: float
    contributions: tuple[Contribution, ...]
    """Effects of the drawn rates, with the trip's own numbers."""


def judge_trip(model: RiskModel, features: FeatureValues, miles: float) -> TripVerdict:
    """Score a trip of ``miles`` from its features. Raises ``InvalidFeatures``."""
    weight = max(0.0, miles) / (max(0.0, miles) + PRIOR_MILES)
    drawn: dict[str, float | None] = {}
    flawless: dict[str, float | None] = {}
    for feature in BEHAVIOUR:
        value, typical = features.get(feature.name), model.typical(feature.name)
        if value is None or typical is None:
            continue
        flawless[feature.name] = (1 - weight) * typical
        drawn[feature.name] = weight * value + (1 - weight) * typical
    here, best = model.predict([drawn, flawless])
    score = round(100.0 * min(1.0, best.frequency / here.frequency), 2)
    own = tuple(msgspec.structs.replace(part, value=features.get(part.feature)) for part in here.contributions)
    return TripVerdict(score, risk_level(score), here.relativity, own)


def risk_level(trip_score: float) -> str:
    """Return ``low`` from 80, ``medium`` from 60, ``high`` below."""
    if trip_score >= LOW_FROM:
        return "low"
    return "medium" if trip_score >= MEDIUM_FROM else "high"
