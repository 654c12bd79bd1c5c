"""What a table holds of a person, and what becomes of it when the person is erased.

Each domain declares its tables (``models_holdings``); whoever erases, exports or proves works on the declarations. So
one place knows how rows are counted, changed in bounded batches and read, and a test sees that no table is forgotten.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Numeric,
    Table,
    Text,
    and_,
    cast,
    delete,
    false,
    func,
    literal_column,
    or_,
    select,
    text,
    tuple_,
    update,
)

from auto_insurance.infra.db.uow import UnitOfWork

BATCH_ROWS = 5_000
FETCH_ROWS = 500
# What is only added to may be changed by an erasure, and within its transaction alone.
_MAY_CHANGE = text("SELECT set_config('auto_insurance.erasing', 'on', true)")


class Fate(StrEnum):
    """What erasure does to a table's rows of a person."""

    DELETED = "deleted"
    PSEUDONYMISED = "pseudonymised"
    KEPT = "kept"
    EXPIRES = "expires"
    """The rows go by themselves, within a stated time."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whose data: the ids by which rows are found. ``device_ids`` are the devices that are this driver's now."""

    driver_id: str
    device_ids: list[str] = []
    user_ids: list[str] = []
    policy_ids: list[str] = []
    claim_ids: list[str] = []

    @property
    def names(self) -> list[str]:
        """The ids of the person and its devices: what keys of records and of the cache are made of."""
        return [self.driver_id, *self.device_ids]


class Content(msgspec.Struct, frozen=True):
    """How much there is, and its checksum: the sum of the rows' MD5, whatever their order."""

    rows: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Holding:
    """A table with data of drivers. ``mine`` tells which rows are a person's."""

    table: Table
    fate: Fate
    why: str
    """Why it is kept, or what is left: for the person who reads the plan and the proof."""
    mine: Callable[[Subject], ColumnElement[bool]]
    blank: Mapping[str, Any] = field(default_factory=dict)
    """Columns that lose what they hold, and what they hold then: a value or an expression."""
    hidden: frozenset[str] = frozenset()
    """Columns that are not the person's to read: secrets, bytes of machines."""
    exported: bool = True

    @property
    def name(self) -> str:
        """The table's name."""
        return str(self.table.name)

    def changes(self, subject: Subject) -> ColumnElement[bool]:
        """Return which rows erasure still has to change."""
        if self.fate is Fate.DELETED:
            return self.mine(subject)
        if self.fate is not Fate.PSEUDONYMISED:
            return false()
        unlike = [self.table.c[name].is_distinct_from(value) for name, value in self.blank.items()]
        return and_(self.mine(subject), or_(*unlike))


async def content(uow: UnitOfWork, holding: Holding, subject: Subject) -> Content:
    """Return how much a table holds of a person."""
    value = literal_column(f"sum(('x' || substr(md5(\"{holding.name}\"::text), 1, 16))::bit(64)::bigint)", Numeric)
    query = select(func.count(), cast(func.coalesce(value, 0), Text)).select_from(holding.table)
    row = (await uow.conn.execute(query.where(holding.mine(subject)))).one()
    return Content(row[0], str(row[1]))


async def remaining(uow: UnitOfWork, holding: Holding, subject: Subject) -> int:
    """Return how many rows erasure still has to change."""
    query = select(func.count()).select_from(holding.table).where(holding.changes(subject))
    return int((await uow.conn.execute(query)).scalar_one())


async def erase(uow: UnitOfWork, holding: Holding, subject: Subject, limit: int = BATCH_ROWS) -> int:
    """Delete or pseudonymise up to ``limit`` rows; returns how many it were, 0 when nothing is left to do."""
    keys = list(holding.table.primary_key.columns)
    some = select(*keys).where(holding.changes(subject)).limit(limit)
    chosen = keys[0].in_(some) if len(keys) == 1 else tuple_(*keys).in_(some)
    if holding.fate not in {Fate.DELETED, Fate.PSEUDONYMISED}:
        return 0
    await uow.conn.execute(_MAY_CHANGE)
    if holding.fate is Fate.DELETED:
        return (await uow.conn.execute(delete(holding.table).where(chosen))).rowcount
    return (await uow.conn.execute(update(holding.table).where(chosen).values(dict(holding.blank)))).rowcount


async def rows(uow: UnitOfWork, holding: Holding, subject: Subject) -> AsyncIterator[dict[str, Any]]:
    """Yield a person's rows without their hidden columns, by key, through a cursor of the server."""
    columns = [column for column in holding.table.columns if column.name not in holding.hidden]
    query = select(*columns).where(holding.mine(subject)).order_by(*holding.table.primary_key.columns)
    stream = await uow.conn.stream(query.execution_options(yield_per=FETCH_ROWS))
    async for row in stream.mappings():
        yield {str(name): value for name, value in row.items()}
