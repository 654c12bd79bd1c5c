"""Figures of the dashboard. Each function is one statement, whatever the size of the book."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Any, NamedTuple

from sqlalchemy import Date, cast, func, literal, select, text, true

from auto_insurance.admin.reading import Rows, fetch, fetch_one
from auto_insurance.claims.models import claims
from auto_insurance.drivers.models import devices, drivers, vehicles
from auto_insurance.identity.models import users
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.policies.models import policies, policy_segments
from auto_insurance.risk.models import risk_scores
from auto_insurance.telematics.models import device_contacts
from auto_insurance.trips.models import trips


class Totals(NamedTuple):
    """How many there are of what is cheap to count."""

    drivers: int
    users: int
    vehicles: int
    devices: int


class Recent(NamedTuple):
    """What came lately."""

    drivers: int
    trips: int
    events: int
    claims: int


class Bands(NamedTuple):
    """Drivers, those with a score, their mean score, and how many lie in each band."""

    drivers: int
    scored: int
    average: float | None
    counts: tuple[int, ...]


def _count(table: Any, *where: Any) -> Any:
    return select(func.count()).select_from(table).where(*where).scalar_subquery()


async def totals(uow: UnitOfWork) -> Totals:
    """Count people and things."""
    counted = select(*(_count(table) for table in (drivers, users, vehicles, devices)))
    return Totals(*(await uow.conn.execute(counted)).one())


_ESTIMATES = text(
    """
    SELECT
        (SELECT greatest(c.reltuples, s.n_live_tup, 0)::bigint FROM pg_class c
            LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.oid = 'trips'::regclass) AS trips,
        (SELECT coalesce(sum(greatest(c.reltuples, s.n_live_tup, 0)), 0)::bigint FROM pg_inherits i
            JOIN pg_class c ON c.oid = i.inhrelid LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
            WHERE i.inhparent = 'telematics_events'::regclass)
        + (SELECT coalesce(sum(rows), 0)::bigint FROM telematics_archives WHERE status IN ('archived', 'restoring'))
            AS events
    """
)


async def estimates(uow: UnitOfWork) -> tuple[int, int]:
    """Return about how many trips and events there are, by PostgreSQL's statistics; archived months by their files."""
    row = (await uow.conn.execute(_ESTIMATES)).one()
    return int(row.trips), int(row.events)


async def count_trips(uow: UnitOfWork) -> int:
    """Count completed trips, from an index alone."""
    return int((await uow.conn.execute(select(_count(trips, _done())))).scalar_one())


async def recent(uow: UnitOfWork, *, month: datetime, week: datetime, day: datetime) -> Recent:
    """Count drivers enrolled and losses since ``month``, trips since ``week``, events taken in hours since ``day``."""
    events = select(func.coalesce(func.sum(device_contacts.c.accepted), 0)).where(device_contacts.c.hour >= day)
    counted = select(
        _count(drivers, drivers.c.enrolled_at >= month),
        _count(trips, _done(), trips.c.start_time >= week),
        events.scalar_subquery(),
        _count(claims, claims.c.occurred_at >= month, claims.c.status != "draft"),
    )
    return Recent(*(int(number) for number in (await uow.conn.execute(counted)).one()))


async def in_service(uow: UnitOfWork) -> tuple[int, int]:
    """Return how many drivers are in service, and how many claims are open."""
    closed = ("draft", "denied", "closed", "withdrawn")
    counted = select(
        _count(drivers, drivers.c.status == "active", drivers.c.deactivated_at.is_(None)),
        _count(claims, claims.c.status.not_in(closed)),
    )
    row = (await uow.conn.execute(counted)).one()
    return int(row[0]), int(row[1])


async def score_bands(uow: UnitOfWork, edges: Sequence[float]) -> Bands:
    """Count drivers by their newest score: up to and with the first edge, up to the second, ..., above the last."""
    newest = (
        select(risk_scores.c.risk_score)
        .where(risk_scores.c.driver_id == drivers.c.driver_id)
        .order_by(risk_scores.c.calculated_at.desc())
        .limit(1)
        .lateral("newest")
    )
    score = newest.c.risk_score
    below = [score <= edges[0], *((score > low) & (score <= high) for low, high in pairwise(edges))]
    bands = [func.count().filter(condition) for condition in (*below, score > edges[-1])]
    query = select(func.count(), func.count(score), func.avg(score), *bands)
    row = (await uow.conn.execute(query.select_from(drivers.outerjoin(newest, true())))).one()
    return Bands(row[0], row[1], row[2], tuple(row[3:]))


async def trips_by_day(uow: UnitOfWork, *, start: datetime, end: datetime, time_zone: str) -> Rows:
    """Return (day, trips, miles, hours, drivers, harsh events) of completed trips that began in [start, end)."""
    c = trips.c
    day = cast(func.timezone(literal(time_zone), c.start_time), Date).label("day")
    query = (
        select(
            day,
            func.count().label("trip_count"),
            func.sum(c.distance_miles).label("miles"),
            (func.sum(c.duration_s) / 3600).label("hours"),
            func.count(c.driver_id.distinct()).label("drivers"),
            func.sum(c.harsh_braking_count + c.rapid_accel_count + c.harsh_corner_count).label("harsh"),
        )
        .where(_done(), c.start_time >= start, c.start_time < end)
        .group_by(text("1"))
    )
    return await fetch(uow, query)


async def safety_events(uow: UnitOfWork, *, start: datetime, end: datetime) -> Any:
    """Return sums of what the server found on completed trips that began in [start, end)."""
    c = trips.c
    names = (
        "harsh_braking_count",
        "rapid_accel_count",
        "harsh_corner_count",
        "speeding_count",
        "speeding_s",
        "phone_usage_s",
        "distance_miles",
    )
    query = select(
        *(func.coalesce(func.sum(c[name]), 0).label(name) for name in names),
        func.count().label("trip_count"),
        func.count().filter(c.phone_usage_s > 0).label("phone_trips"),
        func.count().filter(c.crash_reported).label("crashes"),
    ).where(_done(), c.start_time >= start, c.start_time < end)
    return await fetch_one(uow, query)


async def policy_types(uow: UnitOfWork, at: datetime) -> Rows:
    """Return (product, coverage, policies, annual premium) of the policies that run at an instant."""
    s = policy_segments.c
    coverage = func.coalesce(s.facts.op("->>")("coverage"), "unknown").label("coverage")
    query = (
        select(policies.c.product, coverage, func.count().label("count"), func.sum(s.annual_premium).label("annual"))
        .select_from(policy_segments.join(policies, policies.c.policy_id == s.policy_id))
        .where(policies.c.status == "active", s.until_revision.is_(None), s.from_at <= at, s.to_at > at)
        .group_by(policies.c.product, text("2"))
        .order_by(policies.c.product, text("2"))
    )
    return await fetch(uow, query)


async def earned_premium(uow: UnitOfWork, since: date, until: date) -> Rows:
    """Return (currency, premium earned) of days in [since, until): the ledger books a day once it is over."""
    return await fetch(uow, _EARNED, {"since": since, "until": until})


_EARNED = text(
    """
    SELECT p.currency, sum(CASE p.side WHEN 'credit' THEN p.amount ELSE -p.amount END) AS earned
    FROM ledger_entries AS e JOIN ledger_postings AS p ON p.entry_id = e.entry_id
    WHERE e.booked_on > :since AND e.booked_on <= :until AND p.account = 'earned_premium'
    GROUP BY p.currency ORDER BY p.currency
    """
)


def _done() -> Any:
    # Written out, so that the planner sees that a partial index has all the rows.
    return text("trips.status = 'completed'")
