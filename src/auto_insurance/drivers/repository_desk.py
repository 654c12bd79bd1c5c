"""SQL of what staff do to drivers, vehicles and devices."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Text, any_, bindparam, delete, exists, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import IntegrityError

from auto_insurance.drivers.models import device_assignments, devices, drivers, vehicles
from auto_insurance.drivers.schemas import VehicleView
from auto_insurance.infra.db.touched import Aspect
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock


def _those(column: Any, ids: Collection[str]) -> Any:
    return column == any_(bindparam("wanted", sorted(ids), type_=ARRAY(Text)))


async def deactivate(uow: UnitOfWork, driver_ids: Collection[str], at: datetime) -> frozenset[str]:
    """Take drivers out of service; return those that were in it."""
    uow.touched(Aspect.DRIVER, driver_ids)
    query = (
        update(drivers)
        .where(_those(drivers.c.driver_id, driver_ids), drivers.c.deactivated_at.is_(None))
        .values(deactivated_at=at, updated_at=at)
        .returning(drivers.c.driver_id)
    )
    return frozenset((await uow.conn.execute(query)).scalars())


async def get_vehicle(uow: UnitOfWork, vehicle_id: str, *, lock: bool = False) -> VehicleView | None:
    """Return a vehicle; with ``lock`` nobody else changes it until the transaction ends."""
    query = select(vehicles).where(vehicles.c.vehicle_id == vehicle_id)
    row = (await uow.conn.execute(query.with_for_update() if lock else query)).one_or_none()
    return VehicleView.model_validate(row._asdict()) if row is not None else None


async def vin_taken(uow: UnitOfWork, vin: str, vehicle_id: str) -> bool:
    """Return whether another vehicle has this identification number."""
    query = select(vehicles.c.vehicle_id).where(vehicles.c.vin == vin, vehicles.c.vehicle_id != vehicle_id)
    return (await uow.conn.execute(query)).scalar_one_or_none() is not None


async def update_vehicle(uow: UnitOfWork, vehicle_id: str, values: Mapping[str, Any]) -> bool:
    """Change some columns of a vehicle; return whether its identification number was still free."""
    query = update(vehicles).where(vehicles.c.vehicle_id == vehicle_id).values(**values)
    try:
        # Two changes at a time may both have found the number free.
        async with uow.conn.begin_nested():
            changed = (await uow.conn.execute(query.returning(vehicles.c.driver_id))).scalars().all()
    except IntegrityError:
        return False
    uow.touched(Aspect.DRIVER, changed)
    return True


async def had_device(uow: UnitOfWork, driver_id: str, vehicle_id: str) -> bool:
    """Return whether a device was ever in the driver's vehicle."""
    c = device_assignments.c
    query = select(exists().where(c.driver_id == driver_id, c.vehicle_id == vehicle_id))
    return bool((await uow.conn.execute(query)).scalar_one())


async def delete_vehicle(uow: UnitOfWork, vehicle_id: str) -> None:
    """Remove a vehicle."""
    query = delete(vehicles).where(vehicles.c.vehicle_id == vehicle_id).returning(vehicles.c.driver_id)
    uow.touched(Aspect.DRIVER, (await uow.conn.execute(query)).scalars())


async def lock_devices(uow: UnitOfWork, device_ids: Collection[str]) -> dict[str, datetime | None]:
    """Lock those of the devices that exist; return since when each is out of service."""
    query = select(devices.c.device_id, devices.c.retired_at).where(_those(devices.c.device_id, device_ids))
    rows = await uow.conn.execute(query.order_by(devices.c.device_id).with_for_update())
    return {row.device_id: row.retired_at for row in rows}


_END = text(
    """
    WITH never AS (
        DELETE FROM device_assignments
        WHERE device_id = ANY(:wanted) AND valid_to IS NULL AND valid_from >= :at
    ), ended AS (
        UPDATE device_assignments SET valid_to = :at
        WHERE device_id = ANY(:wanted) AND valid_to IS NULL AND valid_from < :at
    )
    UPDATE devices SET retired_at = :at WHERE device_id = ANY(:wanted)
    """
).bindparams(bindparam("wanted", type_=ARRAY(Text)))


async def retire_devices(uow: UnitOfWork, device_ids: Collection[str]) -> None:
    """Take devices out of service and end their assignments; one that was still to begin never was."""
    await uow.conn.execute(_END, {"wanted": sorted(device_ids), "at": clock.now()})
