"""Which database errors pass by themselves."""

from __future__ import annotations

import asyncio

import asyncpg
from sqlalchemy import exc as sa

_TRANSIENT_SQLSTATES = ("08", "53", "57P", "40")
"""Connection, insufficient resources, operator intervention, rollback (PostgreSQL manual, appendix A)."""


def is_transient(error: BaseException) -> bool:
    """Return whether trying again later may help: lost connection, restart, full, deadlock, time-out of the pool."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, asyncpg.IdleInTransactionSessionTimeoutError | sa.TimeoutError):
            return True
        if isinstance(seen, sa.DBAPIError) and seen.connection_invalidated:
            return True
        if isinstance(seen, asyncpg.InterfaceError) and isinstance(seen, ValueError):
            return False  # the driver's own DataError: a value that will never fit
        # The driver's InternalClientError: a connection that was cut in the middle of its protocol.
        if isinstance(
            seen, ConnectionError | asyncio.TimeoutError | asyncpg.InterfaceError | asyncpg.InternalClientError
        ):
            return True
        if isinstance(seen, OSError) and not isinstance(seen, FileNotFoundError | PermissionError):
            return True
        state = getattr(seen, "sqlstate", None)
        if isinstance(state, str) and state.startswith(_TRANSIENT_SQLSTATES):
            return True
        seen = seen.__cause__ or getattr(seen, "orig", None)
    return False
