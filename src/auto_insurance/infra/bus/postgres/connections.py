"""The engine's own small pool: every wait on it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy.engine import make_url

from auto_insurance.infra.bus.errors import LogFull, LogUnavailable
from auto_insurance.infra.bus.postgres.options import PostgresLogOptions
from auto_insurance.infra.db.faults import is_transient

Conn: TypeAlias = "asyncpg.Connection[Any]"
_TIMED_OUT = ("57014", "55P03")
"""``query_canceled`` (statement_timeout) and ``lock_not_available``: slow, not wrong."""


def translate(error: Exception) -> Exception:
    """Return ``LogFull`` or ``LogUnavailable`` for a fault of the server, and the error itself for any other."""
    state = getattr(error, "sqlstate", None) or ""
    if state.startswith("53") and state != "53300":
        return LogFull("the event log's database has run out of space or memory", retry_after_s=30)
    if is_transient(error) or state in _TIMED_OUT:
        return LogUnavailable("the event log's database is away", retry_after_s=2)
    return error


class Connections:
    """Gives out connections; opened lazily, closed when they have failed."""

    def __init__(self, url: str, options: PostgresLogOptions) -> None:
        self._dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._options = options
        self._pool: asyncpg.Pool[Any] | None = None
        self._opening = asyncio.Lock()

    async def connect(self) -> Conn:
        """Open a connection outside the pool, for LISTEN."""
        conn: Conn = await asyncpg.connect(self._dsn, timeout=self._options.connect_timeout_s)
        return conn

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Conn]:
        """Lend a connection. Raises ``LogUnavailable`` or ``LogFull`` in place of the driver's errors."""
        try:
            pool = await self._opened()
            conn = await pool.acquire(timeout=self._options.connect_timeout_s * 2)
            try:
                yield conn
            except BaseException as error:
                # A connection that timed out or was cancelled half-way would make its next user wait.
                if not isinstance(error, asyncpg.PostgresError) or is_transient(error):
                    conn.terminate()
                raise
            finally:
                await pool.release(conn)
        except Exception as error:
            told = translate(error)
            if told is error:
                raise
            raise told from error

    async def close(self) -> None:
        """Close all connections; those in use are cut off after a moment."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            try:
                async with asyncio.timeout(self._options.connect_timeout_s):
                    await pool.close()
            except (TimeoutError, OSError, asyncpg.PostgresError):
                pool.terminate()

    async def _opened(self) -> asyncpg.Pool[Any]:
        async with self._opening:
            if self._pool is None:
                limit = str(int(self._options.statement_timeout_s * 1000))
                self._pool = await asyncpg.create_pool(
                    self._dsn,
                    min_size=0,
                    max_size=self._options.pool_size,
                    timeout=self._options.connect_timeout_s,
                    command_timeout=self._options.statement_timeout_s,
                    reset=_keep,
                    server_settings={
                        "application_name": "auto-insurance-log",
                        # What was accepted survives a crash, whatever the server's default is.
                        "synchronous_commit": "on",
                        "statement_timeout": limit,
                        "lock_timeout": limit,
                        "idle_in_transaction_session_timeout": limit,
                        "timezone": "UTC",
                    },
                )
            return self._pool


async def _keep(conn: Conn) -> None:
    """Spare the round trip of RESET ALL: nothing here changes a session's settings."""
