"""All SQL that reads trips for others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Join,
    RowMapping,
    Select,
    Text,
    and_,
    any_,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.trips.detect import MAX_EVENTS
from auto_insurance.trips.models import trip_events, trips
from auto_insurance.trips.repository_disputes import counts, excluded, status_shown
from auto_insurance.trips.schemas import TripEvent, TripFacts, TripFilter, TripsSeen, TripSums, TripTotals

_SUMS = TripSums.__struct_fields__
_FACTS = TripFacts.__struct_fields__
_SEEN = TripsSeen.__struct_fields__
_EVENT = TripEvent.__struct_fields__
Spans = Mapping[str, tuple[datetime, datetime]]
"""Of each driver the trips that started in [since, until)."""


async def totals(
    uow: UnitOfWork, driver_ids: Sequence[str], since: datetime, until: datetime, ended_by: datetime | None = None
) -> dict[str, TripTotals]:
    """Return the sums over completed trips that started in [since, until), by driver; none, no entry.

    With ``ended_by`` only those that were over by then.
    """
    query = (
        select(trips.c.driver_id, *_totals())
        .where(
            of_drivers(driver_ids),
            counts(),
            trips.c.start_time >= since,
            trips.c.start_time < until,
        )
        .group_by(trips.c.driver_id)
    )
    if ended_by is not None:
        query = query.where(trips.c.end_time <= ended_by)
    rows = (await uow.conn.execute(query)).mappings()
    return {row["driver_id"]: TripTotals(**row) for row in rows}


async def totals_within(uow: UnitOfWork, spans: Spans) -> dict[str, TripTotals]:
    """Return the same sums with a span of its own for each driver; one statement."""
    query = select(trips.c.driver_id, *_totals()).select_from(_within(spans)).group_by(trips.c.driver_id)
    rows = (await uow.conn.execute(query)).mappings()
    return {row["driver_id"]: TripTotals(**row) for row in rows}


async def seen(uow: UnitOfWork, spans: Spans) -> dict[str, TripsSeen]:
    """Return what each driver's completed trips of a span are told apart by; none, no entry. One statement."""
    query = select(trips.c.driver_id.label("of"), *_seen()).select_from(_within(spans)).group_by(trips.c.driver_id)
    rows = (await uow.conn.execute(query)).mappings()
    return {row["of"]: TripsSeen(**{name: row[name] for name in _SEEN}) for row in rows}


async def get(uow: UnitOfWork, trip_id: UUID) -> TripFacts | None:
    """Return one trip, whatever its status."""
    row = (await uow.conn.execute(_facts_query().where(trips.c.trip_id == trip_id))).mappings().one_or_none()
    return None if row is None else _facts(row)


async def events_of(uow: UnitOfWork, trip_id: UUID) -> list[TripEvent]:
    """Return what happened on a trip, in order of time."""
    query = (
        select(*(trip_events.c[name] for name in _EVENT))
        .where(trip_events.c.trip_id == trip_id)
        .order_by(trip_events.c.seq)
        .limit(2 * MAX_EVENTS)
    )
    return [TripEvent(**row) for row in (await uow.conn.execute(query)).mappings()]


async def list_trips(
    uow: UnitOfWork, driver_ids: Sequence[str] | None, filters: TripFilter, page: int, page_size: int
) -> tuple[list[TripFacts], int]:
    """Return a page of trips, latest start first, and how many there are. ``driver_ids`` None means all drivers."""
    wanted = _filtered(_facts_query(), driver_ids, filters)
    total = await uow.conn.scalar(_filtered(select(func.count()).select_from(trips), driver_ids, filters))
    query = wanted.order_by(trips.c.start_time.desc(), trips.c.trip_id).limit(page_size).offset((page - 1) * page_size)
    rows = (await uow.conn.execute(query)).mappings()
    return [_facts(row) for row in rows], int(total or 0)


def of_drivers(driver_ids: Sequence[str]) -> ColumnElement[bool]:
    """Limit to drivers, passed as one array: one statement, however many they are."""
    return trips.c.driver_id == any_(literal(list(driver_ids), postgresql.ARRAY(Text)))


def _seen() -> tuple[ColumnElement[Any], ...]:
    return (
        func.count().label("trip_count"),
        func.sum(trips.c.revision).label("revisions"),
        func.min(trips.c.start_time).label("first_start"),
        func.max(trips.c.end_time).label("last_end"),
        func.max(trips.c.updated_at).label("changed_at"),
    )


def _totals() -> tuple[ColumnElement[Any], ...]:
    fastest = func.max(trips.c.max_speed_mph).label("max_speed_mph")
    return (*_seen(), fastest, *(func.sum(trips.c[name]).label(name) for name in _SUMS))


def _within(spans: Spans) -> Join:
    """Join each driver's span, from arrays, with the trips that count and started in it."""
    instants = postgresql.ARRAY(DateTime(timezone=True))
    wanted = (
        func.unnest(
            cast(list(spans), postgresql.ARRAY(Text)),
            cast([since for since, _ in spans.values()], instants),
            cast([until for _, until in spans.values()], instants),
        )
        .table_valued("driver_id", "since", "until")
        .render_derived("spans")
    )
    c, w = trips.c, wanted.c
    return wanted.join(
        trips, and_(c.driver_id == w.driver_id, counts(), c.start_time >= w.since, c.start_time < w.until)
    )


def _facts_query() -> Select[Any]:
    return select(*(status_shown() if name == "status" else trips.c[name] for name in _FACTS))


def _facts(row: RowMapping) -> TripFacts:
    return TripFacts(**row)


def _filtered(query: Select[Any], driver_ids: Sequence[str] | None, filters: TripFilter) -> Select[Any]:
    if driver_ids is not None:
        query = query.where(of_drivers(driver_ids))
    if filters.statuses:
        query = query.where(trips.c.status.in_(filters.statuses), ~excluded())
    if filters.since is not None:
        query = query.where(trips.c.start_time >= filters.since)
    if filters.until is not None:
        query = query.where(trips.c.start_time < filters.until)
    if filters.device_id is not None:
        query = query.where(trips.c.device_id == filters.device_id)
    return query
