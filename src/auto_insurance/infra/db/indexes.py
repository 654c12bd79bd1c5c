"""Makes and drops indexes of live tables without blocking writers; for migrations.

A plain table's index is made ``CONCURRENTLY``. A partitioned table has no such statement: its index is declared on the
parent alone, made concurrently on one partition after the other and attached; with the last one it becomes valid. A
partition that is attached meanwhile gets its index by itself.

Each step is a statement of its own, so that nothing is lost when a later one fails: a second call drops what was left
invalid and goes on from there.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from alembic import op
from sqlalchemy import Connection, text

LOCK_TIMEOUT = "5s"
"""How long a statement waits for a lock before it gives up; writers wait behind it for as long."""
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_LONGEST = 63
_PARTITIONS = text(
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = to_regclass(:parent) AND NOT i.inhdetachpending ORDER BY 1"
)
_STATE = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:index)")
_ATTACHED = text(
    "SELECT EXISTS (SELECT FROM pg_inherits i JOIN pg_index x ON x.indexrelid = i.inhrelid"
    " WHERE i.inhparent = to_regclass(:index) AND x.indrelid = to_regclass(:partition))"
)
_KIND = text("SELECT relkind::text FROM pg_class WHERE oid = to_regclass(:table)")


def create_index(name: str, table: str, on: str, *, where: str | None = None) -> None:
    """Make the index ``name`` on ``table``; ``on`` is what stands in brackets of CREATE INDEX, or ``USING ... (...)``.

    An index of that name that is valid stays as it is. Ends the migration's transaction: call it first or last in a
    migration. Raises ``ValueError`` for what is not a plain name or no table, and what the database raises.
    """
    method = on if on.upper().startswith("USING") else f"({on})"
    tail = f"{method} WHERE {where}" if where else method
    with op.get_context().autocommit_block():
        conn = op.get_bind()
        conn.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        conn.execute(text("SET statement_timeout = 0"))  # as long as it takes: nobody waits for it
        if _is_partitioned(conn, table):
            _on_partitions(conn, name, table, tail)
        else:
            _on_table(conn, name, table, tail)
        conn.execute(text("RESET statement_timeout"))
        conn.execute(text("RESET lock_timeout"))


def drop_index(name: str, table: str) -> None:
    """Drop an index, if it is there. Ends the migration's transaction.

    That of a partitioned table can only be dropped with all its parts at once, which takes a moment but waits for its
    turn; rather than making writers queue it gives up after ``LOCK_TIMEOUT``.
    """
    _check(name, table)
    with op.get_context().autocommit_block():
        conn = op.get_bind()
        conn.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        concurrently = "" if _is_partitioned(conn, table) else "CONCURRENTLY"
        conn.execute(text(f"DROP INDEX {concurrently} IF EXISTS {name}"))
        conn.execute(text("RESET lock_timeout"))


def _is_partitioned(conn: Connection, table: str) -> bool:
    kind = conn.execute(_KIND, {"table": table}).scalar_one_or_none()
    if kind not in ("r", "p"):
        raise ValueError(f"there is no table {table}")
    return bool(kind == "p")


def _on_table(conn: Connection, name: str, table: str, tail: str) -> None:
    _check(name, table)
    valid = conn.execute(_STATE, {"index": name}).scalar_one_or_none()
    if valid is False:  # left by an attempt that failed
        conn.execute(text(f"DROP INDEX CONCURRENTLY {name}"))
    if not valid:
        conn.execute(text(f"CREATE INDEX CONCURRENTLY {name} ON {table} {tail}"))


def _on_partitions(conn: Connection, name: str, table: str, tail: str) -> None:
    _check(name, table)
    valid = conn.execute(_STATE, {"index": name}).scalar_one_or_none()
    if valid is None:
        conn.execute(text(f"CREATE INDEX {name} ON ONLY {table} {tail}"))
    if valid:
        return
    for partition in conn.execute(_PARTITIONS, {"parent": table}).scalars().all():
        if conn.execute(_ATTACHED, {"index": name, "partition": partition}).scalar_one():
            continue
        part = part_name(name, partition)
        _on_table(conn, part, partition, tail)
        conn.execute(text(f"ALTER INDEX {name} ATTACH PARTITION {part}"))


def part_name(index: str, partition: str) -> str:
    """Return the name of an index's part on a partition, within PostgreSQL's 63 bytes; the same at every call."""
    tag = blake2b(index.encode(), digest_size=4).hexdigest()
    return f"ix_{partition[: _LONGEST - len(tag) - 4]}_{tag}"


def _check(*names: str) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a plain name")
