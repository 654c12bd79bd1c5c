"""SQL that looks for faults of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from sqlalchemy import case, func, or_, select

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.policies.models_billing import billing_accounts, billing_instalments, invoices, statements
from auto_insurance.policies.models_ledger import ledger_entries, ledger_postings

_SIGNED = case((ledger_postings.c.side == "debit", ledger_postings.c.amount), else_=-ledger_postings.c.amount)


async def unbalanced(uow: UnitOfWork, policy_ids: Sequence[str]) -> list[tuple[str, str]]:
    """Return entries whose debits are not their credits, or that have no postings: (policy, reference)."""
    query = (
        select(ledger_entries.c.policy_id, ledger_entries.c.reference)
        .outerjoin_from(ledger_entries, ledger_postings)
        .where(ledger_entries.c.policy_id.in_(policy_ids))
        .group_by(ledger_entries.c.entry_id)
        .having(or_(func.coalesce(func.sum(_SIGNED), 0) != 0, func.count(ledger_postings.c.seq) < 2))
    )
    return [(policy_id, reference) for policy_id, reference in await uow.conn.execute(query)]


async def account_sums(uow: UnitOfWork, policy_ids: Sequence[str]) -> dict[str, dict[tuple[str, str], Decimal]]:
    """Return debits less credits by policy, of each account and kind of entry."""
    query = (
        select(ledger_entries.c.policy_id, ledger_postings.c.account, ledger_entries.c.kind, func.sum(_SIGNED))
        .join_from(ledger_entries, ledger_postings)
        .where(ledger_entries.c.policy_id.in_(policy_ids))
        .group_by(ledger_entries.c.policy_id, ledger_postings.c.account, ledger_entries.c.kind)
    )
    found: dict[str, dict[tuple[str, str], Decimal]] = {policy_id: {} for policy_id in policy_ids}
    for policy_id, account, kind, amount in await uow.conn.execute(query):
        found[policy_id][account, kind] = amount
    return found


async def billing_sums(uow: UnitOfWork, policy_ids: Sequence[str]) -> dict[str, Decimal]:
    """Return by policy what is open and to come, less what came in and has paid nothing yet."""
    found = dict.fromkeys(policy_ids, Decimal(0))
    opened = (
        select(invoices.c.policy_id, func.sum(invoices.c.open_amount))
        .where(invoices.c.policy_id.in_(policy_ids), invoices.c.open_amount > 0)
        .group_by(invoices.c.policy_id)
    )
    part = billing_instalments.c
    coming = (
        select(part.policy_id, func.sum(part.amount))
        .where(part.policy_id.in_(policy_ids), part.issued_on.is_(None))
        .group_by(part.policy_id)
    )
    account = billing_accounts.c
    waiting = select(account.policy_id, -account.unapplied).where(account.policy_id.in_(policy_ids))
    for query in (opened, coming, waiting):
        for policy_id, amount in await uow.conn.execute(query):
            found[policy_id] += amount
    return found


async def stated_sums(uow: UnitOfWork, policy_ids: Sequence[str]) -> dict[str, Decimal]:
    """Return by policy the sum of its statements of miles."""
    query = (
        select(statements.c.policy_id, func.sum(statements.c.amount))
        .where(statements.c.policy_id.in_(policy_ids))
        .group_by(statements.c.policy_id)
    )
    rows = [(policy_id, amount) for policy_id, amount in await uow.conn.execute(query)]
    return dict.fromkeys(policy_ids, Decimal(0)) | dict(rows)
