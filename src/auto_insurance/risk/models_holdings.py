"""What risk holds of a driver."""

from __future__ import annotations

from auto_insurance.infra.db.holdings import Fate, Holding
from auto_insurance.risk.models import (
    due_scores,
    known_claims,
    policy_exposure,
    risk_scores,
    shadow_scores,
    trip_scores,
)

HOLDINGS = (
    Holding(trip_scores, Fate.DELETED, "scores of trips", lambda s: trip_scores.c.driver_id == s.driver_id),
    Holding(
        shadow_scores,
        Fate.DELETED,
        "what a challenger would have said",
        lambda s: shadow_scores.c.driver_id == s.driver_id,
    ),
    Holding(due_scores, Fate.DELETED, "who waits for a score", lambda s: due_scores.c.driver_id == s.driver_id),
    Holding(
        policy_exposure,
        Fate.DELETED,
        "cover as models learn from it",
        lambda s: policy_exposure.c.driver_id == s.driver_id,
    ),
    Holding(
        known_claims,
        Fate.DELETED,
        "claims as models learn from them",
        lambda s: known_claims.c.driver_id == s.driver_id,
    ),
    Holding(
        risk_scores,
        Fate.KEPT,
        "feature vectors that premiums rest on, so that a price can be made again: rates and shares, no place or name",
        lambda s: risk_scores.c.driver_id == s.driver_id,
    ),
)
