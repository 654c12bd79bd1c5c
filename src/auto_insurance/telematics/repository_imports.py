"""SQL of the import jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, func, insert, or_, select, update

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.telematics.models import imports


class ImportRow(msgspec.Struct, frozen=True, kw_only=True):
    """An import as it is stored, without its content."""

    job_id: UUID
    driver_id: str
    device_id: str
    format: str
    status: str
    next_row: int
    accepted: int
    rejected: int
    reasons: dict[str, int]
    problems: list[dict[str, Any]]
    detail: str | None
    attempts: int
    created_at: datetime
    finished_at: datetime | None


_COLUMNS = [imports.c[name] for name in ImportRow.__struct_fields__]


def _import(row: Row[Any]) -> ImportRow:
    return ImportRow(**row._mapping)


async def add_import(
    uow: UnitOfWork, *, job_id: UUID, driver_id: str, device_id: str, format: str, content: bytes
) -> ImportRow:
    """Queue a file."""
    values = {"job_id": job_id, "driver_id": driver_id, "device_id": device_id, "format": format, "content": content}
    statement = insert(imports).values(**values, status="queued", created_at=clock.now()).returning(*_COLUMNS)
    return _import((await uow.conn.execute(statement)).one())


async def get_import(uow: UnitOfWork, job_id: UUID) -> ImportRow | None:
    """Return an import."""
    row = (await uow.conn.execute(select(*_COLUMNS).where(imports.c.job_id == job_id))).first()
    return None if row is None else _import(row)


async def open_imports(uow: UnitOfWork, driver_id: str) -> int:
    """Return how many of a driver's imports are not finished."""
    mine = (imports.c.driver_id == driver_id) & imports.c.status.in_(("queued", "running"))
    return int((await uow.conn.execute(select(func.count()).where(mine))).scalar_one())


async def claim_import(uow: UnitOfWork, lease: timedelta) -> tuple[ImportRow, bytes] | None:
    """Take the oldest open import that nobody works on, for as long as the lease; return it with its content."""
    now = clock.now()
    free = or_(imports.c.status == "queued", (imports.c.status == "running") & (imports.c.leased_until < now))
    oldest = (
        select(imports.c.job_id).where(free).order_by(imports.c.created_at).limit(1).with_for_update(skip_locked=True)
    ).scalar_subquery()
    statement = (
        update(imports)
        .where(imports.c.job_id == oldest)
        .values(status="running", leased_until=now + lease, attempts=imports.c.attempts + 1)
        .returning(*_COLUMNS, imports.c.content)
    )
    row = (await uow.conn.execute(statement)).first()
    if row is None:
        return None
    values = dict(row._mapping)
    content = values.pop("content") or b""
    return ImportRow(**values), content


async def note_progress(
    uow: UnitOfWork,
    job: ImportRow,
    *,
    next_row: int,
    accepted: int,
    rejected: int,
    reasons: Mapping[str, int],
    problems: Sequence[Mapping[str, Any]],
    lease: timedelta,
) -> bool:
    """Write how far an import is, if it is still ours (``attempts`` unchanged); return whether it is."""
    statement = (
        update(imports)
        .where(imports.c.job_id == job.job_id, imports.c.attempts == job.attempts, imports.c.status == "running")
        .values(
            next_row=next_row,
            accepted=accepted,
            rejected=rejected,
            reasons=dict(reasons),
            problems=list(problems),
            leased_until=clock.now() + lease,
        )
    )
    return (await uow.conn.execute(statement)).rowcount == 1


async def finish_import(uow: UnitOfWork, job: ImportRow, *, failed: str | None) -> None:
    """End an import; its content goes."""
    statement = (
        update(imports)
        .where(imports.c.job_id == job.job_id, imports.c.attempts == job.attempts)
        .values(
            status="failed" if failed else "done",
            detail=failed,
            content=None,
            leased_until=None,
            finished_at=clock.now(),
        )
    )
    await uow.conn.execute(statement)


async def release_import(uow: UnitOfWork, job: ImportRow) -> None:
    """Put an import back: what it needs is away, and that is not its fault."""
    statement = (
        update(imports)
        .where(imports.c.job_id == job.job_id, imports.c.attempts == job.attempts)
        .values(status="queued", leased_until=None, attempts=0)
    )
    await uow.conn.execute(statement)
