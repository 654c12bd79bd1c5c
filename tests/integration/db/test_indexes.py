"""Indexes are made on live tables, a step at a time, and what failed half-way is made good by the next call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from auto_insurance.infra.db.engine import async_url
from auto_insurance.infra.db.indexes import create_index, drop_index, part_name

INDEX, TABLE = "ix_events_device", "telematics_events"
_VALID = text(
    "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
    " JOIN pg_class t ON t.oid = i.indrelid WHERE t.relname LIKE 'telematics_events%' AND c.relname LIKE 'ix_%'"
    " AND pg_get_indexdef(i.indexrelid) LIKE '%device_trip_id%'"
)


async def _migrate(url: str, step: Callable[[], None]) -> dict[str, bool]:
    """Run a step as a migration; return the validity of the indexes on ``device_trip_id``."""

    def run(conn: Connection) -> None:
        context = MigrationContext.configure(conn, opts={"transaction_per_migration": True})
        with context.begin_transaction(_per_migration=True), Operations.context(context):
            step()

    engine = create_async_engine(async_url(url), poolclass=NullPool)
    try:
        async with engine.connect() as conn:
            await conn.run_sync(run)
        async with engine.connect() as conn:
            return {row[0]: row[1] for row in await conn.execute(_VALID)}
    finally:
        await engine.dispose()


async def _execute(url: str, *statements: str) -> None:
    engine = create_async_engine(async_url(url), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with engine.connect() as conn:
        for statement in statements:
            await conn.execute(text(statement))
    await engine.dispose()


def _make() -> None:
    create_index(INDEX, TABLE, "device_trip_id")


async def test_an_index_of_a_partitioned_table_is_whole_and_reaches_new_partitions(database_url: str) -> None:
    made = await _migrate(database_url, _make)
    assert len(made) == 5
    assert all(made.values())
    await _execute(database_url, "SELECT create_month_partition('telematics_events', '2020-01-01')")
    assert len(await _migrate(database_url, _make)) == 5, "the new partition has one under a name of its own"
    assert await _migrate(database_url, lambda: drop_index(INDEX, TABLE)) == {}


async def test_a_broken_attempt_is_made_good(database_url: str) -> None:
    partitions = sorted(name for name in await _partitions(database_url))
    broken = part_name(INDEX, partitions[1])
    await _execute(
        database_url,
        f"CREATE INDEX {INDEX} ON ONLY {TABLE} (device_trip_id)",
        f"CREATE INDEX {part_name(INDEX, partitions[0])} ON {partitions[0]} (device_trip_id)",
        f"CREATE INDEX {broken} ON {partitions[1]} (device_trip_id)",
        f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{broken}'::regclass",
    )
    made = await _migrate(database_url, _make)
    assert len(made) == 5
    assert all(made.values())


async def _partitions(url: str) -> list[str]:
    engine = create_async_engine(async_url(url), poolclass=NullPool)
    async with engine.connect() as conn:
        names = await conn.execute(
            text(f"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = '{TABLE}'::regclass")
        )
        found = list(names.scalars())
    await engine.dispose()
    return found


async def test_writers_go_on_while_an_index_is_made(database_url: str) -> None:
    """An open transaction that wrote delays the index, and the index does not delay the next writer."""
    engine = create_async_engine(async_url(database_url), poolclass=NullPool)
    write = text("INSERT INTO outbox (event_id, topic, key, value) VALUES (gen_random_uuid(), 't', 'k', ''::bytea)")
    async with engine.connect() as first:
        await first.execute(write)
        making = asyncio.create_task(_migrate(database_url, lambda: create_index("ix_outbox_topic", "outbox", "topic")))
        await asyncio.sleep(0.5)
        assert not making.done()
        async with engine.connect() as second, asyncio.timeout(3):
            await second.execute(write)
            await second.commit()
        await first.commit()
    await asyncio.wait_for(making, 20)
    await engine.dispose()


async def test_what_is_no_name_or_no_table_is_refused(database_url: str) -> None:
    with pytest.raises(ValueError, match="not a plain name"):
        await _migrate(database_url, lambda: create_index("ix; DROP TABLE trips", "trips", "driver_id"))
    with pytest.raises(ValueError, match="no table"):
        await _migrate(database_url, lambda: create_index("ix_a", "nothing_here", "driver_id"))
