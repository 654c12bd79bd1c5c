"""All SQL of making places of old trips coarse."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Numeric,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from auto_insurance.infra.db.touched import Aspect
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.trips.models import trip_events, trips

DECIMALS = 2
"""As ``kernel.geo.coarse`` has it."""
_ENDS = ("start_latitude", "start_longitude", "end_latitude", "end_longitude")


def _coarse(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return cast(func.round(cast(column, Numeric), DECIMALS), Float(53))


def _of(driver_ids: Collection[str], before: datetime) -> ColumnElement[bool]:
    wanted: Any = any_(bindparam("driver_ids", sorted(driver_ids), type_=ARRAY(Text)))
    return and_(trips.c.driver_id == wanted, trips.c.start_time < before)


async def coarsen_trips(uow: UnitOfWork, driver_ids: Collection[str], before: datetime, limit: int) -> int:
    """Round first and last place of up to ``limit`` trips of these drivers that began before an instant."""
    uow.touched(Aspect.TRIPS, driver_ids)
    exact = or_(*(trips.c[name].is_distinct_from(_coarse(trips.c[name])) for name in _ENDS))
    some = select(trips.c.trip_id).where(_of(driver_ids, before), exact).limit(limit)
    query = update(trips).where(trips.c.trip_id.in_(some)).values({name: _coarse(trips.c[name]) for name in _ENDS})
    return (await uow.conn.execute(query)).rowcount


async def coarsen_events(uow: UnitOfWork, driver_ids: Collection[str], before: datetime, limit: int) -> int:
    """Round the places of up to ``limit`` events on trips of these drivers that began before an instant."""
    uow.touched(Aspect.TRIPS, driver_ids)
    c = trip_events.c
    exact = c.latitude.is_distinct_from(_coarse(c.latitude)) | c.longitude.is_distinct_from(_coarse(c.longitude))
    some = (
        select(c.trip_id, c.seq)
        .join(trips, trips.c.trip_id == c.trip_id)
        .where(_of(driver_ids, before), exact)
        .limit(limit)
    )
    values = {"latitude": _coarse(c.latitude), "longitude": _coarse(c.longitude)}
    return (
        await uow.conn.execute(update(trip_events).where(tuple_(c.trip_id, c.seq).in_(some)).values(values))
    ).rowcount
