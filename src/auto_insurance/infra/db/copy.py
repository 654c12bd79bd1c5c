"""Bulk loading with PostgreSQL's binary COPY through the driver under the unit of work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Table

from auto_insurance.infra.db.uow import UnitOfWork


async def copy_rows(
    uow: UnitOfWork,
    table: Table | str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    timeout_s: float = 30.0,
) -> int:
    """Copy ``rows``, values in the order of ``columns``, into ``table``; return how many there were.

    Runs in the caller's transaction. Raises ``asyncpg.PostgresError`` (a constraint), ``asyncpg.DataError`` (a value of
    the wrong type) and ``TimeoutError``.
    """
    name = table if isinstance(table, str) else table.name
    if isinstance(table, Table):
        unknown = set(columns) - set(table.columns.keys())
        if unknown:
            raise ValueError(f"{name} has no column {', '.join(sorted(unknown))}")
    driver = await uow.driver()
    status: str = await driver.copy_records_to_table(name, columns=list(columns), records=rows, timeout=timeout_s)
    return int(status.rsplit(" ", 1)[-1])
