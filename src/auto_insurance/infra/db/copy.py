"""Bulk loading with PostgreSQL's binary COPY through the driver under the unit of work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
from sqlalchemy import Table

from auto_insurance.infra.db import binary
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
    name = _checked(table, columns)
    driver = await begun(uow)
    status: str = await driver.copy_records_to_table(name, columns=list(columns), records=rows, timeout=timeout_s)
    return int(status.rsplit(" ", 1)[-1])


async def copy_columns(
    uow: UnitOfWork,
    table: Table | str,
    columns: Sequence[str],
    values: Sequence[binary.Column],
    rows: int,
    *,
    timeout_s: float = 30.0,
) -> int:
    """Copy rows that lie in memory as columns, in the order of ``columns``; return how many there were.

    The types must be the table's own: nothing is converted. Runs in the caller's transaction. Raises as
    :func:`copy_rows`.
    """
    name = _checked(table, columns)
    driver = await begun(uow)
    payload = binary.encode(values, rows)
    status: str = await driver.copy_to_table(
        name, columns=list(columns), source=payload, format="binary", timeout=timeout_s
    )
    return int(status.rsplit(" ", 1)[-1])


async def begun(uow: UnitOfWork) -> asyncpg.Connection[Any]:
    """Return the driver's connection inside the transaction, which SQLAlchemy begins with its own first statement."""
    driver = await uow.driver()
    if not driver.is_in_transaction():
        await uow.conn.exec_driver_sql("SELECT 1")
    return driver


def _checked(table: Table | str, columns: Sequence[str]) -> str:
    if isinstance(table, str):
        return table
    unknown = set(columns) - set(table.columns.keys())
    if unknown:
        raise ValueError(f"{table.name} has no column {', '.join(sorted(unknown))}")
    return table.name
