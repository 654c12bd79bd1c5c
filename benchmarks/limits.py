"""What PostgreSQL takes at best: rows ready in memory, one connection, binary COPY into the same table."""

from __future__ import annotations

import time
from collections.abc import Sequence

import asyncpg

from benchmarks import copyrows
from benchmarks.lab import FLEET, Lab
from benchmarks.results import Limit, Wrong
from benchmarks.uploads import Traffic

ROWS_EACH = 30_000
"""Rows per transaction: as many as the worker's larger batches hold."""
KEY, INDEXED = "COPY, table with its key", "COPY, key and all indexes"
_INDEXES = """
SELECT i.indexrelid::regclass::text FROM pg_index i
WHERE i.indrelid = 'telematics_events'::regclass AND NOT i.indisprimary AND NOT i.indisunique
"""


class CopyLimit:
    """COPY of the rows of some traffic; prepared once, measured as often as wanted, each time on a fresh table."""

    def __init__(self, lab: Lab, plan: Traffic) -> None:
        self._lab = lab
        self._columns = lab.on(FLEET, copyrows.layout)
        self._parts = list(copyrows.chunks(plan, self._columns, ROWS_EACH))
        self.rows = sum(rows for rows, _ in self._parts)
        self.key: list[float] = []
        self.indexed: list[float] = []

    def measure(self) -> None:
        """Run both once."""
        self.key.append(self._run(indexed=False))
        self.indexed.append(self._run(indexed=True))

    def limits(self) -> Sequence[Limit]:
        """Return what was measured."""
        return Limit(KEY, tuple(self.key)), Limit(INDEXED, tuple(self.indexed))

    def _run(self, *, indexed: bool) -> float:
        database = self._lab.clone()

        async def copy(conn: asyncpg.Connection) -> float:
            if not indexed:
                for row in await conn.fetch(_INDEXES):
                    await conn.execute(f"DROP INDEX {row[0]}")
            started = time.perf_counter()
            for _, part in self._parts:
                await copyrows.write(conn, copyrows.TABLE, self._columns, part)
            took = time.perf_counter() - started
            if (stored := await conn.fetchval("SELECT count(*) FROM telematics_events")) != self.rows:
                raise Wrong(f"COPY stored {stored} rows of {self.rows}")
            return self.rows / took

        rate = self._lab.on(database, copy)
        self._lab.drop(database)
        return rate
