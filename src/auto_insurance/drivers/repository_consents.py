"""All SQL of consents."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Text, any_, bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from auto_insurance.drivers.models import driver_consents, drivers
from auto_insurance.infra.db.touched import Aspect
from auto_insurance.infra.db.uow import UnitOfWork

MAX_HISTORY = 1000


class ConsentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A decision as stored; see ``models.driver_consents``."""

    driver_id: str
    purpose: str
    seq: int
    granted: bool
    version: int
    basis: str
    source: str
    decided_by: UUID | None
    decided_at: datetime


async def add_consents(uow: UnitOfWork, rows: Sequence[ConsentRow]) -> None:
    """Add decisions."""
    await uow.conn.execute(insert(driver_consents), [msgspec.structs.asdict(row) for row in rows])


async def latest_consents(uow: UnitOfWork, driver_id: str) -> dict[str, ConsentRow]:
    """Return the decision that holds for each purpose that was decided on."""
    c = driver_consents.c
    query = (
        select(driver_consents).where(c.driver_id == driver_id).distinct(c.purpose).order_by(c.purpose, c.seq.desc())
    )
    return {row["purpose"]: ConsentRow(**row) for row in (await uow.conn.execute(query)).mappings()}


async def consent_history(uow: UnitOfWork, driver_id: str) -> list[ConsentRow]:
    """Return all decisions of a driver by time, the newest ``MAX_HISTORY``."""
    c = driver_consents.c
    query = select(driver_consents).where(c.driver_id == driver_id).order_by(c.decided_at.desc(), c.purpose, c.seq)
    return [ConsentRow(**row) for row in (await uow.conn.execute(query.limit(MAX_HISTORY))).mappings()]


async def decided(uow: UnitOfWork, driver_ids: Collection[str], purpose: str) -> dict[str, bool]:
    """Return what those of the drivers decided who did, in one query."""
    c = driver_consents.c
    wanted: Any = any_(bindparam("driver_ids", sorted(driver_ids), type_=ARRAY(Text)))
    query = (
        select(c.driver_id, c.granted)
        .where(c.driver_id == wanted, c.purpose == purpose)
        .distinct(c.driver_id)
        .order_by(c.driver_id, c.seq.desc())
    )
    return {row.driver_id: row.granted for row in await uow.conn.execute(query)}


async def set_withheld(uow: UnitOfWork, driver_id: str, withheld: bool) -> None:
    """Take or refuse the events of a driver's devices from now on; consumers hear of it with their next batch."""
    uow.touched(Aspect.DRIVER, [driver_id])
    query = update(drivers).where(drivers.c.driver_id == driver_id, drivers.c.telemetry_withheld != withheld)
    await uow.conn.execute(query.values(telemetry_withheld=withheld))
