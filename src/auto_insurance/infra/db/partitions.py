"""Monthly range partitions: names, bounds, and the calls that make them.

The SQL function ``create_month_partition(parent, month)`` makes the table beside its parent and attaches it. Attaching
takes SHARE UPDATE EXCLUSIVE on the parent, which blocks neither readers nor writers, and creators take turns under an
advisory lock. A writer has a missing partition made in a short transaction of its own: that lock is held for
milliseconds, whatever the writer's own transaction waits for, and a partition that nobody fills does no harm.

Months may be closed (archived, see ``telematics_archives``). A writer claims its months: a claimed month stays online
until the claim's transaction ends. Live traffic pays nothing for it: a month can be closed only ``CLOSABLE_AGE`` months
after it began, and younger ones, once seen, are kept in memory.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import asyncpg
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import DateTime, Engine, text
from sqlalchemy import exc as sa

from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.kernel.errors import AppError, ErrorKind, InvalidInput

_PARENT = re.compile(r"[a-z_][a-z0-9_]{0,50}")
_MONTH = re.compile(r"(\d{4})[-_](\d{2})")
HOT_AGE = 2
"""Months of this age (0: the current one) and younger are never closed, so that they may be kept in memory."""
CLOSABLE_AGE = 4
"""Least age of a month that may be closed. One more than needed, for clocks of processes that differ."""
KNOWN_S = 3600.0
ATTEMPTS = 6
LOCK_WAIT = "2s"
_BUSY = ("55P03", "40P01", "42P07", "23505")
"""No lock in time, deadlock, and two ways in which somebody else's table of that name can come first."""


class Month(NamedTuple):
    """A calendar month in UTC."""

    year: int
    month: int

    def plus(self, months: int) -> Month:
        """Return the month that lies ``months`` later."""
        return month_at(self.number + months)

    @property
    def number(self) -> int:
        """Months since January 1970."""
        return (self.year - 1970) * 12 + self.month - 1

    @property
    def start(self) -> datetime:
        """The month's first instant."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The next month's first instant."""
        return self.plus(1).start

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


class InvalidMonth(InvalidInput):
    """A text that names no month."""

    code = "invalid_month"

    def __init__(self, given: str) -> None:
        super().__init__(f"'{given[:20]}' is no month. Write it as year-month, such as 2025-01.")


class MonthArchived(AppError):
    """An event belongs to a month that is archived; it can be stored after the month has been restored."""

    kind = ErrorKind.CONFLICT
    code = "month_archived"

    def __init__(self, months: Iterable[Month]) -> None:
        names = ", ".join(map(str, sorted(months)))
        super().__init__(f"Archived: {names}. Restore first: auto-insurance partitions restore MONTH")


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition's table name and its bounds, [start, end)."""

    name: str
    start: datetime
    end: datetime


def month_at(number: int) -> Month:
    """Return the month that lies ``number`` months after January 1970."""
    return Month(1970 + number // 12, number % 12 + 1)


def month_of(at: datetime) -> Month:
    """Return the UTC month of an instant."""
    at = at.astimezone(UTC)
    return Month(at.year, at.month)


def parse_month(given: str) -> Month:
    """Return the month that a text such as ``2025-01`` names. Raises ``InvalidMonth``."""
    match = _MONTH.fullmatch(given.strip())
    if match is None or not 1 <= int(match[2]) <= 12 or int(match[1]) < 1:
        raise InvalidMonth(given)
    return Month(int(match[1]), int(match[2]))


def month_indices(t_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each instant's ``Month.number`` (instants in microseconds since the epoch)."""
    return t_us.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)


def months_of_us(times_us: Iterable[int] | NDArray[np.int64]) -> list[Month]:
    """Return the distinct months of instants (microseconds since the epoch), in order."""
    times = times_us if isinstance(times_us, np.ndarray) else np.fromiter(times_us, np.int64)
    return [month_at(index) for index in np.unique(month_indices(times)).tolist()]


def partition_of(parent: str, month: Month) -> Partition:
    """Return the partition of ``parent`` for a month, such as ``telematics_events_2026_11``. Raises ``ValueError``."""
    if not _PARENT.fullmatch(parent):
        raise ValueError("not a plain table name")
    return Partition(f"{parent}_{month.year:04d}_{month.month:02d}", month.start, month.end)


def months_ahead(start: Month, ahead: int) -> list[Month]:
    """Return ``start`` and the ``ahead`` months after it."""
    return [start.plus(n) for n in range(ahead + 1)]


def is_hot(month: Month) -> bool:
    """Return whether a month is so young that nobody may close it."""
    return month.number >= month_of(clock.now()).number - HOT_AGE


def is_closable(month: Month) -> bool:
    """Return whether a month is old enough to be archived or dropped."""
    return month.number <= month_of(clock.now()).number - CLOSABLE_AGE


_known: WeakKeyDictionary[Engine, dict[tuple[str, Month], float]] = WeakKeyDictionary()
"""Per database, the hot months that were seen online, and until when that is believed."""


async def claim_months(uow: UnitOfWork, parent: str, months: Sequence[Month]) -> frozenset[Month]:
    """Make the months' missing partitions and keep the months online until the transaction ends.

    Returns those that are closed: what belongs to them can't be stored. Without a query when all are known.
    """
    closed, _ = await _claim(uow, parent, months)
    return closed


async def ensure_months(uow: UnitOfWork, parent: str, months: Sequence[Month]) -> list[Partition]:
    """Claim the months and return the partitions that had to be made. Raises ``MonthArchived``."""
    closed, made = await _claim(uow, parent, months)
    if closed:
        raise MonthArchived(closed)
    return made


async def _claim(uow: UnitOfWork, parent: str, months: Sequence[Month]) -> tuple[frozenset[Month], list[Partition]]:
    now, known = time.monotonic(), _known.setdefault(uow.conn.sync_engine, {})
    wanted = {month: partition_of(parent, month) for month in sorted(set(months))}
    unsure = [month for month in wanted if known.get((parent, month), 0.0) < now]
    if not unsure:
        return frozenset(), []
    query = text("SELECT month, state FROM claim_months(:parent, :months)")
    params = {"parent": parent, "months": [month.start.date() for month in unsure]}
    states = {Month(row[0].year, row[0].month): row[1] for row in await uow.conn.execute(query, params)}
    made = []
    for month in unsure:
        if states[month] == "missing" and await create_month(Database(uow.conn.engine), parent, month):
            made.append(wanted[month])
        if states[month] != "closed" and is_hot(month):
            known[parent, month] = now + KNOWN_S
    return frozenset(month for month in unsure if states[month] == "closed"), made


async def create_month(database: Database, parent: str, month: Month) -> bool:
    """Make a month's partition in a transaction of its own; False if it was there. Waits for others in turns.

    Raises ``MonthArchived``, and the database's error when it gets no lock in ``ATTEMPTS`` turns.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with database.begin() as uow:
                await uow.conn.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'"))
                params = {"parent": parent, "month": month.start.date()}
                query = text("SELECT create_month_partition(:parent, :month)")
                return bool((await uow.conn.execute(query, params)).scalar_one())
        except sa.DBAPIError as error:
            state = sqlstate(error)
            if state == asyncpg.ObjectNotInPrerequisiteStateError.sqlstate:
                raise MonthArchived([month]) from error
            if state not in _BUSY or attempt == ATTEMPTS:
                raise
            await asyncio.sleep(0.05 * attempt)
    raise AssertionError("the last attempt returns or raises")


def forget(database: Database) -> None:
    """Forget what is known of a database's months: for a process that drops a partition itself."""
    _known.pop(database.engine.sync_engine, None)


def sqlstate(error: BaseException) -> str | None:
    """Return PostgreSQL's code of an error, if it has one."""
    seen: Any = error
    while seen is not None:
        state = getattr(seen, "sqlstate", None)
        if isinstance(state, str):
            return state
        seen = getattr(seen, "orig", None) or seen.__cause__
    return None


async def read_partitions(uow: UnitOfWork, parent: str) -> list[Partition]:
    """Return the attached partitions in order of time; an open end is year 1 or 9999."""
    query = text(
        "SELECT partition, greatest(from_at, '0001-01-01 00:00+00') AS from_at,"
        " least(to_at, '9999-12-31 00:00+00') AS to_at"
        " FROM month_partitions(:parent) WHERE NOT pending ORDER BY from_at"
    ).columns(from_at=DateTime(timezone=True), to_at=DateTime(timezone=True))
    rows = await uow.conn.execute(query, {"parent": parent})
    return [Partition(row.partition, row.from_at, row.to_at) for row in rows]
