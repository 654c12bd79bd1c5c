"""All SQL of the pricing domain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec
from sqlalchemy import RowMapping, func, insert, select

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.pricing.models import premiums
from auto_insurance.pricing.rating import Line, RatingInputs
from auto_insurance.pricing.schemas import Premium, PremiumKind

LOCK_SPACE = "premiums:"
"""Advisory locks of this domain; a hash that meets another's only makes somebody wait."""


async def lock_driver(uow: UnitOfWork, driver_id: str) -> None:
    """Let nobody else add a premium of this driver until the transaction ends: versions have no gap."""
    await uow.conn.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(LOCK_SPACE + driver_id, 0))))


async def next_version(uow: UnitOfWork, driver_id: str) -> int:
    """Return the driver's next version, from 1; under :func:`lock_driver`."""
    query = select(func.coalesce(func.max(premiums.c.version), 0) + 1).where(premiums.c.driver_id == driver_id)
    return int((await uow.conn.execute(query)).scalar_one())


async def add_premium(uow: UnitOfWork, premium: Premium) -> None:
    """Insert a version."""
    row = msgspec.structs.asdict(premium)
    row |= {"worksheet": msgspec.to_builtins(premium.worksheet), "inputs": msgspec.to_builtins(premium.inputs)}
    await uow.conn.execute(insert(premiums).values(row))


async def latest(uow: UnitOfWork, driver_id: str, kind: PremiumKind, on: date | None = None) -> Premium | None:
    """Return the newest version of a kind (in effect ``on`` that day, if given), None if there is none."""
    query = select(premiums).where(premiums.c.driver_id == driver_id, premiums.c.kind == kind.value)
    if on is not None:
        query = query.where(premiums.c.effective_date <= on)
    row = (await uow.conn.execute(query.order_by(premiums.c.version.desc()).limit(1))).mappings().first()
    return _premium(row) if row is not None else None


async def latest_many(uow: UnitOfWork, driver_ids: Sequence[str], kind: PremiumKind) -> dict[str, Premium]:
    """Return the newest version of a kind of each driver that has one; one statement."""
    query = (
        select(premiums)
        .distinct(premiums.c.driver_id)
        .where(premiums.c.driver_id.in_(driver_ids), premiums.c.kind == kind.value)
        .order_by(premiums.c.driver_id, premiums.c.version.desc())
    )
    rows = (await uow.conn.execute(query)).mappings()
    return {row["driver_id"]: _premium(row) for row in rows}


def _premium(row: RowMapping) -> Premium:
    worksheet = msgspec.convert(row["worksheet"], tuple[Line, ...])
    return Premium(**{**row, "worksheet": worksheet, "inputs": msgspec.convert(row["inputs"], RatingInputs)})
