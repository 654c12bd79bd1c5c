"""SQL of the runs that score the whole book."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import RowMapping, insert, select, update

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock, ids
from auto_insurance.risk.models import risk_runs


class BookRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run over the book; see ``models.risk_runs``."""

    run_id: UUID
    model_version: str
    reason: str
    started_at: datetime
    last_driver_id: str
    scored: int
    told: int
    finished_at: datetime | None


async def unfinished(uow: UnitOfWork, model_version: str, oldest: datetime) -> BookRun | None:
    """Return the newest run of this model that was begun after ``oldest`` and is not finished."""
    c = risk_runs.c
    query = (
        select(risk_runs)
        .where(c.finished_at.is_(None), c.model_version == model_version, c.started_at > oldest)
        .order_by(c.started_at.desc())
        .limit(1)
    )
    row = (await uow.conn.execute(query)).mappings().first()
    return _run(row) if row is not None else None


async def newest(uow: UnitOfWork, reason: str) -> BookRun | None:
    """Return the run of this reason that began last."""
    query = select(risk_runs).where(risk_runs.c.reason == reason).order_by(risk_runs.c.started_at.desc()).limit(1)
    row = (await uow.conn.execute(query)).mappings().first()
    return _run(row) if row is not None else None


async def begin(uow: UnitOfWork, model_version: str, reason: str) -> BookRun:
    """Note a new run; it begins now."""
    run = BookRun(
        run_id=ids.new_uuid(),
        model_version=model_version,
        reason=reason,
        started_at=clock.now(),
        last_driver_id="",
        scored=0,
        told=0,
        finished_at=None,
    )
    await uow.conn.execute(insert(risk_runs).values(msgspec.structs.asdict(run)))
    return run


async def hold(uow: UnitOfWork, run_id: UUID) -> BookRun | None:
    """Return a run as it is now, and keep others off it until the transaction ends; waits for one who has it."""
    query = select(risk_runs).where(risk_runs.c.run_id == run_id).with_for_update()
    row = (await uow.conn.execute(query)).mappings().first()
    return _run(row) if row is not None else None


async def advance(uow: UnitOfWork, run: BookRun, last_driver_id: str, scored: int, told: int) -> BookRun:
    """Note that the drivers up to this one are done; return the run as it is then."""
    after = msgspec.structs.replace(
        run, last_driver_id=last_driver_id, scored=run.scored + scored, told=run.told + told
    )
    return await _save(uow, after)


async def finish(uow: UnitOfWork, run: BookRun) -> BookRun:
    """Note that a run is done."""
    return await _save(uow, msgspec.structs.replace(run, finished_at=clock.now()))


async def _save(uow: UnitOfWork, run: BookRun) -> BookRun:
    await uow.conn.execute(
        update(risk_runs)
        .where(risk_runs.c.run_id == run.run_id)
        .values(last_driver_id=run.last_driver_id, scored=run.scored, told=run.told, finished_at=run.finished_at)
    )
    return run


def _run(row: RowMapping) -> BookRun:
    return BookRun(**row)
