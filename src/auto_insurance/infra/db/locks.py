"""Advisory locks of PostgreSQL: who may do what only one may do at a time.

They last as long as the transaction, so that a crash, a lost connection or a pooler in between frees them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import blake2b

from sqlalchemy import text

from auto_insurance.infra.db.uow import Database, UnitOfWork


def lock_key(name: str) -> int:
    """Return the 64-bit key of a named lock; the same in every process and release."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


async def try_lock(uow: UnitOfWork, name: str) -> bool:
    """Take the lock until the transaction ends, if nobody has it. Never waits."""
    query = text("SELECT pg_try_advisory_xact_lock(:key)")
    return bool((await uow.conn.execute(query, {"key": lock_key(name)})).scalar_one())


async def lock(uow: UnitOfWork, name: str) -> None:
    """Take the lock until the transaction ends; waits at most for the connection's ``lock_timeout``."""
    await uow.conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_key(name)})


@asynccontextmanager
async def leading(database: Database, name: str) -> AsyncIterator[UnitOfWork | None]:
    """Open a transaction as the leader; gives ``None`` if somebody else leads at the moment."""
    async with database.begin() as uow:
        yield uow if await try_lock(uow, name) else None


@asynccontextmanager
async def held(database: Database, name: str) -> AsyncIterator[bool]:
    """Hold a lock over several transactions, on a connection of its own; gives False if somebody else has it.

    It ends with the connection: who is killed frees it.
    """
    key = {"key": lock_key(name)}
    async with database.engine.connect() as plain:
        conn = await plain.execution_options(isolation_level="AUTOCOMMIT")
        mine = bool((await conn.execute(text("SELECT pg_try_advisory_lock(:key)"), key)).scalar_one())
        try:
            yield mine
        finally:
            if mine and not conn.closed and not conn.invalidated:
                await conn.execute(text("SELECT pg_advisory_unlock(:key)"), key)
