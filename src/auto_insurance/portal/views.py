"""Turns rows into answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from auto_insurance.drivers.schemas import DriverFacts
from auto_insurance.infra.http.pagination import Feed, PageRequest
from auto_insurance.portal.schemas import (
    AlertItem,
    DriverSummary,
    LineString,
    Place,
    RiskFactor,
    RiskFactors,
    TripEventItem,
    TripItem,
    TripsSummary,
    TripStatistics,
)
from auto_insurance.pricing.schemas import Premium
from auto_insurance.risk.schemas import RiskScore
from auto_insurance.telematics.schemas import PathPoint, Quality
from auto_insurance.trips.schemas import TripEvent

TRIP_FEED = "trips"
"""The word in cursors of lists of trips."""


def trip_feed(items: Sequence[TripItem], total: int, page: PageRequest) -> Feed[TripItem]:
    """Return a page of trips that may be followed; sorted by start and id."""
    return Feed[TripItem].after(items, total, page, lambda trip: (trip.start_time, trip.trip_id), TRIP_FEED)


def trip_item(row: Mapping[str, Any]) -> TripItem:
    """Return a trip as lists show it."""
    return TripItem(**item_fields(row))


def item_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that lists and the single trip share. Unknown is null, not zero."""
    end = row["end_latitude"], row["end_longitude"]
    same = (
        "trip_id", "driver_id", "device_id", "vehicle_id", "status", "revision", "start_time", "end_time", "time_zone",
        "harsh_braking_count", "rapid_accel_count", "harsh_corner_count", "speeding_count", "risk_level", "trip_score",
        "excluded",
    )  # fmt: skip
    return {
        **{name: row[name] for name in same},
        "duration_minutes": round(row["duration_s"] / 60, 2),
        "distance_miles": round(row["distance_miles"], 3),
        "avg_speed_mph": round(row["avg_speed_mph"], 1),
        "max_speed_mph": round(row["max_speed_mph"], 1),
        "speeding_seconds": round(row["speeding_s"], 1) if row["speed_limit_known_s"] > 0 else None,
        "phone_usage_seconds": round(row["phone_usage_s"], 1) if row["phone_known_s"] > 0 else None,
        "night_miles": round(row["night_miles"], 3),
        "start_place": Place(latitude=row["start_latitude"], longitude=row["start_longitude"]),
        "end_place": None if None in end else Place(latitude=end[0], longitude=end[1]),
    }


def event_item(event: TripEvent) -> TripEventItem:
    """Return something that happened on a trip."""
    return TripEventItem(**_event_fields(event))


def alert_item(row: Mapping[str, Any]) -> AlertItem:
    """Return a grave event with its trip."""
    event = TripEvent(**{name: row[name] for name in TripEvent.__struct_fields__})
    return AlertItem(trip_id=row["trip_id"], **_event_fields(event))


def _event_fields(event: TripEvent) -> dict[str, Any]:
    place = None
    if event.latitude is not None and event.longitude is not None:
        place = Place(latitude=event.latitude, longitude=event.longitude)
    return {
        "kind": event.kind,
        "severity": event.severity,
        "started_at": event.started_at,
        "duration_s": round(event.duration_s, 2),
        "peak": None if event.peak is None else round(event.peak, 2),
        "speed_mph": None if event.speed_mph is None else round(event.speed_mph, 1),
        "place": place,
        "asserted": event.asserted,
    }


def risk_factors(driver_id: str, score: RiskScore | None) -> RiskFactors:
    """Return what moved a score, the strongest first."""
    if score is None:
        return RiskFactors(driver_id=driver_id, risk_score=None, model_version=None, calculated_at=None, factors=[])
    strongest_first = sorted(score.contributions, key=lambda reason: -abs(reason.log_effect))
    return RiskFactors(
        driver_id=driver_id,
        risk_score=score.risk_score,
        model_version=score.model_version,
        calculated_at=score.calculated_at,
        factors=[RiskFactor.model_validate(reason, from_attributes=True) for reason in strongest_first],
    )


def line_string(points: Sequence[PathPoint], max_points: int) -> LineString | None:
    """Return the good points as a line of at most ``max_points``, evenly thinned, both ends kept; None under two."""
    good = [point for point in points if point.quality == Quality.GOOD]
    if len(good) < 2:
        return None
    if len(good) > max_points:
        step = (len(good) - 1) / (max_points - 1)
        good = [good[round(i * step)] for i in range(max_points)]
    return LineString(coordinates=[(point.longitude, point.latitude) for point in good])


def rate(amount: float, over: float, per: float = 1.0) -> float | None:
    """Return ``amount`` per ``per`` of ``over``; None where there is nothing to measure it on."""
    return round(amount / over * per, 4) if over > 0 else None


def statistics_rates(row: Any) -> dict[str, float | None]:
    """Return the rates of ``TripStatistics`` from summed trips."""
    miles = row.distance_miles
    return {
        "avg_speed_mph": rate(miles, row.duration_s, 3600),
        "harsh_braking_per_100_miles": rate(row.harsh_braking_count, miles, 100),
        "rapid_accel_per_100_miles": rate(row.rapid_accel_count, miles, 100),
        "harsh_corner_per_100_miles": rate(row.harsh_corner_count, miles, 100),
        "speeding_seconds_per_100_miles": rate(row.speeding_s, row.speed_limit_known_miles, 100),
        "phone_usage_seconds_per_100_miles": rate(row.phone_usage_s, row.phone_known_miles, 100),
        "night_share": rate(row.night_miles, miles),
        "late_night_share": rate(row.late_night_miles, miles),
        "rush_hour_share": rate(row.rush_hour_miles, miles),
        "weekend_share": rate(row.weekend_miles, miles),
        "high_speed_share": rate(row.high_speed_miles, miles),
        "speed_limit_known_share": rate(row.speed_limit_known_miles, miles),
        "phone_known_share": rate(row.phone_known_miles, miles),
    }


@dataclass(frozen=True, slots=True)
class Period:
    """The last days before an instant."""

    days: int
    since: datetime
    until: datetime


class Glance(NamedTuple):
    """What a driver's first page is made of; ``ever`` and ``recent`` are summed trips."""

    facts: DriverFacts
    score: RiskScore | None
    charged: Premium | None
    indicated: Premium | None
    ever: Any
    recent: Any


def trips_summary(driver_id: str, row: Any) -> TripsSummary:
    """Return totals from summed trips."""
    return TripsSummary(
        driver_id=driver_id,
        total_trips=row.trip_count,
        total_miles=round(row.distance_miles, 3),
        total_hours=round(row.duration_s / 3600, 3),
        avg_trip_score=_rounded(row.avg_trip_score),
        harsh_braking_count=row.harsh_braking_count,
        rapid_accel_count=row.rapid_accel_count,
        harsh_corner_count=row.harsh_corner_count,
        speeding_seconds=round(row.speeding_s, 1),
        phone_usage_seconds=round(row.phone_usage_s, 1),
        first_trip_at=row.first_start,
        last_trip_at=row.last_end,
        trips_in_progress=row.in_progress,
    )


def statistics(driver_id: str, period: Period, row: Any) -> TripStatistics:
    """Return the rates of a period from its summed trips."""
    return TripStatistics(
        driver_id=driver_id,
        period_days=period.days,
        since=period.since,
        until=period.until,
        trip_count=row.trip_count,
        total_miles=round(row.distance_miles, 3),
        total_hours=round(row.duration_s / 3600, 3),
        max_speed_mph=round(row.max_speed_mph, 1),
        avg_trip_score=_rounded(row.avg_trip_score),
        **statistics_rates(row),
    )


def driver_summary(glance: Glance) -> DriverSummary:
    """Return the numbers of the first page."""
    facts, score, charged, indicated, ever, recent = glance
    return DriverSummary(
        driver_id=facts.driver_id,
        full_name=facts.full_name,
        risk_score=score.risk_score if score else None,
        safety_score=round(100 - score.risk_score, 2) if score else None,
        risk_category=score.risk_category if score else None,
        confidence=score.confidence if score else None,
        model_version=score.model_version if score else None,
        monthly_premium=charged.monthly_premium if charged else None,
        indicated_monthly_premium=indicated.monthly_premium if indicated else None,
        currency=charged.currency if charged else None,
        total_trips=ever.trip_count,
        total_miles=round(ever.distance_miles, 3),
        trips_last_30_days=recent.trip_count,
        miles_last_30_days=round(recent.distance_miles, 3),
        avg_trip_score_last_30_days=_rounded(recent.avg_trip_score),
        last_trip_at=ever.last_end,
        trips_in_progress=ever.in_progress,
    )


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 2)
