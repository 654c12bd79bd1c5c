"""Events on the topic ``risk-scores``, keyed by driver."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

RISK_SCORE_CALCULATED = "risk_score.calculated"


class RiskScoreCalculated(msgspec.Struct, frozen=True, kw_only=True):
    """A driver has a new score."""

    score_id: UUID
    driver_id: str
    risk_score: float
    risk_category: str
    confidence: float
    exposure_miles: float
    expected_claims_per_million_miles: float
    relativity: float
    """Expected frequency over that of the reference portfolio, before credibility."""
    model_version: str
    calculated_at: datetime
    reason: str
    simulated: bool = True
    """No observed claims stand behind the model."""
    may_price: bool = True
    """False: no premium may follow from it. So it is in production for simulated claims, unless a setting allows it."""
