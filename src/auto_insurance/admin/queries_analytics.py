"""Figures of the fleet and the book over a period."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.types import Date, DateTime

from auto_insurance.admin.reading import fetch_one
from auto_insurance.infra.db.uow import UnitOfWork

_FLEET = text(
    """
    SELECT count(*) AS trips, count(DISTINCT driver_id) AS drivers, count(DISTINCT device_id) AS devices,
        coalesce(sum(distance_miles), 0) AS miles, coalesce(sum(duration_s), 0) / 3600 AS hours,
        coalesce(sum(night_miles), 0) AS night_miles,
        coalesce(sum(harsh_braking_count), 0) AS harsh_braking, coalesce(sum(rapid_accel_count), 0) AS rapid_accel,
        coalesce(sum(harsh_corner_count), 0) AS harsh_corner, coalesce(sum(speeding_s), 0) AS speeding_s,
        coalesce(sum(speed_limit_known_miles), 0) AS limit_miles, coalesce(sum(phone_usage_s), 0) AS phone_s,
        coalesce(sum(phone_known_miles), 0) AS phone_miles
    FROM trips WHERE status = 'completed' AND start_time >= :start AND start_time < :end
    """
).bindparams(bindparam("start", type_=DateTime(timezone=True)), bindparam("end", type_=DateTime(timezone=True)))


async def fleet(uow: UnitOfWork, start: datetime, end: datetime) -> Any:
    """Return sums over the completed trips that began in [start, end)."""
    return await fetch_one(uow, _FLEET, {"start": start, "end": end})


_SAVINGS = text(
    """
    WITH running AS (
        SELECT s.driver_id, s.annual_premium AS charged,
            coalesce((s.rate ->> 'annual_without_telematics')::numeric, s.annual_premium) AS plain
        FROM policy_segments AS s JOIN policies AS p ON p.policy_id = s.policy_id
        WHERE p.status = 'active' AND s.until_revision IS NULL AND s.from_at <= :at AND s.to_at > :at
    )
    SELECT count(*) AS policies, count(*) FILTER (WHERE plain > charged) AS cheaper,
        count(*) FILTER (WHERE plain < charged) AS dearer, coalesce(sum(charged), 0) AS charged,
        coalesce(sum(plain), 0) AS plain
    FROM running
    """
).bindparams(bindparam("at", type_=DateTime(timezone=True)))


async def savings(uow: UnitOfWork, at: datetime) -> Any:
    """Return a year's premium of the policies that run, with and without what telematics does to it."""
    return await fetch_one(uow, _SAVINGS, {"at": at})


_EXPOSURE = text(
    """
    SELECT count(DISTINCT s.policy_id) AS policies,
        coalesce(sum(least(s.to_on, :until) - greatest(s.from_on, :since)), 0) AS days
    FROM policy_segments AS s JOIN policy_terms AS t ON t.policy_id = s.policy_id AND t.term = s.term
    WHERE s.until_revision IS NULL AND t.status NOT IN ('quoted', 'bound') AND s.from_on < :until AND s.to_on > :since
    """
).bindparams(bindparam("since", type_=Date), bindparam("until", type_=Date))


async def exposure(uow: UnitOfWork, since: date, until: date) -> tuple[int, int]:
    """Return how many policies gave cover on days in [since, until), and for how many days together."""
    row = (await uow.conn.execute(_EXPOSURE, {"since": since, "until": until})).one()
    return int(row.policies), int(row.days)
