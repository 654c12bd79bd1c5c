"""All SQL of quotes."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import RowMapping, delete, insert, select, update

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.pricing.models import quotes
from auto_insurance.pricing.rating import Line, RatingInputs
from auto_insurance.pricing.schemas_quotes import Quote, QuoteStatus


async def add_quote(uow: UnitOfWork, quote: Quote) -> None:
    """Insert a quote."""
    row = msgspec.structs.asdict(quote)
    row |= {name: msgspec.to_builtins(row[name]) for name in ("inputs", "worksheet")}
    await uow.conn.execute(insert(quotes).values(row))


async def get_quote(uow: UnitOfWork, quote_id: str, *, lock: bool = False) -> Quote | None:
    """Return a quote, None if there is none. ``lock``: nobody else may until the transaction ends."""
    query = select(quotes).where(quotes.c.quote_id == quote_id)
    row = (await uow.conn.execute(query.with_for_update() if lock else query)).mappings().first()
    return None if row is None else _quote(row)


async def mark_bound(uow: UnitOfWork, quote_id: str, at: datetime) -> None:
    """Make an open quote a bound one."""
    statement = update(quotes).where(quotes.c.quote_id == quote_id, quotes.c.status == QuoteStatus.OPEN.value)
    await uow.conn.execute(statement.values(status=QuoteStatus.BOUND.value, bound_at=at))


async def set_policy(uow: UnitOfWork, quote_id: str, policy_id: str, driver_id: str) -> None:
    """Note what came of a quote."""
    statement = update(quotes).where(quotes.c.quote_id == quote_id)
    await uow.conn.execute(statement.values(policy_id=policy_id, driver_id=driver_id))


async def forget_expired(uow: UnitOfWork, before: datetime) -> int:
    """Delete open quotes that expired before an instant; returns how many."""
    statement = delete(quotes).where(quotes.c.status == QuoteStatus.OPEN.value, quotes.c.expires_at < before)
    return (await uow.conn.execute(statement)).rowcount


def _quote(row: RowMapping) -> Quote:
    worksheet = msgspec.convert(row["worksheet"], tuple[Line, ...])
    return Quote(**{**row, "worksheet": worksheet, "inputs": msgspec.convert(row["inputs"], RatingInputs)})
