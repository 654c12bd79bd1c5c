"""SQL of what left the audit log, and of its leaving."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert

from auto_insurance.audit.chain import START, Anchor, Closing
from auto_insurance.audit.models import audit_closings, audit_log
from auto_insurance.infra.db.uow import UnitOfWork

_log = audit_log.c


async def closings(uow: UnitOfWork) -> list[Closing]:
    """Return all closings, the oldest first: twelve a year."""
    columns = [audit_closings.c[name] for name in Closing.__slots__]
    return [Closing(*row) for row in await uow.conn.execute(select(*columns).order_by(audit_closings.c.last_number))]


async def closed(uow: UnitOfWork) -> Anchor:
    """Return where the chain is taken up: the last row that left, or the start."""
    c = audit_closings.c
    query = select(c.last_number, c.hash).order_by(c.last_number.desc()).limit(1)
    row = (await uow.conn.execute(query)).one_or_none()
    return START if row is None else Anchor(row.last_number, row.hash)


async def add_closing(uow: UnitOfWork, closing: Closing) -> None:
    """Note what leaves; from then on it may be deleted."""
    await uow.conn.execute(insert(audit_closings).values(asdict(closing)))


async def first_after(uow: UnitOfWork, number: int) -> datetime | None:
    """Return when the first row after a number was written."""
    query = select(_log.at).where(_log.number > number).order_by(_log.number).limit(1)
    return (await uow.conn.execute(query)).scalar_one_or_none()


async def last_before(uow: UnitOfWork, number: int, until: datetime) -> int:
    """Return the last of the rows that follow a number and are older than ``until``, up to the first younger one."""
    newer = select(_log.number).where(_log.number > number, _log.at >= until).order_by(_log.number).limit(1)
    found = (await uow.conn.execute(newer)).scalar_one_or_none()
    if found is not None:
        return int(found) - 1
    return int((await uow.conn.execute(select(func.max(_log.number)))).scalar_one() or number)


_LEAVE = text(
    """
    WITH gone AS (
        DELETE FROM audit_log WHERE number = ANY (ARRAY(
            SELECT number FROM audit_log WHERE number <= :last ORDER BY number LIMIT :size
        )) RETURNING actor, subject
    ),
    seals AS (
        DELETE FROM audit_subjects
        WHERE seal = ANY (ARRAY(SELECT actor FROM gone UNION ALL SELECT subject FROM gone))
    )
    SELECT count(*) FROM gone
    """
)


async def leave(uow: UnitOfWork, last: int, size: int) -> int:
    """Delete at most ``size`` rows up to a number, and what their seals stand for; return how many."""
    return int((await uow.conn.execute(_LEAVE, {"last": last, "size": size})).scalar_one())
