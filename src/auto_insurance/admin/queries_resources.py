"""Lists of vehicles, devices, trips and policies. Each function is one statement, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, false, func, or_, select, text, true

from auto_insurance.admin.queries_drivers import starting
from auto_insurance.admin.reading import Rows, fetch, fetch_one
from auto_insurance.drivers.models import device_assignments, devices, drivers, vehicles
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.policies.models import policies, policy_segments, policy_terms
from auto_insurance.risk.models import trip_scores
from auto_insurance.telematics.models import device_contacts
from auto_insurance.trips.models import trips

_V, _D, _T, _P = vehicles.c, devices.c, trips.c, policies.c
NO_ID = UUID(int=0)


@dataclass(frozen=True, slots=True)
class ThingFilter:
    """Which vehicles, devices or policies. ``search``: the beginning of an id. Nothing given does not filter."""

    search: str = ""
    driver_id: str | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class BookTripFilter:
    """Which trips. ``search``: the beginning of an id, 8 hexadecimal digits at least; others find nothing."""

    search: str = ""
    driver_id: str | None = None
    device_id: str | None = None
    status: str = "completed"
    risk_level: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def id_range(search: str) -> tuple[UUID, UUID] | None:
    """Return the first and the last UUID that begin with a text; None if none does or it is too short to look for."""
    digits = search.strip().lower().replace("-", "")
    if not 8 <= len(digits) <= 32 or not set(digits) <= set("0123456789abcdef"):
        return None
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


def _by_prefix(search: str, *columns: Any) -> ColumnElement[bool]:
    patterns = sorted({starting(search), starting(search.upper())})
    return or_(*(column.like(pattern) for column in columns for pattern in patterns))


# --- vehicles ---


def _vehicles(wanted: ThingFilter, *shown: Any) -> Select[Any]:
    query = select(*shown).select_from(vehicles)
    if wanted.search:
        query = query.where(or_(_by_prefix(wanted.search, _V.vehicle_id), _V.vin == wanted.search.upper()))
    return query if wanted.driver_id is None else query.where(_V.driver_id == wanted.driver_id)


def _shown_vehicles(wanted: ThingFilter) -> Select[Any]:
    return _vehicles(wanted, vehicles)


async def list_vehicles(uow: UnitOfWork, wanted: ThingFilter, *, descending: bool, limit: int, offset: int) -> Rows:
    """Return vehicles in order of time."""
    query = _shown_vehicles(wanted).order_by(*_ordered(descending, _V.created_at, _V.vehicle_id))
    return await fetch(uow, query.limit(limit).offset(offset))


async def vehicles_after(uow: UnitOfWork, wanted: ThingFilter, *, after: str, limit: int) -> Rows:
    """Return vehicles in the order of ids, from past one on."""
    query = _shown_vehicles(wanted).where(_V.vehicle_id > after).order_by(_V.vehicle_id).limit(limit)
    return await fetch(uow, query)


async def count_vehicles(uow: UnitOfWork, wanted: ThingFilter) -> int:
    """Return how many vehicles a filter finds."""
    return int((await uow.conn.execute(_vehicles(wanted, func.count()))).scalar_one())


async def is_insured(uow: UnitOfWork, driver_id: str, vehicle_id: str) -> bool:
    """Return whether any policy of the driver covers the vehicle, or did as of now."""
    s = policy_segments.c
    found = exists().where(s.driver_id == driver_id, s.vehicle_id == vehicle_id, s.until_revision.is_(None))
    return bool((await uow.conn.execute(select(found))).scalar_one())


# --- devices ---


def _holder(device_id: Any) -> Any:
    a = device_assignments.c
    held = select(a.driver_id, a.vehicle_id, a.valid_from).where(a.device_id == device_id, a.valid_to.is_(None))
    return held.order_by(a.valid_from.desc()).limit(1).lateral("holder")


def _contact(device_id: Any) -> Any:
    c = device_contacts.c
    last = select(c.last_received_at).where(c.device_id == device_id)
    return last.order_by(c.hour.desc()).limit(1).lateral("contact")


def _devices(wanted: ThingFilter, *shown: Any) -> Select[Any]:
    query = select(*shown).select_from(devices)
    if wanted.search:
        query = query.where(_by_prefix(wanted.search, _D.device_id))
    if wanted.driver_id is not None:
        a = device_assignments.c
        held = select(a.device_id).where(a.driver_id == wanted.driver_id, a.valid_to.is_(None))
        query = query.where(_D.device_id.in_(held))
    if wanted.status is not None:
        retired = _D.retired_at.is_not(None)
        query = query.where(retired if wanted.status == "retired" else ~retired)
    return query


async def list_devices(uow: UnitOfWork, wanted: ThingFilter, *, descending: bool, limit: int, offset: int) -> Rows:
    """Return devices in order of time, with who has each and when it was last heard of."""
    chosen = _devices(wanted, devices).order_by(*_ordered(descending, _D.created_at, _D.device_id))
    page = chosen.limit(limit).offset(offset).cte("chosen")
    query = _shown_devices(page).order_by(*_ordered(descending, page.c.created_at, page.c.device_id))
    return await fetch(uow, query)


async def devices_after(uow: UnitOfWork, wanted: ThingFilter, *, after: str, limit: int) -> Rows:
    """Return devices in the order of ids, from past one on."""
    chosen = _devices(wanted, devices).where(_D.device_id > after).order_by(_D.device_id).limit(limit)
    step = chosen.cte("chosen")
    return await fetch(uow, _shown_devices(step).order_by(step.c.device_id))


async def get_device(uow: UnitOfWork, device_id: str) -> Any:
    """Return a device."""
    chosen = select(devices).where(_D.device_id == device_id).cte("chosen")
    return await fetch_one(uow, _shown_devices(chosen))


async def count_devices(uow: UnitOfWork, wanted: ThingFilter) -> int:
    """Return how many devices a filter finds."""
    return int((await uow.conn.execute(_devices(wanted, func.count()))).scalar_one())


def _shown_devices(chosen: Any) -> Select[Any]:
    holder, contact = _holder(chosen.c.device_id), _contact(chosen.c.device_id)
    return select(
        *chosen.c,
        holder.c.driver_id,
        holder.c.vehicle_id,
        holder.c.valid_from.label("assigned_from"),
        contact.c.last_received_at.label("last_seen_at"),
    ).select_from(chosen.outerjoin(holder, true()).outerjoin(contact, true()))


# --- trips ---

_TRIP = (
    _T.trip_id, _T.driver_id, _T.device_id, _T.vehicle_id, _T.status, _T.revision, _T.start_time, _T.end_time,
    _T.time_zone, _T.duration_s, _T.distance_miles, _T.avg_speed_mph, _T.max_speed_mph, _T.harsh_braking_count,
    _T.rapid_accel_count, _T.harsh_corner_count, _T.speeding_count, _T.night_miles, _T.crash_reported,
    trip_scores.c.trip_score, trip_scores.c.risk_level,
)  # fmt: skip


def _trips(wanted: BookTripFilter, *shown: Any, scored: bool) -> Select[Any]:
    source: Any = trips
    if scored or wanted.risk_level is not None:
        source = trips.outerjoin(trip_scores, trip_scores.c.trip_id == _T.trip_id)
    # The status as text: so the planner sees that a partial index has all the rows.
    query = select(*shown).select_from(source).where(_status(wanted.status))
    given = ((_T.driver_id, wanted.driver_id), (_T.device_id, wanted.device_id))
    query = query.where(*(column == value for column, value in given if value is not None))
    if wanted.since is not None:
        query = query.where(_T.start_time >= wanted.since)
    if wanted.until is not None:
        query = query.where(_T.start_time < wanted.until)
    if wanted.risk_level is not None:
        query = query.where(trip_scores.c.risk_level == wanted.risk_level)
    if wanted.search:
        bounds = id_range(wanted.search)
        query = query.where(false() if bounds is None else _T.trip_id.between(*bounds))
    return query


def _status(status: str) -> Any:
    literal = {"completed": "'completed'", "in_progress": "'in_progress'", "withdrawn": "'withdrawn'"}[status]
    return text(f"trips.status = {literal}")


async def list_book_trips(
    uow: UnitOfWork, wanted: BookTripFilter, *, descending: bool, limit: int, offset: int
) -> Rows:
    """Return trips in order of time, without places."""
    query = _trips(wanted, *_TRIP, scored=True).order_by(*_ordered(descending, _T.start_time), _T.trip_id)
    return await fetch(uow, query.limit(limit).offset(offset))


async def book_trips_after(uow: UnitOfWork, wanted: BookTripFilter, *, after: UUID, limit: int) -> Rows:
    """Return trips in the order of ids, from past one on."""
    query = _trips(wanted, *_TRIP, scored=True).where(_T.trip_id > after).order_by(_T.trip_id).limit(limit)
    return await fetch(uow, query)


async def get_book_trip(uow: UnitOfWork, trip_id: UUID) -> Any:
    """Return a trip, whatever its status, without places."""
    source = trips.outerjoin(trip_scores, trip_scores.c.trip_id == _T.trip_id)
    return await fetch_one(uow, select(*_TRIP).select_from(source).where(_T.trip_id == trip_id))


async def count_book_trips(uow: UnitOfWork, wanted: BookTripFilter) -> int:
    """Return how many trips a filter finds."""
    return int((await uow.conn.execute(_trips(wanted, func.count(), scored=False))).scalar_one())


# --- policies ---


async def policies_after(uow: UnitOfWork, wanted: ThingFilter, *, after: str, limit: int) -> Rows:
    """Return policies with their running term in the order of ids, from past one on."""
    query = _policies(wanted).where(_P.policy_id > after).order_by(_P.policy_id).limit(limit)
    return await fetch(uow, query)


async def policies_of(uow: UnitOfWork, driver_id: str, limit: int) -> Rows:
    """Return a driver's policies with their running term, the newest first."""
    query = _policies(ThingFilter(driver_id=driver_id)).order_by(_P.created_at.desc(), _P.policy_id.desc())
    return await fetch(uow, query.limit(limit))


async def with_policies(uow: UnitOfWork, driver_ids: Sequence[str]) -> frozenset[str]:
    """Return those of the drivers that have a policy which runs, lapsed or is about to begin."""
    standing = _P.status.in_(("bound", "active", "lapsed"))
    query = select(_P.driver_id).distinct().where(_P.driver_id.in_(driver_ids), standing)
    return frozenset((await uow.conn.execute(query)).scalars())


def _policies(wanted: ThingFilter) -> Select[Any]:
    t = policy_terms.c
    joined = policies.join(policy_terms, and_(t.policy_id == _P.policy_id, t.term == _P.term))
    query = select(policies, t.starts_on, t.ends_on, t.stopped_on, t.written).select_from(joined)
    if wanted.search:
        query = query.where(_by_prefix(wanted.search, _P.policy_id, _P.driver_id))
    if wanted.driver_id is not None:
        query = query.where(_P.driver_id == wanted.driver_id)
    return query if wanted.status is None else query.where(_P.status == wanted.status)


async def exist(uow: UnitOfWork, driver_ids: Sequence[str]) -> dict[str, str]:
    """Return how those of the drivers that exist stand: ``active``, ``inactive`` or what their status says."""
    c = drivers.c
    query = select(c.driver_id, c.status, c.deactivated_at).where(c.driver_id.in_(driver_ids))
    rows = await uow.conn.execute(query)
    return {
        row.driver_id: "inactive" if row.deactivated_at is not None and row.status == "active" else row.status
        for row in rows
    }


def _ordered(descending: bool, *columns: Any) -> list[Any]:
    return [column.desc() if descending else column.asc() for column in columns]
