"""Forms in which HTTP clients see rewards. Points are whole numbers, money JSON numbers with two decimals."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from auto_insurance.pricing.schemas import Money
from auto_insurance.rewards.rules import Kind


class RedeemIn(BaseModel):
    """Points to turn into a premium credit."""

    model_config = ConfigDict(extra="forbid")

    points: Annotated[int, Field(ge=1, le=10_000_000)]


class RedemptionOut(BaseModel):
    """Points that became a premium credit."""

    redemption_id: UUID
    driver_id: str
    points: int
    amount: Money
    currency: str
    policy_id: str
    balance: int = Field(description="Points that are left.")
    redeemed_at: datetime


class StreakOut(BaseModel):
    """A run without harsh events."""

    code: str
    title: str
    unit: str = Field(description="days (with driving) or weeks (with driving).")
    length: int = Field(description="What earns points, each time anew.")
    running: int = Field(description="How many days or weeks the run has now.")
    points: int


class GoalOut(BaseModel):
    """A milestone or an achievement with the way to it."""

    code: str
    title: str
    text: str
    measure: str = Field(examples=["miles"])
    value: float
    threshold: int
    progress_pct: float = Field(ge=0, le=100)
    points: int
    reached: bool
    reached_at: datetime | None


class Goals(BaseModel):
    """All milestones, or all achievements, in the order of the rules."""

    driver_id: str
    rules_version: str
    reached: int
    items: list[GoalOut]


class TipOut(BaseModel):
    """What the driver's own driving suggests to change."""

    code: str
    title: str
    text: str
    value: float = Field(description="The driver's.")
    typical: float
    unit: str
    effect_pct: float = Field(description="What it adds to the expected claim frequency now, in percent.")


class Tips(BaseModel):
    """Tips from the driver's newest score, what brings most first. Empty: nothing stands out, or no score yet."""

    driver_id: str
    calculated_at: datetime | None
    tips: list[TipOut]


class EntryOut(BaseModel):
    """An entry of the ledger of points."""

    model_config = ConfigDict(from_attributes=True)

    seq: int
    kind: Kind
    key: str = Field(examples=["streak:calm-7-days:2026-06-14"])
    points: int
    balance: int
    local_date: date | None
    trip_id: UUID | None
    is_correction: bool
    reason: str
    rules_version: str
    created_at: datetime


class RewardSummary(BaseModel):
    """A driver's rewards at a glance."""

    driver_id: str
    rules_version: str
    balance: int = Field(description="May be below 0: points that were spent had to be taken back.")
    redeemable_points: int = Field(description="What can be redeemed now; 0 below the minimum.")
    redeemable_amount: Money
    currency: str
    earned_points: int = Field(description="All that was earned, corrections included.")
    redeemed_points: int
    points_by_kind: dict[Kind, int]
    trips_counted: int
    miles_counted: float
    streaks: list[StreakOut]
    next_milestone: GoalOut | None
    tips: list[TipOut]


class BandOut(BaseModel):
    """Points of a trip from a score on."""

    from_score: float
    points: int


class StreakRuleOut(BaseModel):
    """A streak of the rules."""

    code: str
    title: str
    unit: str
    length: int
    points: int


class GoalRuleOut(BaseModel):
    """A milestone or achievement of the rules."""

    code: str
    title: str
    text: str
    measure: str
    threshold: int
    points: int


class RulesOut(BaseModel):
    """The rules in use."""

    version: str
    from_season: int
    points_per_unit: int
    unit: Money
    currency: str
    minimum_points: int
    maximum_points: int
    minimum_miles: float = Field(description="Shorter trips earn nothing.")
    counted_per_day: int = Field(description="Trips of a local day that earn points at most, the safest ones.")
    bands: list[BandOut]
    streaks: list[StreakRuleOut]
    milestones: list[GoalRuleOut]
    achievements: list[GoalRuleOut]
