"""All SQL of the statements of miles."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, delete, func, literal, or_, select
from sqlalchemy.dialects.postgresql import insert

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.policies.models_billing import mile_changes, statements
from auto_insurance.policies.models_ledger import ledger_rates, ledger_terms
from auto_insurance.policies.statements_miles import CorrectionLine, DayLine


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """The miles of a month and what they cost; see ``models_billing.statements``."""

    statement_id: UUID
    policy_id: str
    driver_id: str
    month: date
    currency: str
    miles: Decimal
    charged_miles: Decimal
    amount: Decimal
    days: tuple[DayLine, ...]
    corrections: tuple[CorrectionLine, ...]
    created_at: datetime


_PLAIN = tuple(name for name in Statement.__struct_fields__ if name not in {"days", "corrections"})


async def add_statement(uow: UnitOfWork, statement: Statement) -> bool:
    """Store a statement; False if the month has one."""
    values = {name: getattr(statement, name) for name in _PLAIN}
    days = [[str(part) for part in msgspec.structs.astuple(line)] for line in statement.days]
    corrections = [[str(part) for part in msgspec.structs.astuple(line)] for line in statement.corrections]
    query = insert(statements).values(**values, days=days, corrections=corrections).on_conflict_do_nothing()
    return (await uow.conn.execute(query)).rowcount == 1


async def list_statements(
    uow: UnitOfWork, policy_id: str, *, limit: int = 100, offset: int = 0
) -> tuple[list[Statement], int]:
    """Return statements of a policy, the latest month first, and how many there are."""
    ours = statements.c.policy_id == policy_id
    total = await uow.conn.scalar(select(func.count()).select_from(statements).where(ours))
    query = select(statements).where(ours).order_by(statements.c.month.desc()).limit(limit).offset(offset)
    return [_statement(row) for row in await uow.conn.execute(query)], int(total or 0)


async def without_statement(
    uow: UnitOfWork, month: date, next_month: date, after: str, limit: int
) -> list[tuple[str, str]]:
    """Return policies that charged miles in a month and have no statement of it: (policy, driver), in order."""
    term, rate = ledger_terms.c, ledger_rates.c
    priced = select(rate.policy_id).where(rate.policy_id == term.policy_id, rate.from_on < next_month)
    noted = select(mile_changes.c.policy_id).where(
        mile_changes.c.policy_id == term.policy_id, mile_changes.c.on_day < month
    )
    stated = select(statements.c.policy_id).where(statements.c.policy_id == term.policy_id, statements.c.month == month)
    query = (
        select(term.policy_id, func.max(term.driver_id))
        # An ended policy gets one more statement when late trips change what it was charged.
        .where(term.starts_on < next_month, or_(term.earns_to > month, noted.exists()), term.driver_id.is_not(None))
        .where(term.policy_id > after, priced.exists(), ~stated.exists())
        .group_by(term.policy_id)
        .order_by(term.policy_id)
        .limit(limit)
    )
    return [(policy_id, driver_id) for policy_id, driver_id in await uow.conn.execute(query)]


async def first_rate(uow: UnitOfWork) -> date | None:
    """Return the first day on which any policy charges miles."""
    found: date | None = (await uow.conn.execute(select(func.min(ledger_rates.c.from_on)))).scalar_one()
    return found


async def note_changes(uow: UnitOfWork, driver_id: str, days: Sequence[date], reason: str, at: datetime) -> int:
    """Note that trips of days have changed, for the policies of a driver that charged their miles. Returns how many."""
    noted = 0
    for day in days:
        term, rate = ledger_terms.c, ledger_rates.c
        priced = select(rate.policy_id).where(rate.policy_id == term.policy_id, rate.from_on <= day)
        rows = (
            select(term.policy_id, literal(day), literal(reason), literal(at))
            .where(term.driver_id == driver_id, term.starts_on <= day, term.ends_on > day, priced.exists())
            .distinct()
        )
        new = insert(mile_changes).from_select(["policy_id", "on_day", "reason", "noted_at"], rows)
        changed = {"reason": new.excluded.reason, "noted_at": new.excluded.noted_at}
        query = new.on_conflict_do_update(index_elements=["policy_id", "on_day"], set_=changed)
        noted += (await uow.conn.execute(query)).rowcount
    return noted


async def take_changes(uow: UnitOfWork, policy_id: str, before: date) -> list[tuple[date, str]]:
    """Delete what is noted of days before one, and return it in order: (day, reason)."""
    query = (
        delete(mile_changes)
        .where(mile_changes.c.policy_id == policy_id, mile_changes.c.on_day < before)
        .returning(mile_changes.c.on_day, mile_changes.c.reason)
    )
    return sorted((day, reason) for day, reason in await uow.conn.execute(query))


def _statement(row: Row[Any]) -> Statement:
    days = tuple(DayLine(date.fromisoformat(on), *map(Decimal, rest)) for on, *rest in row.days)
    corrections = tuple(
        CorrectionLine(date.fromisoformat(on), reason, *map(Decimal, rest)) for on, reason, *rest in row.corrections
    )
    fields = {name: getattr(row, name) for name in Statement.__struct_fields__}
    return Statement(**{**fields, "days": days, "corrections": corrections})
