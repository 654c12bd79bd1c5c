"""Care of partitions: who may do it, detach and attach without blocking writers, sizes.

It works on connections of its own, with long time-outs for statements and short ones for locks: a lock that is not had
within seconds is let go and asked for again, so that nobody queues behind it for long.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import structlog
from sqlalchemy import DateTime, text
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.db.locks import lock_key
from auto_insurance.infra.db.partitions import Month, partition_of, sqlstate
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel.errors import AppError, ErrorKind

log = structlog.get_logger(__name__)
T = TypeVar("T")
STATEMENT_S = 6 * 3600
IDLE_S = 600
LOCK_MS = 2_000
TURNS = 60
PAUSE_S = 0.25
_BUSY = ("55P03", "40P01")


class PartitionsBusy(AppError):
    """Somebody else works on the partitions, or a lock could not be had."""

    kind = ErrorKind.CONFLICT
    code = "partitions_busy"


@dataclass(frozen=True, slots=True)
class PartitionSize:
    """A partition as the catalogue knows it. ``rows`` is PostgreSQL's estimate, -1 where it has none."""

    name: str
    start: datetime
    end: datetime
    pending: bool
    """Whether a detachment is under way."""
    rows: int
    table_bytes: int
    index_bytes: int


class Maintenance:
    """The right to change partitions, and the connections for it."""

    def __init__(self, database: Database, conn: AsyncConnection) -> None:
        self.database = database
        self._conn = conn

    async def run(self, sql: str) -> None:
        """Run a statement outside a transaction; again when it gets no lock. Raises ``PartitionsBusy``."""

        async def once() -> None:
            await self._conn.exec_driver_sql(sql)

        await patiently(once)

    async def transaction(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        """Run ``work`` in a transaction; again when it gets no lock. Raises ``PartitionsBusy``."""

        async def once() -> T:
            async with self.database.begin() as uow:
                return await work(uow)

        return await patiently(once)

    async def detach(self, parent: str, child: str) -> None:
        """Detach a partition without blocking; goes on where an earlier attempt was cut off. Idempotent."""
        for _ in range(TURNS):
            async with self.database.read() as uow:
                pending = await _detachment(uow, parent, child)
            if pending is None:
                return
            how = "FINALIZE" if pending else "CONCURRENTLY"
            try:
                await self._conn.exec_driver_sql(f'ALTER TABLE "{parent}" DETACH PARTITION "{child}" {how}')
            except sa.DBAPIError as error:
                # The first half may be done: the catalogue tells at the next turn.
                if sqlstate(error) not in _BUSY:
                    raise
                await asyncio.sleep(PAUSE_S)
        raise PartitionsBusy(f"{child} could not be detached: transactions on {parent} do not end. Try again later.")

    async def drop(self, table: str) -> None:
        """Drop a table that is attached to nothing."""
        await self.run(f'DROP TABLE IF EXISTS "{table}"')


@asynccontextmanager
async def maintenance(database: Database, name: str) -> AsyncIterator[Maintenance]:
    """Give the right to change the partitions ``name``, to one at a time. Raises ``PartitionsBusy``.

    The right ends with its connection: a process that is killed leaves it as soon as PostgreSQL has finished what that
    process had asked for.
    """
    url = database.engine.url.render_as_string(hide_password=False)
    engine = create_engine(
        EngineOptions(
            url=url,
            pool_size=2,
            max_overflow=1,
            statement_timeout_ms=STATEMENT_S * 1000,
            idle_in_transaction_timeout_ms=IDLE_S * 1000,
            lock_timeout_ms=LOCK_MS,
            application_name="auto-insurance-partitions",
        )
    )
    try:
        async with engine.connect() as plain:
            conn = await plain.execution_options(isolation_level="AUTOCOMMIT")
            key = {"key": lock_key(f"partitions:{name}")}
            if not await conn.scalar(text("SELECT pg_try_advisory_lock(:key)"), key):
                raise PartitionsBusy("Another process is working on the partitions; wait until it is done.")
            try:
                yield Maintenance(Database(engine), conn)
            finally:
                if not conn.closed and not conn.invalidated:
                    await conn.execute(text("SELECT pg_advisory_unlock(:key)"), key)
    finally:
        await engine.dispose()


async def patiently(once: Callable[[], Awaitable[T]]) -> T:
    """Run ``once`` until it gets its locks, ``TURNS`` times at most. Raises ``PartitionsBusy``."""
    for _ in range(TURNS):
        try:
            return await once()
        except sa.DBAPIError as error:
            if sqlstate(error) not in _BUSY:
                raise
        await asyncio.sleep(PAUSE_S)
    raise PartitionsBusy("A lock could not be had: transactions do not end. Try again later.")


async def attach(uow: UnitOfWork, parent: str, child: str, month: Month) -> None:
    """Attach a table as the month's partition, if it is not. Instant when a CHECK constraint tells of its bounds."""
    if await _detachment(uow, parent, child) is not None:
        return
    bounds = partition_of(parent, month)
    await uow.conn.exec_driver_sql(
        f'ALTER TABLE "{parent}" ATTACH PARTITION "{child}"'
        f" FOR VALUES FROM ('{bounds.start.isoformat()}') TO ('{bounds.end.isoformat()}')"
    )
    query = text(
        "SELECT conname FROM pg_constraint WHERE conrelid = to_regclass(:child) AND contype = 'c' AND coninhcount = 0"
    )
    for name in (await uow.conn.execute(query, {"child": child})).scalars().all():
        # The bounds say it now; checking twice costs at every insert.
        await uow.conn.exec_driver_sql(f'ALTER TABLE "{child}" DROP CONSTRAINT "{name}"')


async def create_beside(uow: UnitOfWork, parent: str, child: str, month: Month, column: str) -> None:
    """Create an empty table that can be attached as the month's partition; one of that name goes first."""
    await uow.conn.exec_driver_sql(f'DROP TABLE IF EXISTS "{child}"')
    await uow.conn.exec_driver_sql(
        f'CREATE TABLE "{child}" (LIKE "{parent}" INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES'
        " INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING GENERATED)"
    )
    bounds = partition_of(parent, month)
    await uow.conn.exec_driver_sql(
        f'ALTER TABLE "{child}" ADD CONSTRAINT "{child}_bounds" CHECK ("{column}" IS NOT NULL'
        f" AND \"{column}\" >= '{bounds.start.isoformat()}' AND \"{column}\" < '{bounds.end.isoformat()}')"
    )


async def table_exists(uow: UnitOfWork, table: str) -> bool:
    """Return whether there is a table of that name."""
    return bool(await uow.conn.scalar(text("SELECT to_regclass(quote_ident(:t)) IS NOT NULL"), {"t": table}))


async def sizes(uow: UnitOfWork, parent: str) -> list[PartitionSize]:
    """Return the attached partitions in order of time, with their sizes."""
    query = text(
        "SELECT p.partition AS name, greatest(p.from_at, '0001-01-01 00:00+00') AS start,"
        " least(p.to_at, '9999-12-31 00:00+00') AS \"end\", p.pending,"
        " CASE WHEN c.reltuples < 0 AND coalesce(s.n_live_tup, 0) = 0 AND c.relpages > 0 THEN -1"
        " ELSE greatest(c.reltuples, s.n_live_tup, 0)::bigint END AS rows,"
        " pg_table_size(c.oid) AS table_bytes, pg_indexes_size(c.oid) AS index_bytes"
        " FROM month_partitions(:parent) AS p JOIN pg_class AS c ON c.oid = to_regclass(quote_ident(p.partition))"
        " LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid ORDER BY p.from_at"
    ).columns(start=DateTime(timezone=True), end=DateTime(timezone=True))
    return [PartitionSize(**_fields(row)) for row in await uow.conn.execute(query, {"parent": parent})]


def _fields(row: Any) -> dict[str, Any]:
    return dict(row._mapping)


async def _detachment(uow: UnitOfWork, parent: str, child: str) -> bool | None:
    """Return whether a partition's detachment is under way; None if the table is not attached."""
    query = text("SELECT pending FROM month_partitions(:parent) WHERE partition = :child")
    found: bool | None = await uow.conn.scalar(query, {"parent": parent, "child": child})
    return found
