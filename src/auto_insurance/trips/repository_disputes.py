"""All SQL about disputes of trips, and which trips count."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, and_, case, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert

from auto_insurance.infra.db.touched import Aspect
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.trips.models import trips
from auto_insurance.trips.models_disputes import trip_disputes as disputes

EXCLUDED = "excluded"


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute as stored; see ``models_disputes``."""

    dispute_id: UUID
    trip_id: UUID
    driver_id: str
    reason: str
    note: str | None
    status: str
    created_at: datetime
    created_by: UUID
    decided_at: datetime | None = None
    decided_by: UUID | None = None
    decision_note: str | None = None


def excluded() -> ColumnElement[bool]:
    """Tell of a row of ``trips`` whether an accepted dispute takes it out."""
    return exists().where(disputes.c.trip_id == trips.c.trip_id, disputes.c.status == "accepted")


def counts() -> ColumnElement[bool]:
    """Tell of a row of ``trips`` whether it counts: completed, and not taken out by an accepted dispute."""
    return and_(trips.c.status == "completed", ~excluded())


def status_shown() -> ColumnElement[str]:
    """Return a trip's status, ``excluded`` for a completed one that counts nowhere."""
    return case((and_(trips.c.status == "completed", excluded()), EXCLUDED), else_=trips.c.status).label("status")


async def add_dispute(uow: UnitOfWork, dispute: Dispute) -> bool:
    """Insert a dispute; False, and nothing done, if the trip has one."""
    uow.touched(Aspect.TRIPS, [dispute.driver_id])
    values = msgspec.structs.asdict(dispute)
    query = insert(disputes).values(values).on_conflict_do_nothing().returning(disputes.c.dispute_id)
    return (await uow.conn.execute(query)).scalar_one_or_none() is not None


async def get_dispute(uow: UnitOfWork, dispute_id: UUID) -> Dispute | None:
    """Return a dispute, locked until the transaction ends."""
    query = select(disputes).where(disputes.c.dispute_id == dispute_id).with_for_update()
    row = (await uow.conn.execute(query)).mappings().one_or_none()
    return None if row is None else Dispute(**row)


async def dispute_of_trip(uow: UnitOfWork, trip_id: UUID) -> Dispute | None:
    """Return the dispute of a trip."""
    row = (await uow.conn.execute(select(disputes).where(disputes.c.trip_id == trip_id))).mappings().one_or_none()
    return None if row is None else Dispute(**row)


async def decide_dispute(
    uow: UnitOfWork, dispute_id: UUID, status: str, decided_by: UUID, at: datetime, note: str | None
) -> None:
    """Write down the decision on an open dispute."""
    query = update(disputes).where(disputes.c.dispute_id == dispute_id, disputes.c.status == "open")
    values = {"status": status, "decided_at": at, "decided_by": decided_by, "decision_note": note}
    decided = await uow.conn.execute(query.values(values).returning(disputes.c.driver_id))
    uow.touched(Aspect.TRIPS, decided.scalars())


async def list_disputes(
    uow: UnitOfWork, driver_id: str | None, status: str | None, *, limit: int, offset: int
) -> tuple[list[Dispute], int]:
    """Return a page of disputes, newest first, and how many there are. ``driver_id`` None means all drivers."""
    counting = _where(select(func.count()).select_from(disputes), driver_id, status)
    total = int((await uow.conn.execute(counting)).scalar_one())
    query = _where(select(disputes), driver_id, status).order_by(disputes.c.created_at.desc(), disputes.c.dispute_id)
    rows = (await uow.conn.execute(query.limit(limit).offset(offset))).mappings()
    return [Dispute(**row) for row in rows], total


def _where(query: Select[Any], driver_id: str | None, status: str | None) -> Select[Any]:
    if driver_id is not None:
        query = query.where(disputes.c.driver_id == driver_id)
    if status is not None:
        query = query.where(disputes.c.status == status)
    return query
