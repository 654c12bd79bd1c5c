"""SQL of the drivers who wait for a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

import msgspec
from sqlalchemy import Text, any_, case, delete, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from auto_insurance.contracts.trips import TRIP_COMPLETED, TRIP_WITHDRAWN
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.risk.models import due_scores


class DueScore(msgspec.Struct, frozen=True):
    """A driver who waits for a score; see ``models.due_scores``."""

    driver_id: str
    reason: str
    attempts: int
    traceparent: str | None = None


_ROW = (due_scores.c.driver_id, due_scores.c.reason, due_scores.c.attempts, due_scores.c.traceparent)


async def note(
    uow: UnitOfWork, reasons: Mapping[str, str], due_at: datetime, traces: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Let these drivers wait until ``due_at``; who waits already goes on until its own time, with the weightier reason.

    Reasons are types of events of trips: a withdrawn trip outweighs a completed one and an amended one.
    """
    rows = [
        {
            "driver_id": driver_id,
            "due_at": due_at,
            "reason": reasons[driver_id],
            "attempts": 0,
            "traceparent": traces.get(driver_id),
        }
        for driver_id in sorted(reasons)  # in one order, so that two batches wait for each other and don't deadlock
    ]
    statement = upsert(due_scores).values(rows)
    old, new = due_scores.c.reason, statement.excluded.reason
    heavier = case((old == TRIP_WITHDRAWN, old), (new == TRIP_COMPLETED, old), else_=new)
    trace = func.coalesce(statement.excluded.traceparent, due_scores.c.traceparent)
    await uow.conn.execute(
        statement.on_conflict_do_update(
            index_elements=[due_scores.c.driver_id], set_={"reason": heavier, "traceparent": trace}
        )
    )


async def take(uow: UnitOfWork, driver_ids: Sequence[str]) -> list[DueScore]:
    """Take those of these drivers that wait off the list; they are back on it if the transaction fails."""
    wanted = any_(literal(list(driver_ids), ARRAY(Text)))
    query = delete(due_scores).where(due_scores.c.driver_id == wanted).returning(*_ROW)
    return [DueScore(*row) for row in await uow.conn.execute(query)]


async def take_due(uow: UnitOfWork, until: datetime, limit: int) -> list[DueScore]:
    """Take the longest waiting drivers whose time has come off the list, without waiting for who else does so."""
    oldest = (
        select(due_scores.c.driver_id)
        .where(due_scores.c.due_at <= until)
        .order_by(due_scores.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    query = delete(due_scores).where(due_scores.c.driver_id.in_(oldest)).returning(*_ROW)
    return sorted((DueScore(*row) for row in await uow.conn.execute(query)), key=lambda one: one.driver_id)


async def put_back(uow: UnitOfWork, one: DueScore, due_at: datetime) -> None:
    """Put somebody who could not be scored on the list again."""
    row = {"driver_id": one.driver_id, "due_at": due_at, "reason": one.reason, "attempts": one.attempts + 1}
    row |= {"traceparent": one.traceparent}
    await uow.conn.execute(upsert(due_scores).values(row).on_conflict_do_nothing())
