"""Answers of the routes that look at scores over time and from other sides."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from auto_insurance.risk.schemas import SIMULATED, ContributionOut, RecommendationOut, RiskCategory, ScoreBasis


class TrendPeriod(StrEnum):
    """How far back a trend looks."""

    WEEK = "7d"
    MONTH = "30d"
    QUARTER = "90d"
    YEAR = "1y"

    @property
    def days(self) -> int:
        """The period in days."""
        return {"7d": 7, "30d": 30, "90d": 90, "1y": 365}[self.value]


class TrendInterval(StrEnum):
    """How far the points of a trend lie apart."""

    DAILY = "daily"
    WEEKLY = "weekly"


class TrendDirection(StrEnum):
    """What a risk score did over a period."""

    IMPROVING = "improving"
    STEADY = "steady"
    WORSENING = "worsening"
    UNKNOWN = "unknown"


class RiskHistoryItem(BaseModel):
    """A score as it was calculated once."""

    calculated_at: datetime
    risk_score: float
    risk_category: RiskCategory
    confidence: float
    exposure_miles: float
    expected_claims_per_million_miles: float
    trip_count: int
    model_version: str
    simulated: bool = Field(description=SIMULATED)
    basis: ScoreBasis
    reason: str = Field(description="Why it was calculated.", examples=["trip.completed", "recalculated"])


class TrendPoint(BaseModel):
    """The score that held at the end of a day or week of the driver's local time."""

    date: date
    """First day of the interval."""
    risk_score: float | None = Field(description="Null before the first score.")
    risk_category: RiskCategory | None
    calculations: int = Field(description="Scores calculated in the interval; 0: the one before still holds.")


class RiskTrend(BaseModel):
    """How the score went. Lower is better."""

    driver_id: str
    period: TrendPeriod
    interval: TrendInterval
    time_zone: str
    points: list[TrendPoint]
    change: float | None = Field(description="Last minus first known point; null with fewer than two.")
    direction: TrendDirection = Field(description="Steady within 2 points.")
    simulated: bool = Field(description="True: no observed claims stand behind some of the scores.")


class Recommendations(BaseModel):
    """What the driver could change, what brings most first."""

    driver_id: str
    calculated_at: datetime
    recommendations: list[RecommendationOut]
    effect_of_all_pct: float = Field(description="Change of the expected claim frequency if all were followed.")
    simulated: bool = Field(description=SIMULATED)
    note: str


class FactorGroup(BaseModel):
    """Features of one kind and what they do together."""

    group: str = Field(examples=["speeding"])
    title: str
    effect_pct: float = Field(description="Change of the expected frequency against typical driving, in percent.")
    log_effect: float
    factors: list[ContributionOut]


class RiskFactorBreakdown(BaseModel):
    """A score by groups of behaviour; all groups together make up the whole difference from typical driving."""

    driver_id: str
    risk_score: float
    calculated_at: datetime
    model_version: str
    simulated: bool = Field(description=SIMULATED)
    effect_pct: float = Field(description="All groups together.")
    groups: list[FactorGroup]


class RiskProfileSummary(BaseModel):
    """A driver's risk at a glance."""

    driver_id: str
    risk_score: float
    safety_score: float
    risk_category: RiskCategory
    better_than_pct: float = Field(description="Share of the reference population that is riskier.")
    confidence: float
    exposure_miles: float
    trip_count: int
    calculated_at: datetime
    change_30d: float | None = Field(description="Change of the score over 30 days; null if it is not that old.")
    direction: TrendDirection
    raising: list[ContributionOut] = Field(description="At most three effects that raise the frequency most.")
    lowering: list[ContributionOut] = Field(description="At most three that lower it most.")
    simulated: bool = Field(description=SIMULATED)
    note: str


class BatchRequest(BaseModel):
    """Drivers to score at once."""

    model_config = ConfigDict(extra="forbid")

    driver_ids: list[str] = Field(min_length=1, max_length=1000, description="1 to 1000 ids; copies count once.")
    period_days: int | None = Field(
        None,
        ge=1,
        le=3660,
        description="Driving of the last days to score. By default the usual window; scores over another one are "
        "answered but not kept, as a premium must not hang on somebody's question.",
    )


class BatchResult(BaseModel):
    """One driver's score of a batch."""

    risk_score: float
    risk_category: RiskCategory
    confidence: float
    exposure_miles: float
    expected_claims_per_million_miles: float
    trip_count: int
    basis: ScoreBasis


class BatchAnswer(BaseModel):
    """The scores of a batch."""

    total: int = Field(description="Distinct drivers asked for.")
    calculated: int
    not_found: list[str] = Field(description="Ids that are no driver's.")
    average_risk_score: float | None = Field(description="Null if none was calculated.")
    period_days: int
    stored: bool = Field(description="Whether the scores were kept.")
    model_version: str
    simulated: bool = Field(description=SIMULATED)
    results: dict[str, BatchResult]
