"""What drivers see of their trips."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from auto_insurance.pricing.schemas import Money
from auto_insurance.risk.schemas import ContributionOut


class TripRiskLevel(StrEnum):
    """How a trip was driven."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Place(BaseModel):
    """A point on the map; degrees, WGS 84."""

    latitude: float
    longitude: float


class TripItem(BaseModel):
    """One trip in a list."""

    trip_id: UUID
    driver_id: str
    device_id: str
    vehicle_id: str | None
    status: Literal["in_progress", "completed"]
    revision: int = Field(description="Counts from 1 at completion; rises when late events change the trip.")
    start_time: datetime
    end_time: datetime | None
    time_zone: str
    duration_minutes: float
    distance_miles: float
    avg_speed_mph: float
    max_speed_mph: float
    harsh_braking_count: int
    rapid_accel_count: int
    harsh_corner_count: int
    speeding_count: int
    speeding_seconds: float | None = Field(description="Null where no speed limit was known on the whole trip.")
    phone_usage_seconds: float | None = Field(description="Null where phone use was unknown on the whole trip.")
    night_miles: float
    trip_score: float | None = Field(description="0 to 100, 100 is best; null until the trip was scored.")
    risk_level: TripRiskLevel | None
    excluded: bool = Field(description="True: an accepted dispute took it out of score, price and rewards.")
    start_place: Place
    end_place: Place | None


class LineString(BaseModel):
    """GeoJSON (RFC 7946): [longitude, latitude] pairs."""

    type: Literal["LineString"] = "LineString"
    coordinates: list[tuple[float, float]]


class TripEventItem(BaseModel):
    """Something that happened on the trip."""

    kind: str
    severity: str
    started_at: datetime
    duration_s: float
    peak: float | None = Field(
        description="m/s2 for harsh manoeuvres, mph over the limit for speeding, mph for phone use."
    )
    speed_mph: float | None
    place: Place | None
    asserted: bool = Field(description="True: the device said so. False: the server found it in the samples.")


class AlertItem(TripEventItem):
    """A crash or a severe event, with the trip that it happened on."""

    trip_id: UUID


class PriceEffect(BaseModel):
    """What this trip does to the indicated premium."""

    monthly_premium_with: Money
    monthly_premium_without: Money
    monthly_difference: Money = Field(description="Positive: the trip makes the indicated premium dearer.")
    currency: str
    note: str


class TripDetail(TripItem):
    """One trip with its path."""

    moving_minutes: float
    idle_minutes: float
    gap_count: int = Field(description="Silences inside the trip that were bridged.")
    gap_miles: float
    late_night_miles: float
    rush_hour_miles: float
    weekend_miles: float
    crash_reported: bool
    end_reason: str | None
    path: LineString | None = Field(description="Null for a trip without two good points.")
    path_point_count: int = Field(description="Good points of the trip; the path may hold fewer.")
    events: list[TripEventItem]
    score_breakdown: list[ContributionOut] = Field(description="What moved the trip's score, the strongest first.")
    price_effect: PriceEffect | None


class TripsSummary(BaseModel):
    """Totals over all completed trips."""

    driver_id: str
    total_trips: int
    total_miles: float
    total_hours: float
    avg_trip_score: float | None
    harsh_braking_count: int
    rapid_accel_count: int
    harsh_corner_count: int
    speeding_seconds: float
    phone_usage_seconds: float
    first_trip_at: datetime | None
    last_trip_at: datetime | None
    trips_in_progress: int


class TripStatistics(BaseModel):
    """Rates of a period. A rate is null where there was nothing to measure it on: unknown is not zero."""

    driver_id: str
    period_days: int
    since: datetime
    until: datetime
    trip_count: int
    total_miles: float
    total_hours: float
    avg_speed_mph: float | None
    max_speed_mph: float
    avg_trip_score: float | None
    harsh_braking_per_100_miles: float | None
    rapid_accel_per_100_miles: float | None
    harsh_corner_per_100_miles: float | None
    speeding_seconds_per_100_miles: float | None = Field(description="Over miles with a known limit.")
    phone_usage_seconds_per_100_miles: float | None = Field(description="Over miles with phone use known.")
    night_share: float | None
    late_night_share: float | None
    rush_hour_share: float | None
    weekend_share: float | None
    high_speed_share: float | None
    speed_limit_known_share: float | None
    phone_known_share: float | None


class DriverSummary(BaseModel):
    """The numbers of a driver's first page."""

    driver_id: str
    full_name: str | None
    risk_score: float | None
    safety_score: float | None = Field(description="100 - risk score.")
    risk_category: str | None
    confidence: float | None
    model_version: str | None
    monthly_premium: Money | None = Field(description="Charged.")
    indicated_monthly_premium: Money | None
    currency: str | None
    total_trips: int
    total_miles: float
    trips_last_30_days: int
    miles_last_30_days: float
    avg_trip_score_last_30_days: float | None
    last_trip_at: datetime | None
    trips_in_progress: int


class RiskFactor(BaseModel):
    """What one behaviour does to the expected claim frequency."""

    code: str
    title: str
    value: float | None = Field(description="Null: not observed.")
    typical: float = Field(description="Mean of the reference population.")
    unit: str
    effect_pct: float = Field(description="Change of the expected frequency against the typical value, in percent.")
    direction: str = Field(description="raises, lowers, typical or unknown.")
    recommendation: str | None


class RiskFactors(BaseModel):
    """The factors behind a driver's newest score, the strongest first."""

    driver_id: str
    risk_score: float | None = Field(description="Null before the first score.")
    model_version: str | None
    calculated_at: datetime | None
    factors: list[RiskFactor]
