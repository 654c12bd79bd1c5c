"""Monthly range partitions: names, bounds, and the call that makes them.

The SQL function ``create_month_partition(parent, month)`` makes the table beside its parent and attaches it. Attaching
takes SHARE UPDATE EXCLUSIVE on the parent, which blocks neither readers nor writers, and creators take turns under an
advisory lock, so that it is safe inside the transaction of a batch: whoever holds that lock waits for no writer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import text

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock

_PARENT = re.compile(r"[a-z_][a-z0-9_]{0,50}")


class Month(NamedTuple):
    """A calendar month in UTC."""

    year: int
    month: int

    def plus(self, months: int) -> Month:
        """Return the month that lies ``months`` later."""
        index = self.year * 12 + self.month - 1 + months
        return Month(index // 12, index % 12 + 1)

    @property
    def start(self) -> datetime:
        """The month's first instant."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition's table name and its bounds, [start, end)."""

    name: str
    start: datetime
    end: datetime


def month_of(at: datetime) -> Month:
    """Return the UTC month of an instant."""
    at = at.astimezone(UTC)
    return Month(at.year, at.month)


def months_of_us(times_us: Iterable[int]) -> list[Month]:
    """Return the distinct months of instants (microseconds since the epoch), in order."""
    days = {t_us // 86_400_000_000 for t_us in times_us}
    return sorted({month_of(clock.from_us(day * 86_400_000_000)) for day in days})


def partition_of(parent: str, month: Month) -> Partition:
    """Return the partition of ``parent`` for a month, such as ``telematics_events_2026_11``. Raises ``ValueError``."""
    if not _PARENT.fullmatch(parent):
        raise ValueError("not a plain table name")
    return Partition(f"{parent}_{month.year:04d}_{month.month:02d}", month.start, month.plus(1).start)


def months_ahead(start: Month, ahead: int) -> list[Month]:
    """Return ``start`` and the ``ahead`` months after it."""
    return [start.plus(n) for n in range(ahead + 1)]


async def ensure_months(uow: UnitOfWork, parent: str, months: Sequence[Month]) -> list[Partition]:
    """Make the partitions of ``parent`` that are missing, in the caller's transaction; return the new ones."""
    wanted = [partition_of(parent, month) for month in dict.fromkeys(months)]
    rows = await uow.conn.execute(
        text(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = to_regclass(:p)"
        ),
        {"p": parent},
    )
    there = set(rows.scalars())
    made = []
    for partition in wanted:
        if partition.name in there:
            continue
        params = {"parent": parent, "month": partition.start.date()}
        result = await uow.conn.execute(text("SELECT create_month_partition(:parent, :month)"), params)
        if result.scalar_one():
            made.append(partition)
    return made
