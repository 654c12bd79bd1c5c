"""Forms of the dashboard and of analytics."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from pydantic import BaseModel, Field


class DashboardTotals(BaseModel):
    """How many there are."""

    drivers: int = Field(description="Exact.")
    users: int = Field(description="Exact.")
    vehicles: int = Field(description="Exact.")
    devices: int = Field(description="Exact; retired ones too.")
    trips: int = Field(description="Completed trips: exact up to two million, an estimate above (see `exact`).")
    events: int = Field(
        description="An estimate: PostgreSQL's statistics of each month online, and the rows of archived months as "
        "they were counted when they left."
    )


class Exactness(BaseModel):
    """Whether a total is counted or estimated."""

    trips: bool
    events: bool


class DashboardStats(BaseModel):
    """Totals, and what came lately."""

    totals: DashboardTotals
    exact: Exactness
    recent_drivers: int = Field(description="Exact: enrolled in the last 30 days.")
    recent_trips: int = Field(description="Exact: completed trips that began in the last 7 days.")
    recent_events: int = Field(description="Exact: events that devices sent and the door took in the last 24 hours.")
    recent_claims: int = Field(description="Exact: losses of the last 30 days that were reported.")
    as_of: datetime


class DashboardBook(BaseModel):
    """The book at a glance, counted now."""

    total_drivers: int
    active_drivers: int = Field(description="Neither deactivated nor to be erased.")
    total_vehicles: int
    total_policies: int
    active_policies: int
    monthly_revenue: Decimal = Field(description="A twelfth of the annual premiums that run now, without miles.")
    annual_premium: Decimal
    total_savings: Decimal = Field(description="A year's: what the same drivers would pay more without a device.")
    avg_risk_score: float | None = Field(description="Over each driver's newest score; null without any.")
    scored_drivers: int
    open_claims: int
    trips_last_7_days: int
    miles_last_7_days: float
    as_of: datetime


class DayActivity(BaseModel):
    """One day's completed trips, by when they began."""

    date: date
    trip_count: int
    distance_miles: float
    driving_hours: float
    active_drivers: int
    harsh_events: int


class TripActivity(BaseModel):
    """A day each, without a gap, the last one today."""

    days: int
    time_zone: str
    items: list[DayActivity] = Field(max_length=90)


class RiskDistribution(BaseModel):
    """Drivers by their newest risk score. The percentages are of scored drivers and add up to exactly 100."""

    total_drivers: int
    scored_drivers: int
    low_risk_count: int = Field(description="Up to 40.")
    medium_risk_count: int = Field(description="Above 40, up to 70.")
    high_risk_count: int = Field(description="Above 70.")
    low_risk_percentage: int = Field(description="Whole percents by largest remainder; all 0 without a score.")
    medium_risk_percentage: int
    high_risk_percentage: int
    avg_risk_score: float | None


class SafetyEvents(BaseModel):
    """What the server found on completed trips of the last days."""

    days: int
    trip_count: int
    distance_miles: float
    harsh_braking: int
    rapid_acceleration: int
    harsh_cornering: int
    speeding: int
    speeding_seconds: float
    phone_use_trips: int
    phone_use_seconds: float
    crashes_reported: int
    total_events: int = Field(description="Harsh braking, acceleration, cornering and speeding together.")
    events_per_100_miles: float | None = Field(description="Null without miles.")


class PolicyType(BaseModel):
    """Policies of one kind."""

    policy_type: str = Field(description="The product.")
    coverage: str
    count: int
    percentage: int = Field(description="Whole percents that add up to exactly 100.")
    annual_premium: Decimal


class PolicyTypes(BaseModel):
    """The policies that run now, by product and coverage."""

    total: int
    items: list[PolicyType] = Field(max_length=200)


class FleetSummary(BaseModel):
    """The fleet over a period, from its completed trips."""

    days: int
    since: datetime
    until: datetime
    active_drivers: int = Field(description="With a trip in the period.")
    active_devices: int
    trip_count: int
    distance_miles: float
    driving_hours: float
    harsh_braking_per_100_miles: float | None
    rapid_accel_per_100_miles: float | None
    harsh_corner_per_100_miles: float | None
    speeding_seconds_per_100_miles: float | None = Field(description="Over the miles with a known limit.")
    phone_usage_seconds_per_100_miles: float | None = Field(description="Over the miles where it was known.")
    night_share: float | None = Field(description="Of the miles.")


class ScoreBand(BaseModel):
    """A band of the score: above ``above``, up to and with ``up_to``."""

    above: int
    up_to: int
    count: int
    percentage: int


class ScoreBands(BaseModel):
    """Drivers by their newest score, in tenths of the scale."""

    total_drivers: int
    scored_drivers: int
    avg_risk_score: float | None
    bands: list[ScoreBand] = Field(max_length=10)


class Savings(BaseModel):
    """What telematics does to a year's premium of the policies that run now."""

    policies: int
    cheaper: int = Field(description="Policies that cost less with telematics.")
    dearer: int
    annual_premium: Decimal
    annual_premium_without_telematics: Decimal
    total_savings: Decimal = Field(description="The difference; negative if telematics made the book dearer.")
    average_savings: Decimal | None = Field(description="Per policy; null without any.")


class LossRatioLine(BaseModel):
    """One currency's."""

    currency: str
    earned_premium: Decimal = Field(description="What the ledger booked as earned on the days of the period.")
    incurred: Decimal = Field(description="Reserves and payments less recoveries, as of now, of losses in the period.")
    claims: int
    loss_ratio: float | None = Field(description="Incurred over earned; null where nothing was earned.")


class LossRatio(BaseModel):
    """Claims over premium. A short period of a small book says little: see the exposure."""

    since: date
    until: date = Field(description="Not included.")
    exposure_years: float = Field(description="Years of cover that policies gave in the period.")
    policies: int = Field(description="Policies with cover in the period.")
    lines: list[LossRatioLine] = Field(max_length=50)
