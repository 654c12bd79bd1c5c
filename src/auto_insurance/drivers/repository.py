"""All SQL of drivers and vehicles. That of devices, consents and erasure requests is in modules beside this one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Text, any_, bindparam, func, select, text, true, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as pg_insert

from auto_insurance.drivers.models import driver_numbers, drivers, vehicle_numbers, vehicles
from auto_insurance.drivers.schemas import (
    DriverFacts,
    DriverView,
    VehicleCreate,
    VehicleFacts,
    VehicleView,
)
from auto_insurance.infra.db.touched import Aspect
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock, ids

_VIEW_COLUMNS = [column for column in drivers.c if column.name != "updated_at"]


def _ids(driver_ids: Collection[str]) -> Any:
    return any_(bindparam("driver_ids", sorted(driver_ids), type_=ARRAY(Text)))


async def next_driver_id(uow: UnitOfWork) -> str:
    """Return a fresh readable id: DRV001, DRV002, ..."""
    return ids.readable("DRV", (await uow.conn.execute(select(driver_numbers.next_value()))).scalar_one(), 3)


async def reserve_driver_number(uow: UnitOfWork, number: int) -> None:
    """Let fresh numbers start past ``number``."""
    await uow.conn.execute(
        text("SELECT setval('driver_numbers', GREATEST(:number, (SELECT last_value FROM driver_numbers)))"),
        {"number": number},
    )


async def insert_driver(uow: UnitOfWork, driver_id: str, values: Mapping[str, Any]) -> bool:
    """Create a driver; False if the id is taken."""
    query = (
        pg_insert(drivers)
        .values(driver_id=driver_id, enrolled_at=clock.now(), updated_at=clock.now(), **values)
        .on_conflict_do_nothing()
        .returning(drivers.c.driver_id)
    )
    uow.touched(Aspect.DRIVER, [driver_id])
    return (await uow.conn.execute(query)).scalar_one_or_none() is not None


async def get_driver(uow: UnitOfWork, driver_id: str, *, lock: bool = False) -> DriverView | None:
    """Return a driver; with ``lock`` nobody else changes it until the transaction ends."""
    query = select(*_VIEW_COLUMNS).where(drivers.c.driver_id == driver_id)
    row = (await uow.conn.execute(query.with_for_update() if lock else query)).one_or_none()
    return DriverView.model_validate(row._asdict()) if row is not None else None


async def get_drivers(uow: UnitOfWork, driver_ids: Collection[str]) -> dict[str, DriverView]:
    """Return those of the drivers that exist, in one query."""
    query = select(*_VIEW_COLUMNS).where(drivers.c.driver_id == _ids(driver_ids))
    rows = await uow.conn.execute(query)
    return {row.driver_id: DriverView.model_validate(row._asdict()) for row in rows}


async def update_driver(uow: UnitOfWork, driver_id: str, values: Mapping[str, Any]) -> None:
    """Change some columns of a driver."""
    uow.touched(Aspect.DRIVER, [driver_id])
    query = update(drivers).where(drivers.c.driver_id == driver_id)
    await uow.conn.execute(query.values(updated_at=clock.now(), **values))


async def facts_many(uow: UnitOfWork, driver_ids: Collection[str]) -> dict[str, DriverFacts]:
    """Return the facts of those drivers that exist, each with its newest vehicle, in one query."""
    newest = (
        select(vehicles)
        .where(vehicles.c.driver_id == drivers.c.driver_id)
        .order_by(vehicles.c.created_at.desc(), vehicles.c.vehicle_id.desc())
        .limit(1)
        .lateral("newest")
    )
    query = (
        select(drivers, newest.c.vehicle_id, newest.c.make, newest.c.model, newest.c.year, newest.c.use)
        .outerjoin(newest, true())
        .where(drivers.c.driver_id == _ids(driver_ids))
    )
    return {row.driver_id: _facts(row) for row in await uow.conn.execute(query)}


def _facts(row: Row[*tuple[Any, ...]]) -> DriverFacts:
    vehicle = None
    if row.vehicle_id is not None:
        vehicle = VehicleFacts(vehicle_id=row.vehicle_id, make=row.make, model=row.model, year=row.year, use=row.use)
    return DriverFacts(
        driver_id=row.driver_id,
        full_name=row.full_name,
        date_of_birth=row.date_of_birth,
        licence_date=row.licence_date,
        time_zone=row.time_zone,
        state=row.state,
        postcode=row.postcode,
        declared_annual_mileage=row.declared_annual_mileage,
        prior_claims=row.prior_claims,
        coverage=row.coverage,
        vehicle=vehicle,
        enrolled_at=row.enrolled_at,
    )


async def existing(uow: UnitOfWork, driver_ids: Collection[str]) -> frozenset[str]:
    """Return those of the ids that are drivers."""
    query = select(drivers.c.driver_id).where(drivers.c.driver_id == _ids(driver_ids))
    return frozenset((await uow.conn.execute(query)).scalars())


async def ids_after(uow: UnitOfWork, after: str, limit: int) -> list[str]:
    """Return up to ``limit`` driver ids in order, from past ``after`` on."""
    query = select(drivers.c.driver_id).where(drivers.c.driver_id > after).order_by(drivers.c.driver_id).limit(limit)
    return list((await uow.conn.execute(query)).scalars())


async def count_drivers(uow: UnitOfWork) -> int:
    """Return how many drivers there are."""
    return (await uow.conn.execute(select(func.count()).select_from(drivers))).scalar_one()


async def insert_vehicle(uow: UnitOfWork, driver_id: str, new: VehicleCreate) -> VehicleView | None:
    """Add a vehicle; None if its VIN is registered already."""
    uow.touched(Aspect.DRIVER, [driver_id])
    number = (await uow.conn.execute(select(vehicle_numbers.next_value()))).scalar_one()
    query = (
        pg_insert(vehicles)
        .values(
            vehicle_id=ids.readable("VEH", number, 3),
            driver_id=driver_id,
            make=new.make,
            model=new.model,
            year=new.year,
            use=new.use.value,
            vin=new.vin,
            created_at=clock.now(),
        )
        .on_conflict_do_nothing(index_elements=["vin"])
        .returning(vehicles)
    )
    row = (await uow.conn.execute(query)).one_or_none()
    return VehicleView.model_validate(row._asdict()) if row is not None else None


async def list_vehicles(uow: UnitOfWork, driver_id: str, limit: int, offset: int) -> tuple[Sequence[VehicleView], int]:
    """Return a page of a driver's vehicles, newest first, and how many there are in all."""
    mine = vehicles.c.driver_id == driver_id
    query = select(vehicles).where(mine).order_by(vehicles.c.created_at.desc(), vehicles.c.vehicle_id.desc())
    rows = (await uow.conn.execute(query.limit(limit).offset(offset))).all()
    total = (await uow.conn.execute(select(func.count()).select_from(vehicles).where(mine))).scalar_one()
    return [VehicleView.model_validate(row._asdict()) for row in rows], total


async def owns_vehicle(uow: UnitOfWork, driver_id: str, vehicle_id: str) -> bool:
    """Return whether the vehicle is the driver's."""
    query = select(vehicles.c.vehicle_id).where(vehicles.c.vehicle_id == vehicle_id, vehicles.c.driver_id == driver_id)
    return (await uow.conn.execute(query)).scalar_one_or_none() is not None
