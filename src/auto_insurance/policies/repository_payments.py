"""All SQL of payments and refunds."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from sqlalchemy import and_, case, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.policies.models_billing import billing_accounts, billing_instalments, payments
from auto_insurance.policies.models_ledger import ledger_terms


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment or refund; see ``models_billing.payments``."""

    payment_id: UUID
    policy_id: str
    kind: str
    amount: Decimal
    currency: str
    method: str
    provider: str
    provider_reference: str | None
    status: str
    reason: str
    created_at: datetime
    changed_at: datetime


async def add_payment(uow: UnitOfWork, payment: Payment) -> None:
    """Store a payment; of two refunds of a policy at once only the first."""
    new = insert(payments).values(msgspec.structs.asdict(payment))
    await uow.conn.execute(new.on_conflict_do_nothing())


async def get_payment(uow: UnitOfWork, payment_id: UUID, *, lock: bool = False) -> Payment | None:
    """Return a payment; with ``lock`` nobody else changes it until the transaction ends."""
    query = select(payments).where(payments.c.payment_id == payment_id)
    row = (await uow.conn.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
    return None if row is None else Payment(**row)


async def set_payment(uow: UnitOfWork, payment: Payment, at: datetime) -> None:
    """Store how a payment stands."""
    query = update(payments).where(payments.c.payment_id == payment.payment_id)
    values = {name: getattr(payment, name) for name in ("amount", "status", "reason", "provider_reference")}
    await uow.conn.execute(query.values(**values, changed_at=at))


async def list_payments(uow: UnitOfWork, policy_id: str, limit: int) -> list[Payment]:
    """Return the latest payments of a policy."""
    query = (
        select(payments)
        .where(payments.c.policy_id == policy_id)
        .order_by(payments.c.created_at.desc(), payments.c.kind.desc())
        .limit(limit)
    )
    return [Payment(**row) for row in (await uow.conn.execute(query)).mappings()]


async def last_paid(uow: UnitOfWork, policy_id: str) -> tuple[str, Decimal] | None:
    """Return the method of the last payment that succeeded, and what was paid in all less what went back."""
    paid = select(payments).where(payments.c.policy_id == policy_id, payments.c.status == "succeeded")
    newest = paid.where(payments.c.kind == "payment").order_by(payments.c.created_at.desc()).limit(1)
    last = (await uow.conn.execute(newest)).one_or_none()
    if last is None:
        return None
    signed = case((payments.c.kind == "payment", payments.c.amount), else_=-payments.c.amount)
    total = select(func.sum(signed)).where(payments.c.policy_id == policy_id, payments.c.status == "succeeded")
    return last.method, Decimal((await uow.conn.execute(total)).scalar_one())


async def overpaid(uow: UnitOfWork, on: date, after: str, limit: int) -> list[tuple[str, str, Decimal]]:
    """Return ended policies that money is left of: (policy, currency, amount), in order of policies.

    Ended early, or the day before at the end of the term: a renewal would be bound by now. With nothing to come and no
    refund under way.
    """
    account, term = billing_accounts.c, ledger_terms.c
    ended = (
        select(func.max(term.earns_to))
        .where(term.policy_id == account.policy_id)
        .having(
            or_(
                and_(func.max(term.earns_to) <= on, func.bool_or(term.earns_to < term.ends_on)),
                func.max(term.earns_to) < on,
            )
        )
    )
    coming = select(billing_instalments.c.seq).where(
        billing_instalments.c.policy_id == account.policy_id,
        billing_instalments.c.issued_on.is_(None),
        billing_instalments.c.amount > 0,
    )
    under_way = select(payments.c.payment_id).where(
        payments.c.policy_id == account.policy_id,
        payments.c.kind == "refund",
        payments.c.status.in_(("pending", "failed")),
    )
    query = (
        select(account.policy_id, account.currency, account.unapplied)
        .where(account.unapplied > 0, account.policy_id > after)
        .where(ended.exists(), ~coming.exists(), ~under_way.exists())
        .order_by(account.policy_id)
        .limit(limit)
    )
    return [(row.policy_id, row.currency, row.unapplied) for row in await uow.conn.execute(query)]


async def pending_refunds(uow: UnitOfWork, limit: int) -> list[Payment]:
    """Return refunds that the provider has not been asked for; nobody else gets them now."""
    query = (
        select(payments)
        .where(payments.c.kind == "refund", payments.c.status == "pending", payments.c.provider_reference.is_(None))
        .order_by(payments.c.payment_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [Payment(**row) for row in (await uow.conn.execute(query)).mappings()]
