"""All SQL of the pricing domain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy import RowMapping, func, insert, select

from auto_insurance.infra.db.touched import Aspect
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.pricing.facts import RiskChanges
from auto_insurance.pricing.models import premiums
from auto_insurance.pricing.rating import Line, RatingInputs
from auto_insurance.pricing.schemas import Driving, Premium, PremiumKind

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
    uow.touched(Aspect.PREMIUM, [premium.driver_id])
    row = msgspec.structs.asdict(premium)
    row |= {name: msgspec.to_builtins(row[name]) for name in ("worksheet", "inputs", "changes", "driving")}
    await uow.conn.execute(insert(premiums).values(row))


async def latest(uow: UnitOfWork, driver_id: str, kind: PremiumKind) -> Premium | None:
    """Return the newest version of a kind, None if there is none."""
    query = select(premiums).where(premiums.c.driver_id == driver_id, premiums.c.kind == kind.value)
    row = (await uow.conn.execute(query.order_by(premiums.c.version.desc()).limit(1))).mappings().first()
    return _premium(row) if row is not None else None


async def charged_on(uow: UnitOfWork, driver_id: str, on: date) -> Premium | None:
    """Return the charged version that is the price on a day, None before the first."""
    c = premiums.c
    query = (
        select(premiums)
        .where(c.driver_id == driver_id, c.kind == PremiumKind.CHARGED.value, c.effective_date <= on)
        .order_by(c.effective_date.desc(), c.version.desc())
        .limit(1)
    )
    row = (await uow.conn.execute(query)).mappings().first()
    return _premium(row) if row is not None else None


async def charged_before(uow: UnitOfWork, driver_id: str, on: date, version: int) -> Premium | None:
    """Return the charged version that was the price on a day before a version was made, None if there was none."""
    c = premiums.c
    query = (
        select(premiums)
        .where(
            c.driver_id == driver_id,
            c.kind == PremiumKind.CHARGED.value,
            c.effective_date <= on,
            c.version < version,
        )
        .order_by(c.effective_date.desc(), c.version.desc())
        .limit(1)
    )
    row = (await uow.conn.execute(query)).mappings().first()
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


async def charged_on_many(uow: UnitOfWork, driver_ids: Sequence[str], on: date) -> dict[str, Premium]:
    """Return the price on a day of each driver that has one; one statement."""
    c = premiums.c
    query = (
        select(premiums)
        .distinct(c.driver_id)
        .where(c.driver_id.in_(driver_ids), c.kind == PremiumKind.CHARGED.value, c.effective_date <= on)
        .order_by(c.driver_id, c.effective_date.desc(), c.version.desc())
    )
    rows = (await uow.conn.execute(query)).mappings()
    return {row["driver_id"]: _premium(row) for row in rows}


async def get_premium(uow: UnitOfWork, premium_id: UUID) -> Premium | None:
    """Return one version, None if there is none."""
    row = (await uow.conn.execute(select(premiums).where(premiums.c.premium_id == premium_id))).mappings().first()
    return _premium(row) if row is not None else None


async def get_version(uow: UnitOfWork, driver_id: str, version: int) -> Premium | None:
    """Return a driver's version of that number, None if there is none."""
    query = select(premiums).where(premiums.c.driver_id == driver_id, premiums.c.version == version)
    row = (await uow.conn.execute(query)).mappings().first()
    return _premium(row) if row is not None else None


async def history(
    uow: UnitOfWork, driver_id: str, since: datetime, *, limit: int, offset: int = 0
) -> tuple[list[Premium], int]:
    """Return a page of the versions made since an instant, the newest first, and how many there are."""
    wanted = (premiums.c.driver_id == driver_id, premiums.c.created_at >= since)
    query = select(premiums).where(*wanted).order_by(premiums.c.version.desc()).limit(limit).offset(offset)
    rows = [_premium(row) for row in (await uow.conn.execute(query)).mappings()]
    total = (await uow.conn.execute(select(func.count()).select_from(premiums).where(*wanted))).scalar_one()
    return rows, int(total)


async def charged_over(uow: UnitOfWork, driver_id: str, at: datetime, limit: int) -> list[Premium]:
    """Return charged versions that rest on driving of a time that ``at`` lies in, the newest first."""
    c = premiums.c
    query = (
        select(premiums)
        .where(
            c.driver_id == driver_id,
            c.kind == PremiumKind.CHARGED.value,
            c.driving_from <= at,
            c.driving_to > at,
        )
        .order_by(c.version.desc())
        .limit(limit)
    )
    return [_premium(row) for row in (await uow.conn.execute(query)).mappings()]


def _premium(row: RowMapping) -> Premium:
    changes, driving = row["changes"], row["driving"]
    return Premium(
        **{
            **row,
            "worksheet": msgspec.convert(row["worksheet"], tuple[Line, ...]),
            "inputs": msgspec.convert(row["inputs"], RatingInputs),
            "changes": None if changes is None else msgspec.convert(changes, RiskChanges),
            "driving": None if driving is None else msgspec.convert(driving, Driving),
        }
    )
