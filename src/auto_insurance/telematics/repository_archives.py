"""All SQL of archived months: their states, and the rows of a month on their way into files and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Column, DateTime, delete, func, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert

from auto_insurance.infra.db.copy import copy_rows
from auto_insurance.infra.db.partitions import Month
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.telematics.models import telematics_events
from auto_insurance.telematics.models_archives import CLOSED, archives

FETCH_ROWS = 8192
PAGE_BYTES = 8192
GLANCE_PAGES = 64
_ARCHIVED_ROWS = "telematics_archived_rows"
_IDENTITY = ("driver_id", "timestamp", "device_id", "event_id")


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """What is known of a month that was written to files or is about to leave."""

    month: Month
    status: str
    table_name: str | None = None
    folder: str | None = None
    rows: int | None = None
    files: int | None = None
    bytes: int | None = None
    checksum: str | None = None
    manifest_sha256: str | None = None
    last_arrival: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What a table holds: two tables of equal content have equal values here."""

    rows: int
    checksum: str
    first: datetime | None
    last: datetime | None
    last_arrival: datetime | None


def columns() -> list[tuple[str, str]]:
    """Return the name and the kind of each column of an event: the schema of the files."""
    return [(str(column.name), _kind(column)) for column in telematics_events.columns]


def _kind(column: Column[Any]) -> str:
    if isinstance(column.type, DateTime):
        return "timestamp"
    if isinstance(column.type, JSONB):
        return "json"
    return str(column.type).lower()


async def read_states(uow: UnitOfWork) -> dict[Month, ArchiveState]:
    """Return the states of all months that have one."""
    rows = await uow.conn.execute(select(archives).order_by(archives.c.month))
    return {state.month: state for state in map(_state, rows.mappings())}


async def read_state(uow: UnitOfWork, month: Month) -> ArchiveState | None:
    """Return a month's state; None for one that is simply online or was never there."""
    row = (await uow.conn.execute(select(archives).where(archives.c.month == _day(month)))).mappings().one_or_none()
    return None if row is None else _state(row)


async def read_closed(uow: UnitOfWork) -> frozenset[Month]:
    """Return the months whose events writers refuse."""
    days = await uow.conn.execute(select(archives.c.month).where(archives.c.status.in_(CLOSED)))
    return frozenset(Month(day.year, day.month) for day in days.scalars())


async def save_state(uow: UnitOfWork, month: Month, status: str, **facts: Any) -> None:
    """Set a month's status and the given facts; what is not given stays."""
    values = {"status": status, **facts}
    query = insert(archives).values(month=_day(month), **values)
    await uow.conn.execute(
        query.on_conflict_do_update(index_elements=[archives.c.month], set_={**values, "updated_at": func.now()})
    )


async def delete_state(uow: UnitOfWork, month: Month) -> None:
    """Forget a month's state."""
    await uow.conn.execute(delete(archives).where(archives.c.month == _day(month)))


async def lock_month(uow: UnitOfWork, parent: str, month: Month) -> None:
    """Wait until no transaction claims the month, and keep new ones out until this one ends."""
    query = text("SELECT pg_advisory_xact_lock(hashtextextended('month:' || :parent || ':' || CAST(:m AS date), 0))")
    await uow.conn.execute(query, {"parent": parent, "m": _day(month)})


async def content(uow: UnitOfWork, table: str, names: Sequence[str]) -> Content:
    """Return what a table holds, over these columns: the sum of the rows' MD5 (of PostgreSQL's binary form).

    The order of the rows does not matter, nor do the session's settings or the version of the server.
    """
    row_hash = f"('x' || substr(md5(record_send(ROW({', '.join(names)}))), 1, 16))::bit(64)::bigint"
    query = text(
        f"SELECT count(*) AS rows, coalesce(sum({row_hash}), 0)::text AS checksum, min(timestamp) AS first,"  # noqa: S608
        f' max(timestamp) AS last, max(received_at) AS last_arrival FROM "{table}"'
    )
    row = (await uow.conn.execute(query)).one()
    return Content(row.rows, row.checksum, row.first, row.last, row.last_arrival)


async def arrived_after(uow: UnitOfWork, table: str, at: datetime) -> bool:
    """Return whether a table holds an event that arrived after ``at``."""
    query = text(f'SELECT EXISTS (SELECT FROM "{table}" WHERE received_at > :at)')  # noqa: S608 - a partition's name
    return bool(await uow.conn.scalar(query, {"at": at}))


async def stream(uow: UnitOfWork, table: str, schema: Sequence[tuple[str, str]]) -> AsyncIterator[list[Any]]:
    """Yield the rows of a table by driver and time (in the order of bytes), some thousand at a time.

    A server-side cursor: neither side holds the table in memory. Times are microseconds since the epoch, JSON is text.
    """
    query = (
        f'SELECT {", ".join(_read(*column) for column in schema)} FROM "{table}" ORDER BY '  # noqa: S608
        + ", ".join(name if name == "timestamp" else f'{name} COLLATE "C"' for name in _IDENTITY)
    )
    cursor = await (await uow.driver()).cursor(query)
    while rows := await cursor.fetch(FETCH_ROWS):
        yield rows


def _read(name: str, kind: str) -> str:
    if kind == "timestamp":
        return f"(extract(epoch FROM {name}) * 1000000)::bigint AS {name}"
    return f"{name}::text AS {name}" if kind == "json" else name


async def last_arrival(uow: UnitOfWork, table: str) -> datetime | None:
    """Return when the newest event of a table arrived. Reads the whole table."""
    found: datetime | None = await uow.conn.scalar(text(f'SELECT max(received_at) FROM "{table}"'))  # noqa: S608
    return found


def _day(month: Month) -> date:
    return month.start.date()


def _state(row: Any) -> ArchiveState:
    day = row["month"]
    return ArchiveState(**{**row, "month": Month(day.year, day.month)})


async def count(uow: UnitOfWork, table: str) -> int:
    """Return how many rows a table has. Reads the whole table."""
    return int(await uow.conn.scalar(text(f'SELECT count(*) FROM "{table}"')) or 0)  # noqa: S608 - a partition's name


async def snapshot(uow: UnitOfWork) -> None:
    """Make all later statements of the transaction see one moment. Must be its first statement."""
    await uow.conn.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


async def drop_table(uow: UnitOfWork, table: str) -> None:
    """Drop a table within the transaction."""
    await uow.conn.exec_driver_sql(f'DROP TABLE "{table}"')


async def glance(uow: UnitOfWork, table: str, table_bytes: int) -> datetime | None:
    """Return about when a table's newest event arrived: looks at its last pages, where new rows go."""
    first_page = max(0, table_bytes // PAGE_BYTES - GLANCE_PAGES)
    query = text(f'SELECT max(received_at) FROM "{table}" WHERE ctid >= CAST(:first AS text)::tid')  # noqa: S608
    found: datetime | None = await uow.conn.scalar(query, {"first": f"({first_page},0)"})
    return found


async def checksum_of_rows(
    uow: UnitOfWork, names: Sequence[str], parts: AsyncIterator[Sequence[Sequence[Any]]]
) -> Content:
    """Return what rows from files would be to :func:`content`; they go through a table of this transaction alone."""
    await uow.conn.exec_driver_sql(f"CREATE TEMP TABLE {_ARCHIVED_ROWS} (LIKE telematics_events) ON COMMIT DROP")
    for name in {str(column.name) for column in telematics_events.columns} - set(names):
        await uow.conn.exec_driver_sql(f"ALTER TABLE {_ARCHIVED_ROWS} ALTER COLUMN {name} DROP NOT NULL")
    async for rows in parts:
        await copy_rows(uow, _ARCHIVED_ROWS, names, rows, timeout_s=600)
    return await content(uow, _ARCHIVED_ROWS, names)
