"""All SQL of erasure requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, func, insert, select, update

from auto_insurance.drivers.models import erasure_requests
from auto_insurance.drivers.schemas import ErasureRequest, ErasureView
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock, ids

OPEN = ("requested", "running")
_COLUMNS = [erasure_requests.c[name] for name in ErasureRequest.model_fields]


async def open_erasure(uow: UnitOfWork, driver_id: str) -> ErasureView | None:
    """Return the driver's erasure request that waits for staff or is being carried out."""
    c = erasure_requests.c
    query = select(*_COLUMNS).where(c.driver_id == driver_id, c.status.in_(OPEN))
    row = (await uow.conn.execute(query)).mappings().one_or_none()
    return ErasureView(**{name: row[name] for name in ErasureView.model_fields}) if row is not None else None


async def insert_erasure(
    uow: UnitOfWork, driver_id: str, requested_by: UUID | None, source: str = "person"
) -> ErasureView:
    """Record an erasure request."""
    query = (
        insert(erasure_requests)
        .values(
            request_id=ids.new_uuid(),
            driver_id=driver_id,
            requested_by=requested_by,
            requested_at=clock.now(),
            source=source,
        )
        .returning(*(erasure_requests.c[name] for name in ErasureView.model_fields))
    )
    return ErasureView(**(await uow.conn.execute(query)).mappings().one())


async def get_erasure(uow: UnitOfWork, request_id: UUID, *, lock: bool = False) -> ErasureRequest | None:
    """Return a request; with ``lock`` nobody else changes it until the transaction ends."""
    query = select(*_COLUMNS).where(erasure_requests.c.request_id == request_id)
    row = (await uow.conn.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
    return ErasureRequest.model_validate(dict(row)) if row is not None else None


async def list_erasures(
    uow: UnitOfWork, status: str | None, limit: int, offset: int
) -> tuple[Sequence[ErasureRequest], int]:
    """Return a page of the requests, the oldest first, and how many there are."""
    c = erasure_requests.c
    query, count = select(*_COLUMNS), select(func.count()).select_from(erasure_requests)
    if status is not None:
        query, count = query.where(c.status == status), count.where(c.status == status)
    rows = await uow.conn.execute(query.order_by(c.requested_at, c.request_id).limit(limit).offset(offset))
    total: int = (await uow.conn.execute(count)).scalar_one()
    return [ErasureRequest.model_validate(dict(row)) for row in rows.mappings()], total


async def erased_since(uow: UnitOfWork, since: datetime, limit: int) -> list[RowMapping]:
    """Return (driver_id, subject) of up to ``limit`` erasures that were finished since, the latest first."""
    c = erasure_requests.c
    query = select(c.request_id, c.driver_id).where(c.status == "done", c.finished_at >= since)
    return list((await uow.conn.execute(query.order_by(c.finished_at.desc()).limit(limit))).mappings())


async def update_erasure(uow: UnitOfWork, request_id: UUID, values: Mapping[str, Any]) -> None:
    """Change a request."""
    await uow.conn.execute(update(erasure_requests).where(erasure_requests.c.request_id == request_id).values(**values))


async def subject_of(uow: UnitOfWork, request_id: UUID) -> dict[str, Any] | None:
    """Return the ids by which a running erasure finds its data."""
    query = select(erasure_requests.c.subject).where(erasure_requests.c.request_id == request_id)
    found: dict[str, Any] | None = (await uow.conn.execute(query)).scalar_one_or_none()
    return found
