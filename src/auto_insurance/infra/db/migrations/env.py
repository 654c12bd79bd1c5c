"""Alembic's entry: online only, one transaction per migration, under an advisory lock."""

from __future__ import annotations

import asyncio
from typing import Any

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

LOCK_KEY = 7_201_001
"""Advisory lock: two processes that migrate at once take turns."""


def _include(obj: Any, name: str | None, type_: str, reflected: bool, compare_to: Any) -> bool:
    """Leave partitions and other tables made at run time out of the comparison."""
    return not (type_ == "table" and reflected and compare_to is None)


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=context.config.attributes.get("target_metadata"),
        transaction_per_migration=True,
        compare_type=True,
        compare_server_default=False,
        include_object=_include,
    )
    with context.begin_transaction():
        context.run_migrations()


async def _main() -> None:
    engine = create_async_engine(context.config.attributes["url"], poolclass=NullPool)
    async with engine.connect() as lock, engine.connect() as conn:
        await lock.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK_KEY})
        await lock.commit()
        await conn.run_sync(_run)
        await conn.commit()
        await lock.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})
    await engine.dispose()


asyncio.run(_main())
