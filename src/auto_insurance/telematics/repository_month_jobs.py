"""SQL of the jobs on months."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.telematics.models_archives import month_jobs


class MonthJobRow(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it is stored: how far it is (``step``, ``done`` of ``total``), what came of it."""

    job_id: UUID
    action: str
    month: date
    force: bool
    status: str
    step: str | None
    done: int
    total: int
    result: str | None
    detail: str | None
    attempts: int
    requested_by: UUID
    created_at: datetime
    finished_at: datetime | None


_C = month_jobs.c
_COLUMNS = [_C[name] for name in MonthJobRow.__struct_fields__]


def _job(row: Row[Any]) -> MonthJobRow:
    return MonthJobRow(**row._mapping)


async def add_job(
    uow: UnitOfWork, *, job_id: UUID, action: str, month: date, force: bool, requested_by: UUID
) -> MonthJobRow | None:
    """Queue a job; None if one for the month is open."""
    new = insert(month_jobs).values(
        job_id=job_id,
        action=action,
        month=month,
        force=force,
        status="queued",
        requested_by=requested_by,
        created_at=clock.now(),
    )
    query = new.on_conflict_do_nothing(
        index_elements=["month"], index_where=text("status IN ('queued', 'running')")
    ).returning(*_COLUMNS)
    row = (await uow.conn.execute(query)).first()
    return None if row is None else _job(row)


async def get_job(uow: UnitOfWork, job_id: UUID) -> MonthJobRow | None:
    """Return a job."""
    row = (await uow.conn.execute(select(*_COLUMNS).where(_C.job_id == job_id))).first()
    return None if row is None else _job(row)


async def list_jobs(uow: UnitOfWork, limit: int, offset: int) -> tuple[list[MonthJobRow], int]:
    """Return jobs, the newest first, and how many there are."""
    query = select(*_COLUMNS).order_by(_C.created_at.desc(), _C.job_id.desc()).limit(limit).offset(offset)
    rows = (await uow.conn.execute(query)).all()
    total = (await uow.conn.execute(select(func.count()).select_from(month_jobs))).scalar_one()
    return [_job(row) for row in rows], total


async def claim_job(uow: UnitOfWork, lease: timedelta) -> MonthJobRow | None:
    """Take the oldest open job that nobody works on, for as long as the lease."""
    now = clock.now()
    free = or_(_C.status == "queued", (_C.status == "running") & (_C.leased_until < now))
    oldest = (
        select(_C.job_id).where(free).order_by(_C.created_at).limit(1).with_for_update(skip_locked=True)
    ).scalar_subquery()
    query = (
        update(month_jobs)
        .where(_C.job_id == oldest)
        .values(status="running", leased_until=now + lease, attempts=_C.attempts + 1)
        .returning(*_COLUMNS)
    )
    row = (await uow.conn.execute(query)).first()
    return None if row is None else _job(row)


def _ours(job: MonthJobRow) -> Any:
    """The job, if nobody took it over."""
    return (_C.job_id == job.job_id) & (_C.attempts == job.attempts) & (_C.status == "running")


async def note_step(uow: UnitOfWork, job: MonthJobRow, *, step: str, done: int, total: int, lease: timedelta) -> bool:
    """Write how far a job is and hold it longer; return whether it is still ours."""
    values = {"step": step, "done": done, "total": total, "leased_until": clock.now() + lease}
    return (await uow.conn.execute(update(month_jobs).where(_ours(job)).values(**values))).rowcount == 1


async def release_job(uow: UnitOfWork, job: MonthJobRow) -> None:
    """Put a job back: its time has not come."""
    values = {"status": "queued", "leased_until": None, "attempts": 0}
    await uow.conn.execute(update(month_jobs).where(_ours(job)).values(**values))


async def finish_job(uow: UnitOfWork, job: MonthJobRow, *, result: str | None, detail: str | None) -> None:
    """End a job: with a result, or failed."""
    values = {
        "status": "done" if result else "failed",
        "result": result,
        "detail": detail,
        "leased_until": None,
        "finished_at": clock.now(),
    }
    await uow.conn.execute(update(month_jobs).where(_ours(job)).values(**values))
