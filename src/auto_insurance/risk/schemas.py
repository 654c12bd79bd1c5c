"""Forms in which other domains and HTTP clients see scores."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

import msgspec
from pydantic import BaseModel, Field


class RiskCategory(StrEnum):
    """Bands of 20 of the risk score."""

    LOW = "low"
    MODERATE = "moderate"
    ELEVATED = "elevated"
    HIGH = "high"
    VERY_HIGH = "very_high"


class ModelStatus(StrEnum):
    """What a registered model is for."""

    CANDIDATE = "candidate"
    SHADOW = "shadow"
    CHAMPION = "champion"
    RETIRED = "retired"


class ScoreBasis(StrEnum):
    """What driving a score rests on."""

    RECENT = "recent"
    OLDER = "older"
    NONE = "none"


NOTES = {
    ScoreBasis.RECENT: "From the driver's trips of the last year.",
    ScoreBasis.OLDER: "No trips in the last year: from the year up to the driver's last trip.",
    ScoreBasis.NONE: "No trips yet: this is the average of the reference portfolio, with confidence 0.",
}

SIMULATED_NOTE = "The model rests on assumed or simulated claims, not on observed ones."


# --- what other domains read ---


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One feature's effect on the expected claim frequency. ``value`` is None where it was not observed."""

    code: str
    feature: str
    title: str
    unit: str
    value: float | None
    typical: float
    log_effect: float
    effect_pct: float
    direction: str
    """``raises``, ``lowers``, ``typical`` or ``unknown``."""
    change_to_typical_pct: float
    """What the frequency would change by if the value were typical."""
    recommendation: str | None


class RiskScore(msgspec.Struct, frozen=True, kw_only=True):
    """A driver's score as it was calculated; see ``models.risk_scores``."""

    score_id: UUID
    driver_id: str
    calculated_at: datetime
    risk_score: float
    risk_category: str
    confidence: float
    exposure_miles: float
    expected_claims_per_million_miles: float
    relativity: float
    model_version: str
    features_version: str
    features: dict[str, float | None]
    contributions: list[Reason]
    trip_count: int
    window_from: datetime
    window_to: datetime
    trips_until: datetime | None
    basis: str
    reason: str
    simulated: bool = True
    """No observed claims stood behind the model: it rests on assumptions, or was trained on a simulation."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What a model says of some driving: the frequency relativity before credibility, and how much it counts (0-1)."""

    relativity: float
    confidence: float


class TripScore(msgspec.Struct, frozen=True, kw_only=True):
    """A trip's score, 100 best; see ``models.trip_scores``."""

    trip_id: UUID
    driver_id: str
    trip_score: float
    risk_level: str
    relativity: float
    contributions: list[Reason]
    model_version: str
    revision: int
    scored_at: datetime
    simulated: bool = True
    """As of :class:`RiskScore`."""


class DayScore(msgspec.Struct, frozen=True):
    """The last score of a driver's local day, and how many were calculated on it."""

    day: date
    risk_score: float
    risk_category: str
    calculations: int
    simulated: bool = True
    """Whether one of the day's scores was."""


# --- HTTP ---

SIMULATED = "True: no observed claims stand behind the score; the model rests on assumptions or simulated claims."


class ModelOut(BaseModel):
    """Which model gave a score and what it rests on."""

    version: str = Field(examples=["driving-2"])
    kind: str = Field(examples=["scorecard"])
    trained_on: str = Field(description="The data behind the model, in a sentence.")
    assumption_based: bool = Field(description="True: no observed claims stand behind the relativities.")
    reference_population: str = Field(examples=["reference-1 (simulated)"])


def note_of(score: RiskScore) -> str:
    """Say what a score rests on, for people."""
    note = NOTES[ScoreBasis(score.basis)]
    return f"{note} {SIMULATED_NOTE}" if score.simulated else note


class RiskScoreOut(BaseModel):
    """A driver's risk score."""

    driver_id: str
    risk_score: float = Field(
        ge=0, le=100, description="0 to 100, 100 is riskiest: percentile of the reference population."
    )
    safety_score: float = Field(ge=0, le=100, description="100 - risk_score.")
    risk_category: RiskCategory
    confidence: float = Field(ge=0, le=1, description="How much the driver's own driving counts; 0 without trips.")
    exposure_miles: float = Field(description="Miles that the score rests on.")
    expected_claims_per_million_miles: float
    relativity: float = Field(description="Expected frequency over the reference portfolio's mean, before credibility.")
    model_version: str
    calculated_at: datetime
    trip_count: int
    trips_until: datetime | None = Field(description="End of the last trip that the score saw.")
    window_from: datetime
    window_to: datetime
    basis: ScoreBasis
    simulated: bool = Field(description=SIMULATED)
    note: str = Field(description="What the score rests on, for people.")
    model: ModelOut

    @classmethod
    def of(cls, score: RiskScore, model: ModelOut) -> Self:
        """Build the answer from a stored score."""
        return cls.model_validate(_fields(score, model))


class FeatureOut(BaseModel):
    """A number behind the score; null was not observed."""

    name: str
    value: float | None
    unit: str
    typical: float | None = Field(description="Mean of the reference population; null for what is not scored.")
    scored: bool


class ContributionOut(BaseModel):
    """What one feature does to the expected claim frequency, against the typical value."""

    code: str
    feature: str
    title: str
    unit: str
    value: float | None
    typical: float
    effect_pct: float = Field(description="Change of the expected frequency against the typical value, in percent.")
    log_effect: float = Field(description="The same on the log scale, where effects add up exactly.")
    direction: str = Field(description="raises, lowers, typical or unknown.")


class RecommendationOut(BaseModel):
    """What to change and what it would bring."""

    code: str
    title: str
    text: str
    value: float
    typical: float
    unit: str
    effect_if_typical_pct: float = Field(description="Change of the expected frequency if the value were typical.")


class RiskBreakdownOut(RiskScoreOut):
    """A score with everything behind it."""

    base_claims_per_million_miles: float = Field(
        description="The typical driver's frequency; times the exponentials of all log_effect it is the expected one."
    )
    expected_claims_per_year: float | None = Field(
        description="At the observed yearly distance, in less than proportion to it; null under 30 days of driving."
    )
    features_version: str
    features: list[FeatureOut]
    contributions: list[ContributionOut]
    reason_codes: list[str]
    recommendations: list[RecommendationOut]


def _fields(score: RiskScore, model: ModelOut) -> dict[str, Any]:
    names = set(RiskScoreOut.model_fields) - {"safety_score", "note", "model"}
    found: dict[str, Any] = {name: getattr(score, name) for name in names}
    return {
        **found,
        "safety_score": round(100.0 - score.risk_score, 2),
        "note": note_of(score),
        "model": model,
    }
