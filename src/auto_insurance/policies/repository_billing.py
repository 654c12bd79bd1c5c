"""All SQL of instalments, invoices and the accounts that they are paid from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import RowMapping, Select, bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.policies.billing import OpenInvoice
from auto_insurance.policies.models_billing import billing_accounts, billing_instalments, invoices

_PART = billing_instalments.c


class Instalment(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a term's price; see ``models_billing.billing_instalments``."""

    policy_id: str
    term: int
    seq: int
    due_on: date
    amount: Decimal
    issued_on: date | None = None
    invoice_id: UUID | None = None


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice or credit note; see ``models_billing.invoices``. ``lines`` are (text, amount)."""

    invoice_id: UUID
    number: int = 0
    policy_id: str
    term: int
    kind: str
    issued_on: date
    due_on: date
    currency: str
    amount: Decimal
    open_amount: Decimal
    lines: tuple[tuple[str, str], ...]
    stage: str
    stage_since: date
    created_at: datetime


_INVOICE = Invoice.__struct_fields__


async def lock_account(uow: UnitOfWork, policy_id: str, currency: str) -> Decimal:
    """Hold a policy's billing until the transaction ends; return what came in and has paid nothing yet."""
    new = insert(billing_accounts).values(policy_id=policy_id, currency=currency, unapplied=Decimal(0))
    await uow.conn.execute(new.on_conflict_do_nothing())
    query = select(billing_accounts.c.unapplied).where(billing_accounts.c.policy_id == policy_id).with_for_update()
    return Decimal((await uow.conn.execute(query)).scalar_one())


async def set_unapplied(uow: UnitOfWork, policy_id: str, amount: Decimal) -> None:
    """Store what has paid nothing yet."""
    query = update(billing_accounts).where(billing_accounts.c.policy_id == policy_id).values(unapplied=amount)
    await uow.conn.execute(query)


async def unapplied_of(uow: UnitOfWork, policy_id: str) -> Decimal:
    """Return what came in and has paid nothing yet."""
    query = select(billing_accounts.c.unapplied).where(billing_accounts.c.policy_id == policy_id)
    return Decimal((await uow.conn.execute(query)).scalar_one_or_none() or 0)


async def instalments_of(uow: UnitOfWork, policy_id: str, term: int) -> list[Instalment]:
    """Return the instalments of a term in order."""
    query = (
        select(billing_instalments)
        .where(_PART.policy_id == policy_id, _PART.term == term)
        .order_by(_PART.seq)
        .limit(100)
    )
    return [Instalment(**row) for row in (await uow.conn.execute(query)).mappings()]


async def put_instalments(uow: UnitOfWork, parts: Sequence[Instalment]) -> None:
    """Store instalments."""
    if parts:
        new = insert(billing_instalments).values([msgspec.structs.asdict(part) for part in parts])
        changed = {name: new.excluded[name] for name in ("due_on", "amount", "issued_on", "invoice_id")}
        await uow.conn.execute(new.on_conflict_do_update(index_elements=["policy_id", "term", "seq"], set_=changed))


async def drop_to_come(uow: UnitOfWork, policy_id: str, term: int) -> None:
    """Delete the instalments that are not issued."""
    ours = (_PART.policy_id == policy_id, _PART.term == term, _PART.issued_on.is_(None))
    await uow.conn.execute(delete(billing_instalments).where(*ours))


async def terms_to_invoice(uow: UnitOfWork, until: date, limit: int) -> list[tuple[str, int]]:
    """Return terms with an instalment to issue that is due until a day, (policy, term)."""
    query = (
        select(_PART.policy_id, _PART.term)
        .where(_PART.issued_on.is_(None), _PART.due_on <= until)
        .order_by(_PART.due_on, _PART.policy_id)
        .limit(limit)
    )
    return list(dict.fromkeys((policy_id, term) for policy_id, term in await uow.conn.execute(query)))


async def to_come(uow: UnitOfWork, policy_id: str) -> Decimal:
    """Return the sum of a policy's instalments that are not issued."""
    query = select(func.sum(_PART.amount)).where(_PART.policy_id == policy_id, _PART.issued_on.is_(None))
    return Decimal((await uow.conn.execute(query)).scalar_one_or_none() or 0)


async def add_invoice(uow: UnitOfWork, invoice: Invoice) -> int:
    """Store an invoice. Returns its number."""
    values = {name: getattr(invoice, name) for name in _INVOICE if name not in {"number", "lines"}}
    query = insert(invoices).values(**values, lines=[list(line) for line in invoice.lines]).returning(invoices.c.number)
    return int((await uow.conn.execute(query)).scalar_one())


async def invoiced(uow: UnitOfWork, policy_id: str, term: int) -> Decimal:
    """Return what of a term's price has been invoiced: instalments and adjustments, without fees and miles."""
    issued = select(func.coalesce(func.sum(_PART.amount), 0)).where(
        _PART.policy_id == policy_id, _PART.term == term, _PART.issued_on.is_not(None)
    )
    adjusted = select(func.coalesce(func.sum(invoices.c.amount), 0)).where(
        invoices.c.policy_id == policy_id,
        invoices.c.term == term,
        invoices.c.kind == "adjustment",
    )
    query = select(issued.scalar_subquery() + adjusted.scalar_subquery())
    return Decimal((await uow.conn.execute(query)).scalar_one())


async def open_invoices(uow: UnitOfWork, policy_id: str) -> list[OpenInvoice]:
    """Return what is to be paid, the longest due first."""
    query = (
        select(invoices.c.due_on, invoices.c.number, invoices.c.open_amount)
        .where(invoices.c.policy_id == policy_id, invoices.c.open_amount > 0)
        .order_by(invoices.c.due_on, invoices.c.number)
        .limit(10_000)
    )
    return [OpenInvoice(*row) for row in await uow.conn.execute(query)]


async def pay_invoices(uow: UnitOfWork, shares: Sequence[tuple[int, Decimal]]) -> None:
    """Take amounts off what is open of invoices, by number."""
    if shares:
        query = (
            update(invoices)
            .where(invoices.c.number == bindparam("paid_number"))
            .values(open_amount=invoices.c.open_amount - bindparam("paid"))
        )
        rows = [{"paid_number": number, "paid": share} for number, share in shares]
        await uow.conn.execute(query, rows)


async def list_invoices(
    uow: UnitOfWork, policy_id: str, *, limit: int = 100, offset: int = 0
) -> tuple[list[Invoice], int]:
    """Return invoices of a policy, newest first, and how many there are."""
    ours = invoices.c.policy_id == policy_id
    total = await uow.conn.scalar(select(func.count()).select_from(invoices).where(ours))
    query = _invoices().where(ours).order_by(invoices.c.number.desc()).limit(limit).offset(offset)
    rows = (await uow.conn.execute(query)).mappings()
    return [_invoice(row) for row in rows], int(total or 0)


async def get_invoice(uow: UnitOfWork, policy_id: str, number: int) -> Invoice | None:
    """Return one invoice of a policy."""
    query = _invoices().where(invoices.c.policy_id == policy_id, invoices.c.number == number)
    row = (await uow.conn.execute(query)).mappings().one_or_none()
    return None if row is None else _invoice(row)


async def dunned(uow: UnitOfWork, stage: str, due_until: date, since: date, limit: int) -> list[Invoice]:
    """Return unpaid invoices at a stage since a day or longer that were due until a day; nobody else gets them now."""
    query = (
        _invoices()
        .where(
            invoices.c.open_amount > 0,
            invoices.c.stage == stage,
            invoices.c.due_on <= due_until,
            invoices.c.stage_since <= since,
        )
        .order_by(invoices.c.due_on, invoices.c.invoice_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_invoice(row) for row in (await uow.conn.execute(query)).mappings()]


async def set_stage(uow: UnitOfWork, numbers: Sequence[int], stage: str, on: date) -> None:
    """Note how far the reminding has gone."""
    query = update(invoices).where(invoices.c.number.in_(numbers)).values(stage=stage, stage_since=on)
    await uow.conn.execute(query)


def _invoices() -> Select[Any]:
    return select(*(invoices.c[name] for name in _INVOICE))


def _invoice(row: RowMapping) -> Invoice:
    lines = tuple((str(text), str(amount)) for text, amount in row["lines"])
    return Invoice(**{name: row[name] for name in _INVOICE if name != "lines"}, lines=lines)
