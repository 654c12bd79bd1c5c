"""The engine: one pool per process, time-outs on every connection."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from auto_insurance.infra.metrics import CountedPool


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Pool sizes and time-outs; seconds unless the name says otherwise."""

    url: str
    pool_size: int = 10
    max_overflow: int = 20
    pool_timeout_s: float = 30.0
    pool_recycle_s: int = 3600
    connect_timeout_s: float = 10.0
    statement_timeout_ms: int = 30_000
    idle_in_transaction_timeout_ms: int = 15_000
    lock_timeout_ms: int = 10_000
    echo: bool = False
    application_name: str = "auto-insurance"


RESTED_S = 1.0
"""A connection that was given back within this is given out again unasked."""
_USED_AT = "auto_insurance_used_at"
DRIVER_GRACE_S = 2.0
"""How much later than the server the driver gives a statement up."""


def async_url(url: str) -> str:
    """Return the URL with the asyncpg driver, whatever driver of PostgreSQL it names. Raises ``ValueError``."""
    parsed = make_url(url)
    if not parsed.drivername.startswith(("postgresql", "postgres")):
        raise ValueError("DATABASE_URL must be a postgresql:// address")
    return parsed.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


def create_engine(options: EngineOptions) -> AsyncEngine:
    """Return an engine. Connects lazily: the database need not be up."""
    engine = create_async_engine(
        async_url(options.url),
        pool_size=options.pool_size,
        max_overflow=options.max_overflow,
        pool_timeout=options.pool_timeout_s,
        pool_recycle=options.pool_recycle_s,
        poolclass=CountedPool,
        # Errors are logged, and parameters hold personal data.
        hide_parameters=True,
        echo=options.echo,
        connect_args={
            "timeout": options.connect_timeout_s,
            # Ours, for a server that stands still and ends no statement by itself.
            "command_timeout": options.statement_timeout_ms / 1000 + DRIVER_GRACE_S,
            "server_settings": {
                "application_name": options.application_name,
                "statement_timeout": str(options.statement_timeout_ms),
                "idle_in_transaction_session_timeout": str(options.idle_in_transaction_timeout_ms),
                "lock_timeout": str(options.lock_timeout_ms),
                "timezone": "UTC",
            },
        },
    )
    _ping_what_rested(engine)
    return engine


def _ping_what_rested(engine: AsyncEngine) -> None:
    """Ask a connection whether it lives before it is given out, unless it was in use a moment ago.

    As the pool's own pre-ping, which asks each time: a round trip, half of what a short read costs.
    """
    dialect = engine.sync_engine.dialect

    @event.listens_for(engine.sync_engine, "connect")
    @event.listens_for(engine.sync_engine, "checkin")
    def used(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info[_USED_AT] = monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def look(connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        if monotonic() - record.info.get(_USED_AT, -RESTED_S) < RESTED_S:
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            if dialect.is_disconnect(error, connection, None):
                raise InvalidatePoolError from error  # the pool takes a new one, and so will all who rested as long
            raise
