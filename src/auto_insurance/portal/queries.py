"""Read-only SQL over trips, scores and premiums. Each function is one statement, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Row,
    Select,
    String,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    false,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.risk.models import trip_scores
from auto_insurance.trips.models import trip_events, trips
from auto_insurance.trips.repository_disputes import excluded

VISIBLE = ("in_progress", "completed")
_SUMMED = (
    "duration_s",
    "distance_miles",
    "harsh_braking_count",
    "rapid_accel_count",
    "harsh_corner_count",
    "speeding_s",
    "speed_limit_known_miles",
    "phone_usage_s",
    "phone_known_miles",
    "night_miles",
    "late_night_miles",
    "rush_hour_miles",
    "weekend_miles",
    "high_speed_miles",
    "moving_s",
)


@dataclass(frozen=True, slots=True)
class TripFilter:
    """Which trips to list. ``driver_id`` None means all drivers."""

    driver_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    risk_level: str | None = None
    search: str | None = None


_scored = trips.outerjoin(trip_scores, trip_scores.c.trip_id == trips.c.trip_id)


_LISTED = (
    "trip_id",
    "driver_id",
    "device_id",
    "vehicle_id",
    "status",
    "revision",
    "start_time",
    "end_time",
    "time_zone",
    "start_latitude",
    "start_longitude",
    "end_latitude",
    "end_longitude",
    "duration_s",
    "distance_miles",
    "avg_speed_mph",
    "max_speed_mph",
    "harsh_braking_count",
    "rapid_accel_count",
    "harsh_corner_count",
    "speeding_count",
    "speeding_s",
    "speed_limit_known_s",
    "phone_usage_s",
    "phone_known_s",
    "night_miles",
)
"""What lists show of a trip: a third of its columns, and a page has twenty."""


def _listing(*columns: ColumnElement[Any]) -> Select[Any]:
    scored = (trip_scores.c.trip_score, trip_scores.c.risk_level, excluded().label("excluded"))
    return select(*(columns or (trips.c[name] for name in _LISTED)), *scored).select_from(_scored)


def _where(query: Select[Any], wanted: TripFilter) -> Select[Any]:
    query = query.where(trips.c.status.in_(VISIBLE))
    if wanted.driver_id is not None:
        query = query.where(trips.c.driver_id == wanted.driver_id)
    if wanted.since is not None:
        query = query.where(trips.c.start_time >= wanted.since)
    if wanted.until is not None:
        query = query.where(trips.c.start_time < wanted.until)
    if wanted.risk_level is not None:
        query = query.where(trip_scores.c.risk_level == wanted.risk_level)
    if wanted.search:
        query = query.where(_matches(wanted.search))
    return query


def _matches(search: str) -> Any:
    """A trip's id, device or vehicle starts with the text; for a text without any letter or digit nothing matches."""
    prefix = search.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    if prefix == "%":
        return false()
    return (
        cast(trips.c.trip_id, String).ilike(prefix)
        | trips.c.device_id.ilike(prefix)
        | trips.c.vehicle_id.ilike(prefix)
        | trips.c.driver_id.ilike(prefix)
    )


TripKey = tuple[datetime, UUID]
"""Where a trip is in a list: its start and its id."""


async def list_trips(
    uow: UnitOfWork, wanted: TripFilter, *, page: int, page_size: int, after: TripKey | None = None
) -> tuple[list[Mapping[str, Any]], int]:
    """Return a page of trips, newest first, and how many there are in all; ``after`` counts in place of ``page``."""
    counting = _where(select(func.count()).select_from(_scored), wanted)
    total = (await uow.conn.execute(counting)).scalar_one()
    query = _where(_listing(), wanted).order_by(trips.c.start_time.desc(), trips.c.trip_id)
    if after is not None:
        start, trip_id = after
        later = (trips.c.start_time < start) | (trips.c.trip_id > trip_id)
        query, page = query.where(trips.c.start_time <= start, later), 1
    rows = await uow.conn.execute(query.limit(page_size).offset((page - 1) * page_size))
    return [row._mapping for row in rows], total


def _paged_by_driver() -> Select[Any]:
    """Select a page of each driver's trips; made once, since making it costs more than running it."""
    wanted = func.unnest(bindparam("driver_ids", type_=ARRAY(Text))).table_valued("driver_id").render_derived("wanted")
    mine = and_(trips.c.driver_id == wanted.c.driver_id, trips.c.status.in_(VISIBLE))
    # Lateral: in the list of columns it would be counted anew for each trip.
    counted = select(func.count().label("total")).select_from(trips).where(mine).lateral("counted")
    listed = _listing().where(mine).order_by(trips.c.start_time.desc(), trips.c.trip_id)
    one = listed.limit(bindparam("most", type_=Integer)).offset(bindparam("skipped", type_=Integer)).lateral("one")
    shown = (column for column in one.c if column.name != "driver_id")
    joined = wanted.join(counted, true()).outerjoin(one, true())
    order = (wanted.c.driver_id, one.c.start_time.desc(), one.c.trip_id)
    return select(wanted.c.driver_id, counted.c.total, *shown).select_from(joined).order_by(*order)


_PAGED_BY_DRIVER = _paged_by_driver()


async def list_trips_many(
    uow: UnitOfWork, driver_ids: Sequence[str], *, page: int, page_size: int
) -> dict[str, tuple[list[Mapping[str, Any]], int]]:
    """Return the same page of all trips of each driver, and how many it has; one statement."""
    values = {"driver_ids": list(driver_ids), "most": page_size, "skipped": (page - 1) * page_size}
    found: dict[str, tuple[list[Mapping[str, Any]], int]] = {}
    for row in (await uow.conn.execute(_PAGED_BY_DRIVER, values)).mappings():
        rows, _ = found.setdefault(row["driver_id"], ([], row["total"]))
        if row["trip_id"] is not None:
            rows.append(row)
    return found


async def get_trip(uow: UnitOfWork, driver_id: str, trip_id: UUID) -> Mapping[str, Any] | None:
    """Return one trip of this driver with its score, or None."""
    query = _where(_listing(*trips.c), TripFilter(driver_id=driver_id)).where(trips.c.trip_id == trip_id)
    row = (await uow.conn.execute(query)).one_or_none()
    return None if row is None else row._mapping


async def list_alerts(
    uow: UnitOfWork, driver_id: str, *, since: datetime, page: int, page_size: int
) -> tuple[list[Mapping[str, Any]], int]:
    """Return a page of crashes and severe events since then, newest first, and how many there are."""
    grave = (trip_events.c.severity == "severe") | (trip_events.c.kind == "crash")
    joined = trip_events.join(trips, trips.c.trip_id == trip_events.c.trip_id)
    own = and_(
        trips.c.driver_id == driver_id,
        trips.c.status.in_(VISIBLE),
        # A trip holds its events: one that ended before can't have one, and the index is on trips.
        func.coalesce(trips.c.end_time, func.now()) >= since,
        trip_events.c.started_at >= since,
        grave,
    )
    total = (await uow.conn.execute(select(func.count()).select_from(joined).where(own))).scalar_one()
    query = select(trip_events).select_from(joined).where(own)
    query = query.order_by(trip_events.c.started_at.desc(), trip_events.c.trip_id, trip_events.c.seq)
    rows = await uow.conn.execute(query.limit(page_size).offset((page - 1) * page_size))
    return [row._asdict() for row in rows], total


def _totals() -> tuple[ColumnElement[Any], ...]:
    done = trips.c.status == "completed"
    scored_miles = func.sum(trips.c.distance_miles).filter(and_(done, trip_scores.c.trip_score.is_not(None)))
    return (
        func.count().filter(done).label("trip_count"),
        func.count().filter(trips.c.status == "in_progress").label("in_progress"),
        *(func.coalesce(func.sum(trips.c[name]).filter(done), 0).label(name) for name in _SUMMED),
        func.coalesce(func.max(trips.c.max_speed_mph).filter(done), 0.0).label("max_speed_mph"),
        func.min(trips.c.start_time).filter(done).label("first_start"),
        func.max(trips.c.end_time).filter(done).label("last_end"),
        (func.sum(trip_scores.c.trip_score * trips.c.distance_miles).filter(done) / func.nullif(scored_miles, 0)).label(
            "avg_trip_score"
        ),
    )


async def trip_totals(
    uow: UnitOfWork, driver_id: str, *, since: datetime | None = None, until: datetime | None = None
) -> Row[Any]:
    """Return sums, extremes and the mean score over a driver's completed trips that started in [since, until)."""
    query = _where(select(*_totals()).select_from(_scored), TripFilter(driver_id=driver_id, since=since, until=until))
    row: Row[Any] = (await uow.conn.execute(query.where(~excluded()))).one()
    return row


async def trip_totals_many(
    uow: UnitOfWork, driver_ids: Sequence[str], *, since: datetime | None = None, until: datetime | None = None
) -> dict[str, Row[Any]]:
    """Return the same of several drivers, of those that have trips there; one statement."""
    wanted = trips.c.driver_id == any_(literal(list(driver_ids), ARRAY(Text)))
    query = _where(select(trips.c.driver_id, *_totals()).select_from(_scored), TripFilter(since=since, until=until))
    rows = await uow.conn.execute(query.where(wanted, ~excluded()).group_by(trips.c.driver_id))
    return {row.driver_id: row for row in rows}


async def active_drivers(uow: UnitOfWork, *, since: datetime, limit: int) -> list[str]:
    """Return the drivers who drove last, at most ``limit`` and none who did not since then."""
    latest = func.max(trips.c.start_time)
    query = select(trips.c.driver_id).where(trips.c.start_time >= since).group_by(trips.c.driver_id)
    query = query.order_by(latest.desc(), trips.c.driver_id).limit(limit)
    return list((await uow.conn.execute(query)).scalars())
