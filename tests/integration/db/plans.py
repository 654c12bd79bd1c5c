"""Records the statements of a piece of work and judges how PostgreSQL would run them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

BIG = 4_000
"""Rows from which on reading a whole table is a fault."""
_EXPLAINABLE = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
_PARTITION = re.compile(r"^(telematics_events)_\d{4}_\d{2}$")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as the driver got it."""

    sql: str
    parameters: Any

    def __str__(self) -> str:
        return re.sub(r"\s+", " ", self.sql)[:300]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows of each table, and the partial indexes."""

    rows: dict[str, int]
    partial: frozenset[str]


async def sizes(conn: AsyncConnection) -> Sizes:
    """Look at what the planner knows."""
    tables = await conn.exec_driver_sql("SELECT relname, reltuples::bigint FROM pg_class WHERE relkind = 'r'")
    partial = await conn.exec_driver_sql(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indpred IS NOT NULL"
    )
    return Sizes(dict(tuple(row) for row in tables), frozenset(partial.scalars()))


@contextmanager
def recorded(conn: AsyncConnection) -> Iterator[list[Statement]]:
    """Gather the statements of a connection that have a plan."""
    found: list[Statement] = []

    def note(_conn: Any, _cursor: Any, sql: str, parameters: Any, _context: Any, many: bool) -> None:
        if _EXPLAINABLE.match(sql):
            found.append(Statement(sql, parameters[0] if many else parameters))

    event.listen(conn.sync_connection, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(conn.sync_connection, "before_cursor_execute", note)


async def faults(conn: AsyncConnection, statement: Statement, known: Sizes) -> list[str]:
    """Return what is wrong with the plan of a statement: big tables read whole, and partitions not left out."""
    result = await conn.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement.sql}", statement.parameters)
    plan = result.scalar_one()
    root = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
    nodes = list(_nodes(root))
    found = [fault for node, limited in nodes if (fault := _whole(node, limited, known))]
    # Partitions below a limit are read one after the other, in order, and only until there is enough.
    read = {name for node, limited in nodes if _PARTITION.match(name := node.get("Relation Name", "")) and not limited}
    there = [name for name, rows in known.rows.items() if _PARTITION.match(name) and rows > 0]
    if len(there) > 1 and read >= set(there):
        found.append(f"telematics_events: reads all {len(there)} partitions with rows")
    return sorted(set(found))


def _nodes(node: dict[str, Any], limited: bool = False) -> Iterator[tuple[dict[str, Any], bool]]:
    limited = limited or node["Node Type"] == "Limit"
    yield node, limited
    # A sort needs all its rows, whatever the limit above it.
    below = limited and node["Node Type"] not in ("Sort", "Aggregate", "Hash", "WindowAgg")
    for child in node.get("Plans", ()):
        yield from _nodes(child, below)


def _whole(node: dict[str, Any], limited: bool, known: Sizes) -> str | None:
    kind, table = node["Node Type"], node.get("Relation Name", "")
    if known.rows.get(table, 0) < BIG:
        return None
    name = _PARTITION.sub(r"\1", table)
    if kind == "Seq Scan":
        return f"{name}: sequential scan"
    whole_index = kind in ("Index Scan", "Index Only Scan") and "Index Cond" not in node
    if whole_index and not limited and node["Index Name"] not in known.partial:
        return f"{name}: whole index {node['Index Name']}"
    return None
