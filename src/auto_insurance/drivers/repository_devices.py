"""All SQL of devices and their assignments."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, Text, any_, bindparam, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as pg_insert

from auto_insurance.drivers.models import device_assignments, device_numbers, devices, drivers
from auto_insurance.drivers.schemas import Assignment, DeviceHistory, DeviceView, Span
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock, ids


class StoredAssignment(msgspec.Struct, frozen=True, kw_only=True):
    """The last assignment of a device."""

    assignment_id: int
    driver_id: str
    vehicle_id: str | None
    valid_from: datetime
    valid_to: datetime | None


async def histories(uow: UnitOfWork, device_ids: Collection[str]) -> dict[str, DeviceHistory]:
    """Return the history of each device that exists, in one query."""
    wanted = any_(bindparam("device_ids", sorted(device_ids), type_=ARRAY(Text)))
    query = (
        select(
            devices.c.device_id,
            device_assignments.c.driver_id,
            device_assignments.c.vehicle_id,
            device_assignments.c.valid_from,
            device_assignments.c.valid_to,
            drivers.c.time_zone,
            drivers.c.telemetry_withheld,
        )
        .outerjoin(device_assignments, device_assignments.c.device_id == devices.c.device_id)
        .outerjoin(drivers, drivers.c.driver_id == device_assignments.c.driver_id)
        .where(devices.c.device_id == wanted)
        .order_by(devices.c.device_id, device_assignments.c.valid_from)
    )
    spans: dict[str, list[Span]] = {}
    for row in await uow.conn.execute(query):
        of_device = spans.setdefault(row.device_id, [])
        if row.driver_id is not None:
            of_device.append(_span(row))
    return {device_id: DeviceHistory(device_id=device_id, spans=tuple(found)) for device_id, found in spans.items()}


async def devices_of(uow: UnitOfWork, driver_id: str) -> list[str]:
    """Return the devices that are or were a driver's, in order."""
    c = device_assignments.c
    query = select(c.device_id).distinct().where(c.driver_id == driver_id).order_by(c.device_id)
    return list((await uow.conn.execute(query)).scalars())


async def held_now(uow: UnitOfWork, driver_id: str) -> list[str]:
    """Return the devices whose open assignment is the driver's, in order."""
    c = device_assignments.c
    query = select(c.device_id).where(c.driver_id == driver_id, c.valid_to.is_(None)).order_by(c.device_id)
    return list((await uow.conn.execute(query)).scalars())


async def withheld_devices(uow: UnitOfWork, limit: int) -> frozenset[str]:
    """Return the devices, at most ``limit``, whose driver of now withholds telemetry."""
    c = device_assignments.c
    query = (
        select(c.device_id)
        .join(drivers, drivers.c.driver_id == c.driver_id)
        .where(drivers.c.telemetry_withheld, c.valid_to.is_(None))
        .limit(limit)
    )
    return frozenset((await uow.conn.execute(query)).scalars())


async def oldest_transaction(uow: UnitOfWork) -> int:
    """Return the number below which every transaction has ended."""
    return int((await uow.conn.execute(text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text"))).scalar_one())


_CHANGES = text(
    """
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text,
        ARRAY(SELECT DISTINCT device_id FROM device_changes WHERE changed_by >= :horizon)
    """
)


async def changes_since(uow: UnitOfWork, horizon: int) -> tuple[int, list[str]]:
    """Return the oldest running transaction's number, and the devices changed by transactions from ``horizon`` on."""
    oldest, changed = (await uow.conn.execute(_CHANGES, {"horizon": horizon})).one()
    return int(oldest), changed


def _span(row: Row[*tuple[Any, ...]]) -> Span:
    return Span(
        from_us=clock.to_us(row.valid_from),
        to_us=clock.to_us(row.valid_to) if row.valid_to is not None else None,
        assignment=Assignment(
            driver_id=row.driver_id,
            vehicle_id=row.vehicle_id,
            time_zone=row.time_zone,
            withheld=row.telemetry_withheld,
        ),
    )


async def new_device_id(uow: UnitOfWork) -> str:
    """Return a fresh readable id: DEV001, DEV002, ..."""
    return ids.readable("DEV", (await uow.conn.execute(select(device_numbers.next_value()))).scalar_one(), 3)


async def upsert_device(uow: UnitOfWork, device_id: str, kind: str) -> bool:
    """Create the device or take an existing one back into service, and lock it; returns whether it is new.

    The lock makes hand-overs of one device take turns.
    """
    new = (
        pg_insert(devices)
        .values(device_id=device_id, kind=kind, created_at=clock.now())
        .on_conflict_do_nothing()
        .returning(devices.c.device_id)
    )
    if (await uow.conn.execute(new)).scalar_one_or_none() is not None:
        return True
    await uow.conn.execute(update(devices).where(devices.c.device_id == device_id).values(retired_at=None))
    return False


async def lock_device(uow: UnitOfWork, device_id: str) -> bool:
    """Lock a device until the transaction ends; False if there is none."""
    query = select(devices.c.device_id).where(devices.c.device_id == device_id).with_for_update()
    return (await uow.conn.execute(query)).scalar_one_or_none() is not None


async def last_assignment(uow: UnitOfWork, device_id: str) -> StoredAssignment | None:
    """Return the assignment of a device that begins last."""
    table = device_assignments.c
    query = (
        select(table.assignment_id, table.driver_id, table.vehicle_id, table.valid_from, table.valid_to)
        .where(table.device_id == device_id)
        .order_by(table.valid_from.desc())
        .limit(1)
    )
    row = (await uow.conn.execute(query)).one_or_none()
    return StoredAssignment(**row._asdict()) if row is not None else None


async def end_assignment(uow: UnitOfWork, assignment_id: int, at: datetime) -> None:
    """End an assignment at an instant; one that would begin at or after it never was."""
    mine = device_assignments.c.assignment_id == assignment_id
    await uow.conn.execute(device_assignments.delete().where(mine, device_assignments.c.valid_from >= at))
    await uow.conn.execute(update(device_assignments).where(mine).values(valid_to=at))


async def insert_assignment(
    uow: UnitOfWork, device_id: str, driver_id: str, vehicle_id: str | None, valid_from: datetime
) -> None:
    """Assign a device from an instant on."""
    await uow.conn.execute(
        insert(device_assignments).values(
            device_id=device_id, driver_id=driver_id, vehicle_id=vehicle_id, valid_from=valid_from
        )
    )


async def retire_device(uow: UnitOfWork, device_id: str) -> None:
    """Take a device out of service."""
    await uow.conn.execute(update(devices).where(devices.c.device_id == device_id).values(retired_at=clock.now()))


async def list_devices(uow: UnitOfWork, driver_id: str, limit: int, offset: int) -> tuple[Sequence[DeviceView], int]:
    """Return a page of the devices that are or were the driver's, newest first, and how many there are in all."""
    mine = device_assignments.c.driver_id == driver_id
    query = (
        select(
            devices.c.device_id,
            devices.c.kind,
            devices.c.retired_at,
            device_assignments.c.vehicle_id,
            device_assignments.c.valid_from.label("assigned_from"),
            device_assignments.c.valid_to.label("assigned_to"),
        )
        .join(devices, devices.c.device_id == device_assignments.c.device_id)
        .where(mine)
        .order_by(device_assignments.c.valid_from.desc(), device_assignments.c.assignment_id.desc())
    )
    rows = (await uow.conn.execute(query.limit(limit).offset(offset))).all()
    total = (await uow.conn.execute(select(func.count()).select_from(device_assignments).where(mine))).scalar_one()
    return [DeviceView.model_validate(row._asdict()) for row in rows], total
