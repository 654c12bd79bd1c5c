"""SQL of what was heard of each device."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.telematics.models import device_contacts as contacts
from auto_insurance.telematics.models import telematics_events as events
from auto_insurance.telematics.schemas import Contact, ContactSummary


async def add_contacts(uow: UnitOfWork, batch: Sequence[Contact]) -> None:
    """Add counts to their hours."""
    statement = insert(contacts)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["device_id", "hour"],
        set_={
            "accepted": contacts.c.accepted + new.accepted,
            "rejected": contacts.c.rejected + new.rejected,
            "last_received_at": func.greatest(contacts.c.last_received_at, new.last_received_at),
            # least() ignores nulls
            "min_clock_offset_us": func.least(contacts.c.min_clock_offset_us, new.min_clock_offset_us),
        },
    )
    rows = [
        {
            "device_id": item.device_id,
            "hour": clock.from_us(item.hour_us),
            "accepted": item.accepted,
            "rejected": item.rejected,
            "last_received_at": clock.from_us(item.last_received_us),
            "min_clock_offset_us": item.clock_offset_us,
        }
        for item in sorted(batch)  # in one order: processes that write at once take turns
    ]
    await uow.conn.execute(statement, rows)


async def contact_summary(uow: UnitOfWork, device_id: str, since: datetime) -> ContactSummary:
    """Return the last contact ever, the clock offset and the refusals of the hours from ``since`` on."""
    c = contacts.c
    recent = c.hour >= since
    row = (
        await uow.conn.execute(
            select(
                func.max(c.last_received_at),
                func.min(c.min_clock_offset_us).filter(recent),
                func.coalesce(func.sum(c.rejected).filter(recent), 0),
            ).where(c.device_id == device_id)
        )
    ).one()
    last: datetime | None = row[0]
    if last is None:  # sent through the log itself, or longer ago than counts are kept
        newest = (
            select(events.c.received_at)
            .where(events.c.device_id == device_id)
            .order_by(events.c.timestamp.desc())
            .limit(1)
        )
        last = (await uow.conn.execute(newest)).scalar_one_or_none()
    return ContactSummary(last, row[1], int(row[2]))


async def remove_contacts(uow: UnitOfWork, before: datetime) -> int:
    """Remove the hours before an instant; return how many rows went."""
    return (await uow.conn.execute(delete(contacts).where(contacts.c.hour < before))).rowcount
