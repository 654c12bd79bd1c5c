"""All SQL of claims, their moves and their money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from auto_insurance.claims.models import claim_amounts, claim_moves, claim_numbers, claims
from auto_insurance.claims.schemas import ClaimSort, Incurred
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import ids

PREFIX = "CLM-"
LOCK_SPACE = "claims:"
"""Advisory locks of this domain; a hash that meets another's only makes somebody wait."""
_ENDED = ("denied", "closed", "withdrawn")


class ClaimRow(msgspec.Struct, frozen=True, kw_only=True):
    """A claim as stored; see ``models.claims``."""

    claim_id: str
    driver_id: str
    vehicle_id: str | None
    status: str
    revision: int
    coverage: str | None
    occurred_at: datetime
    time_zone: str
    latitude: float | None
    longitude: float | None
    description: str | None
    injuries: bool
    others_involved: bool
    source: str
    crash_device_id: str | None
    crash_event_id: str | None
    policy_id: str | None
    term: int | None
    cover_limit: Decimal | None
    deductible: Decimal | None
    cover_checked_at: datetime | None
    decision: str | None
    decision_reason: str | None
    fault_share: Decimal | None
    currency: str
    reserve: Decimal
    paid: Decimal
    recovered: Decimal
    counts: bool
    created_at: datetime
    created_by: UUID | None
    reported_at: datetime | None
    updated_at: datetime


class MoveRow(msgspec.Struct, frozen=True, kw_only=True):
    """A move as stored; see ``models.claim_moves``."""

    claim_id: str
    seq: int
    from_status: str | None
    to_status: str
    reason: str | None
    note: str | None
    moved_at: datetime
    actor: str
    moved_by: UUID | None


class AmountRow(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as stored; see ``models.claim_amounts``."""

    claim_id: str
    seq: int
    kind: str
    change: Decimal
    balance: Decimal
    note: str | None
    booked_at: datetime
    booked_by: UUID


@dataclass(frozen=True, slots=True)
class ClaimFilter:
    """Which claims to list. ``since`` and ``until`` bound the loss, [since, until)."""

    driver_id: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    sort: ClaimSort = ClaimSort.OCCURRED_DESC


async def lock_driver(uow: UnitOfWork, driver_id: str) -> None:
    """Let nobody else open a claim of this driver until the transaction ends."""
    await uow.conn.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(LOCK_SPACE + driver_id, 0))))


async def next_claim_id(uow: UnitOfWork) -> str:
    """Return a fresh number: CLM-000001, CLM-000002, ..."""
    return ids.readable(PREFIX, (await uow.conn.execute(select(claim_numbers.next_value()))).scalar_one(), 6)


async def add_claim(uow: UnitOfWork, claim: ClaimRow) -> bool:
    """Insert a claim; False, and nothing done, if its crash has one."""
    query = upsert(claims).values(msgspec.structs.asdict(claim)).on_conflict_do_nothing().returning(claims.c.claim_id)
    return (await uow.conn.execute(query)).scalar_one_or_none() is not None


async def save_claim(uow: UnitOfWork, claim: ClaimRow) -> None:
    """Write a claim that was read with a lock."""
    values = msgspec.structs.asdict(claim)
    await uow.conn.execute(update(claims).where(claims.c.claim_id == values.pop("claim_id")).values(values))


async def get_claim(uow: UnitOfWork, claim_id: str, *, lock: bool = False) -> ClaimRow | None:
    """Return a claim, locked until the transaction ends if asked for."""
    query = select(claims).where(claims.c.claim_id == claim_id)
    row = (await uow.conn.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
    return None if row is None else ClaimRow(**row)


async def claim_near(uow: UnitOfWork, driver_id: str, since: datetime, until: datetime) -> str | None:
    """Return a driver's claim of a loss in [since, until], whatever its status: a draft, else the earliest."""
    query = (
        select(claims.c.claim_id)
        .where(claims.c.driver_id == driver_id, claims.c.occurred_at.between(since, until))
        .order_by(claims.c.status != "draft", claims.c.occurred_at, claims.c.claim_id)
        .limit(1)
    )
    return (await uow.conn.execute(query)).scalar_one_or_none()


async def list_claims(
    uow: UnitOfWork, wanted: ClaimFilter, *, limit: int, offset: int
) -> tuple[Sequence[ClaimRow], int]:
    """Return a page of claims and how many there are."""
    counting = _where(select(func.count()).select_from(claims), wanted)
    total = int((await uow.conn.execute(counting)).scalar_one())
    query = _where(select(claims), wanted).order_by(_order(wanted.sort), claims.c.claim_id)
    rows = (await uow.conn.execute(query.limit(limit).offset(offset))).mappings()
    return [ClaimRow(**row) for row in rows], total


def _order(sort: ClaimSort) -> ColumnElement[Any]:
    column: ColumnElement[Any] = claims.c[sort.value.removeprefix("-")]
    return column.desc() if sort.value.startswith("-") else column


def _where(query: Select[Any], wanted: ClaimFilter) -> Select[Any]:
    if wanted.driver_id is not None:
        query = query.where(claims.c.driver_id == wanted.driver_id)
    if wanted.status is not None:
        query = query.where(claims.c.status == wanted.status)
    if wanted.since is not None:
        query = query.where(claims.c.occurred_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(claims.c.occurred_at < wanted.until)
    return query


async def add_move(uow: UnitOfWork, move: MoveRow) -> None:
    """Insert a move; its number follows the last one's, under the claim's lock."""
    values = msgspec.structs.asdict(move)
    last = select(func.coalesce(func.max(claim_moves.c.seq), 0) + 1).where(claim_moves.c.claim_id == move.claim_id)
    await uow.conn.execute(insert(claim_moves).values({**values, "seq": last.scalar_subquery()}))


async def moves_of(uow: UnitOfWork, claim_id: str) -> list[MoveRow]:
    """Return a claim's moves in order."""
    query = select(claim_moves).where(claim_moves.c.claim_id == claim_id).order_by(claim_moves.c.seq)
    return [MoveRow(**row) for row in (await uow.conn.execute(query)).mappings()]


async def add_amounts(uow: UnitOfWork, rows: Sequence[AmountRow]) -> None:
    """Insert entries; their numbers follow the last one's, under the claim's lock."""
    if not rows:
        return
    claim_id = rows[0].claim_id
    last = select(func.coalesce(func.max(claim_amounts.c.seq), 0)).where(claim_amounts.c.claim_id == claim_id)
    first = int((await uow.conn.execute(last)).scalar_one()) + 1
    values = [{**msgspec.structs.asdict(row), "seq": first + place} for place, row in enumerate(rows)]
    await uow.conn.execute(insert(claim_amounts), values)


async def amounts_of(uow: UnitOfWork, claim_id: str) -> list[AmountRow]:
    """Return a claim's entries in order."""
    query = select(claim_amounts).where(claim_amounts.c.claim_id == claim_id).order_by(claim_amounts.c.seq)
    return [AmountRow(**row) for row in (await uow.conn.execute(query)).mappings()]


async def incurred(uow: UnitOfWork, since: datetime, until: datetime) -> list[Incurred]:
    """Return what claims with a loss in [since, until) cost as of now, by currency; only those that count."""
    c = claims.c
    query = (
        select(
            c.currency,
            func.count().label("claims"),
            func.count().filter(c.status.not_in(_ENDED)).label("open_claims"),
            *(func.sum(c[name]).label(name) for name in ("paid", "reserve", "recovered")),
        )
        .where(c.occurred_at >= since, c.occurred_at < until, c.counts)
        .group_by(c.currency)
        .order_by(c.currency)
    )
    return [Incurred(**row) for row in (await uow.conn.execute(query)).mappings()]
