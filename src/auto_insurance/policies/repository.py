"""All SQL that writes policies or reads one of them. Lists and figures over many are in ``repository_lists``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.policies.models import (
    policies,
    policy_numbers,
    policy_segments,
    policy_terms,
    policy_transactions,
)
from auto_insurance.policies.records import Cover, Policy, TermRow, Transaction
from auto_insurance.policies.stretches import Money, Rate, Stretch, TransactionLine

_SEGMENT = policy_segments.c
_CURRENT = _SEGMENT.until_revision.is_(None)


async def next_number(uow: UnitOfWork) -> int:
    """Return a fresh number for a policy."""
    return int((await uow.conn.execute(select(policy_numbers.next_value()))).scalar_one())


async def get_policy(uow: UnitOfWork, policy_id: str, *, lock: bool = False) -> Policy | None:
    """Return a policy; with ``lock`` nobody else changes it until the transaction ends."""
    query = select(policies).where(policies.c.policy_id == policy_id)
    row = (await uow.conn.execute(query.with_for_update() if lock else query)).one_or_none()
    return None if row is None else Policy(**row._asdict())


async def put_policy(uow: UnitOfWork, policy: Policy) -> None:
    """Insert a policy, or bring its row up to date."""
    values = msgspec.structs.asdict(policy)
    new = pg_insert(policies).values(values)
    changing = {name: new.excluded[name] for name in ("state", "status", "term", "revision", "changed_at")}
    await uow.conn.execute(new.on_conflict_do_update(index_elements=["policy_id"], set_=changing))


async def get_term(uow: UnitOfWork, policy_id: str, term: int) -> TermRow | None:
    """Return a term of a policy."""
    query = select(policy_terms).where(policy_terms.c.policy_id == policy_id, policy_terms.c.term == term)
    row = (await uow.conn.execute(query)).one_or_none()
    return None if row is None else TermRow(**row._asdict())


async def list_terms(uow: UnitOfWork, policy_id: str) -> list[TermRow]:
    """Return all terms of a policy, in order."""
    query = select(policy_terms).where(policy_terms.c.policy_id == policy_id).order_by(policy_terms.c.term)
    return [TermRow(**row._asdict()) for row in await uow.conn.execute(query)]


async def put_term(uow: UnitOfWork, row: TermRow) -> None:
    """Insert a term, or bring its row up to date."""
    new = pg_insert(policy_terms).values(msgspec.structs.asdict(row))
    key = ("policy_id", "term")
    changing = {column.name: new.excluded[column.name] for column in policy_terms.c if column.name not in key}
    await uow.conn.execute(new.on_conflict_do_update(index_elements=list(key), set_=changing))


async def stretches(uow: UnitOfWork, policy_id: str, term: int, *, revision: int | None = None) -> tuple[Stretch, ...]:
    """Return how a term is cut now, or as it was at a revision of the policy."""
    query = select(policy_segments).where(_SEGMENT.policy_id == policy_id, _SEGMENT.term == term)
    if revision is None:
        query = query.where(_CURRENT)
    else:
        still = or_(_CURRENT, _SEGMENT.until_revision > revision)
        query = query.where(_SEGMENT.since_revision <= revision, still)
    rows = await uow.conn.execute(query.order_by(_SEGMENT.position))
    return tuple(_stretch(row) for row in rows)


async def replace_stretches(
    uow: UnitOfWork,
    policy: Policy,
    term: TermRow,
    cut: Sequence[Stretch],
    instants: Sequence[tuple[datetime, datetime]],
) -> None:
    """Let these stretches hold from the term's revision on; those before them stay as history.

    ``instants`` are the beginning and end of cover of each.
    """
    old = update(policy_segments).where(_SEGMENT.policy_id == policy.policy_id, _SEGMENT.term == term.term, _CURRENT)
    await uow.conn.execute(old.values(until_revision=term.revision))
    rows = [
        {
            "policy_id": policy.policy_id,
            "term": term.term,
            "since_revision": term.revision,
            "position": position,
            "driver_id": policy.driver_id,
            "vehicle_id": one.facts.get("vehicle_id"),
            "transaction_id": one.transaction_id,
            "from_on": one.from_on,
            "to_on": one.to_on,
            "from_at": from_at,
            "to_at": to_at,
            "annual_premium": one.rate.annual_premium,
            "flat": one.flat,
            "changes": msgspec.to_builtins(one.changes),
            "facts": msgspec.to_builtins(one.facts),
            "rate": msgspec.to_builtins(one.rate),
        }
        for position, (one, (from_at, to_at)) in enumerate(zip(cut, instants, strict=True))
    ]
    if rows:
        await uow.conn.execute(insert(policy_segments), rows)


async def add_transaction(uow: UnitOfWork, new: Transaction) -> None:
    """Insert a transaction."""
    row = msgspec.structs.asdict(new)
    money = row.pop("money")
    row |= {"written": money.written, "fees": money.fees, "taxes": money.taxes}
    row |= {name: msgspec.to_builtins(row[name]) for name in ("changes", "lines", "details")}
    await uow.conn.execute(insert(policy_transactions).values(row))


async def get_transaction(uow: UnitOfWork, policy_id: str, revision: int) -> Transaction | None:
    """Return a transaction of a policy by its number."""
    c = policy_transactions.c
    query = select(policy_transactions).where(c.policy_id == policy_id, c.revision == revision)
    row = (await uow.conn.execute(query)).one_or_none()
    return None if row is None else transaction_of(row)


async def cover_at(uow: UnitOfWork, driver_id: str, vehicle_id: str | None, at: datetime) -> Cover | None:
    """Return what covers a vehicle of a driver (None: any) at an instant. Of several the one that was made first."""
    query = (
        select(_SEGMENT.policy_id, _SEGMENT.term, _SEGMENT.vehicle_id, _SEGMENT.rate, policies.c.product)
        .join(policies, policies.c.policy_id == _SEGMENT.policy_id)
        .join(policy_terms, (policy_terms.c.policy_id == _SEGMENT.policy_id) & (policy_terms.c.term == _SEGMENT.term))
        .where(
            _SEGMENT.driver_id == driver_id,
            _CURRENT,
            _SEGMENT.from_at <= at,
            _SEGMENT.to_at > at,
            policy_terms.c.status != "quoted",
        )
        .order_by(_SEGMENT.policy_id)
        .limit(1)
    )
    if vehicle_id is not None:
        query = query.where(or_(_SEGMENT.vehicle_id == vehicle_id, _SEGMENT.vehicle_id.is_(None)))
    row = (await uow.conn.execute(query)).one_or_none()
    if row is None:
        return None
    rate = msgspec.convert(row.rate, Rate)
    return Cover(
        policy_id=row.policy_id,
        term=row.term,
        vehicle_id=row.vehicle_id,
        product=row.product,
        currency=rate.currency,
        coverages=rate.coverages,
    )


def transaction_of(row: Row[*tuple[Any, ...]]) -> Transaction:
    """Read a row of ``policy_transactions``."""
    values: Mapping[str, Any] = row._asdict()
    rest = {name: value for name, value in values.items() if name not in {"written", "fees", "taxes"}}
    premium_id = values["premium_id"]
    rest |= {
        "lines": msgspec.convert(values["lines"], tuple[TransactionLine, ...]),
        "premium_id": None if premium_id is None else str(premium_id),
    }
    return Transaction(**rest, money=Money(values["written"], values["fees"], values["taxes"]))


def _stretch(row: Row[*tuple[Any, ...]]) -> Stretch:
    return Stretch(
        from_on=row.from_on,
        to_on=row.to_on,
        transaction_id=row.transaction_id,
        changes=row.changes,
        facts=row.facts,
        rate=msgspec.convert(row.rate, Rate),
        flat=row.flat,
    )
