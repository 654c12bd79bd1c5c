"""What PostgreSQL says of its indexes and connections, for operators."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from auto_insurance.infra.db.uow import UnitOfWork

OURS = "auto-insurance"
"""How the ``application_name`` of our connections begins."""

_INDEXES = text(
    """
    SELECT coalesce(pt.relname, t.relname)::text AS table_name, coalesce(pi.relname, i.relname)::text AS index_name,
        sum(pg_relation_size(i.oid))::bigint AS bytes, sum(coalesce(s.idx_scan, 0))::bigint AS scans,
        bool_or(x.indisunique) AS is_unique, bool_and(x.indisvalid) AS is_valid, count(*) AS parts,
        sum(greatest(t.reltuples, 0))::bigint AS rows
    FROM pg_index x
    JOIN pg_class i ON i.oid = x.indexrelid AND i.relkind = 'i'
    JOIN pg_class t ON t.oid = x.indrelid AND t.relnamespace = current_schema()::regnamespace
    LEFT JOIN pg_stat_user_indexes s ON s.indexrelid = i.oid
    LEFT JOIN pg_inherits hi ON hi.inhrelid = i.oid
    LEFT JOIN pg_class pi ON pi.oid = hi.inhparent
    LEFT JOIN pg_inherits ht ON ht.inhrelid = t.oid
    LEFT JOIN pg_class pt ON pt.oid = ht.inhparent
    GROUP BY 1, 2 ORDER BY 3 DESC, 2
    """
)
_SINCE = text(
    "SELECT coalesce(stats_reset, pg_postmaster_start_time()) FROM pg_stat_database WHERE datname = current_database()"
)
_LIMITS = text(
    "SELECT name, setting::int FROM pg_settings"
    " WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')"
)
_CONNECTIONS = text(
    "SELECT coalesce(nullif(application_name, ''), '(unnamed)') AS name, count(*) AS n,"
    " count(*) FILTER (WHERE state = 'active') AS active,"
    " count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS in_transaction"
    " FROM pg_stat_activity WHERE backend_type = 'client backend' GROUP BY 1 ORDER BY 2 DESC, 1"
)


@dataclass(frozen=True, slots=True)
class IndexUse:
    """An index with its parts on all partitions; ``scans`` since the statistics began, ``rows`` of its table."""

    table: str
    name: str
    bytes: int
    scans: int
    is_unique: bool
    is_valid: bool
    parts: int
    rows: int

    @property
    def unused(self) -> bool:
        """No query has used it, and it guards no rule either. On an empty table that says nothing."""
        return self.scans == 0 and not self.is_unique and self.rows > 0


@dataclass(frozen=True, slots=True)
class Client:
    """Connections of one ``application_name``."""

    name: str
    connections: int
    active: int
    in_transaction: int


@dataclass(frozen=True, slots=True)
class Connections:
    """Who is connected. ``limit`` is how many connections there may be without those kept for superusers."""

    limit: int
    clients: tuple[Client, ...]

    @property
    def used(self) -> int:
        """Connections that are open now."""
        return sum(client.connections for client in self.clients)

    @property
    def foreign(self) -> int:
        """Those that are not ours."""
        return sum(client.connections for client in self.clients if not client.name.startswith(OURS))


async def index_use(uow: UnitOfWork) -> list[IndexUse]:
    """Return all indexes, the largest first; those of partitions are summed under their parent's name."""
    return [IndexUse(*row) for row in await uow.conn.execute(_INDEXES)]


async def statistics_since(uow: UnitOfWork) -> datetime:
    """Return when PostgreSQL began to count the scans."""
    since: datetime = (await uow.conn.execute(_SINCE)).scalar_one()
    return since


async def connections(uow: UnitOfWork) -> Connections:
    """Return who is connected to the server, all databases together: the limit is the server's."""
    limits = {row[0]: int(row[1]) for row in await uow.conn.execute(_LIMITS)}
    usable = limits.pop("max_connections") - sum(limits.values())
    rows = await uow.conn.execute(_CONNECTIONS)
    return Connections(usable, tuple(Client(*row) for row in rows))
