"""SQL over many policies: pages, figures of the book, what is due."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec
from sqlalchemy import ColumnElement, Numeric, cast, exists, func, or_, select, text, tuple_

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.policies.models import policies, policy_segments, policy_terms, policy_transactions
from auto_insurance.policies.records import Policy, TermRow, Transaction
from auto_insurance.policies.repository import transaction_of

_NEWEST = (policies.c.created_at.desc(), policies.c.policy_id.desc())

# Written out, and not as parameters: only so the planner sees that a partial index has all the rows.
_BOUND = text("policy_terms.status = 'bound'")
_RUNNING = text("policy_terms.status IN ('active', 'lapsed')")


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A policy in a list: itself and its running term."""

    policy: Policy
    row: TermRow


async def page(
    uow: UnitOfWork,
    *,
    driver_id: str | None = None,
    status: str | None = None,
    search: str | None = None,
    limit: int,
    offset: int,
) -> tuple[list[Listed], int]:
    """Return policies, the newest first, and how many there are. ``search``: the beginning of an id."""
    wanted: list[ColumnElement[bool]] = []
    if driver_id is not None:
        wanted.append(policies.c.driver_id == driver_id)
    if status is not None:
        wanted.append(policies.c.status == status)
    if search:
        # The pattern as one value: so the planner sees its fixed beginning.
        pattern = "".join(f"\\{one}" if one in "%_\\" else one for one in search) + "%"
        wanted.append(or_(policies.c.policy_id.like(pattern), policies.c.driver_id.like(pattern)))
    paged = select(policies).where(*wanted).order_by(*_NEWEST).limit(limit).offset(offset)
    found = [Policy(**row) for row in (await uow.conn.execute(paged)).mappings()]
    # By their keys and not joined: a join reads the terms of every policy.
    keys = [(policy.policy_id, policy.term) for policy in found]
    running = select(policy_terms).where(tuple_(policy_terms.c.policy_id, policy_terms.c.term).in_(keys))
    terms = {row["policy_id"]: TermRow(**row) for row in (await uow.conn.execute(running)).mappings()} if keys else {}
    total = (await uow.conn.execute(select(func.count()).select_from(policies).where(*wanted))).scalar_one()
    return [Listed(policy=policy, row=terms[policy.policy_id]) for policy in found], int(total)


async def transactions(uow: UnitOfWork, policy_id: str, *, limit: int, offset: int) -> tuple[list[Transaction], int]:
    """Return a page of a policy's transactions, the newest first, and how many there are."""
    c = policy_transactions.c
    query = select(policy_transactions).where(c.policy_id == policy_id).order_by(c.revision.desc())
    rows = (await uow.conn.execute(query.limit(limit).offset(offset))).all()
    counted = select(func.count()).select_from(policy_transactions).where(c.policy_id == policy_id)
    return [transaction_of(row) for row in rows], int((await uow.conn.execute(counted)).scalar_one())


async def overlapping(
    uow: UnitOfWork, driver_id: str, vehicle_id: str | None, start: datetime, end: datetime
) -> str | None:
    """Return a policy of the driver that covers the vehicle (None: any) at some time of a period, None if none does."""
    s = policy_segments.c
    query = (
        select(s.policy_id)
        .where(s.driver_id == driver_id, s.until_revision.is_(None), s.from_at < end, s.to_at > start)
        .order_by(s.policy_id)
        .limit(1)
    )
    if vehicle_id is not None:
        query = query.where(or_(s.vehicle_id == vehicle_id, s.vehicle_id.is_(None)))
    found: str | None = (await uow.conn.execute(query)).scalar_one_or_none()
    return found


async def to_begin(uow: UnitOfWork, at: datetime, limit: int) -> list[str]:
    """Return policies with a bound term whose time has come, the oldest first."""
    c = policy_terms.c
    query = select(c.policy_id).where(_BOUND, c.starts_at <= at).order_by(c.starts_at).limit(limit)
    return list((await uow.conn.execute(query)).scalars())


async def to_end(uow: UnitOfWork, at: datetime, limit: int) -> list[str]:
    """Return policies with a running or lapsed term whose time is over, the oldest first."""
    c = policy_terms.c
    query = select(c.policy_id).where(_RUNNING, c.ends_at <= at).order_by(c.ends_at).limit(limit)
    return list((await uow.conn.execute(query)).scalars())


async def to_offer(uow: UnitOfWork, until: datetime, limit: int) -> list[str]:
    """Return policies with a running term that ends until an instant and has no next one, the oldest first."""
    c, later = policy_terms.c, policy_terms.alias("later")
    has_next = exists().where(later.c.policy_id == c.policy_id, later.c.term == c.term + 1)
    query = (
        select(c.policy_id)
        .where(_RUNNING, c.status == "active", c.ends_at <= until, ~has_next)
        .order_by(c.ends_at)
        .limit(limit)
    )
    return list((await uow.conn.execute(query)).scalars())


async def count_by_status(uow: UnitOfWork) -> dict[str, int]:
    """Return how many policies stand where."""
    counted = await uow.conn.execute(select(policies.c.status, func.count()).group_by(policies.c.status))
    return {str(status): int(count) for status, count in counted}


async def premium_of_book(uow: UnitOfWork, at: datetime) -> tuple[Decimal, Decimal]:
    """Return a year's premium of all policies that run at an instant, and how much more it would be without devices."""
    s = policy_segments.c
    plain = cast(s.rate.op("->>")("annual_without_telematics"), Numeric)
    query = (
        select(func.coalesce(func.sum(s.annual_premium), 0), func.coalesce(func.sum(plain - s.annual_premium), 0))
        .select_from(policy_segments.join(policies, policies.c.policy_id == s.policy_id))
        .where(policies.c.status == "active", s.until_revision.is_(None), s.from_at <= at, s.to_at > at)
    )
    annual, savings = (await uow.conn.execute(query)).one()
    return Decimal(annual), Decimal(savings)
