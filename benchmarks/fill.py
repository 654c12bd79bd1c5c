"""Fills ``telematics_events`` with months of driving by COPY, not through the pipeline."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg

from auto_insurance.kernel import clock
from benchmarks import copyrows
from benchmarks.lab import Lab
from benchmarks.uploads import Traffic

MONTHS = 6
ROWS_EACH = 100_000


def fill_months(
    lab: Lab, database: str, events: int, devices: int, *, seed: int, months: int = MONTHS, table: str = copyrows.TABLE
) -> int:
    """COPY about so many events of all devices into ``months`` months up to now, evenly; returns how many it were.

    Each month gets one stretch of driving of the whole fleet. The months' partitions are made by the product's own
    SQL function.
    """
    if events < devices * months:
        return 0
    seconds = events // (devices * months)

    async def copy(conn: asyncpg.Connection) -> int:
        columns = await copyrows.layout(conn)
        written = 0
        for number in range(months):
            start = start_of(number, seed)
            await conn.execute("SELECT create_partition_if_not_exists($1)", start.date())
            plan = Traffic(devices, 1, seconds, int(start.timestamp()), seed=seed + number)
            for rows, part in copyrows.chunks(plan, columns, ROWS_EACH):
                await copyrows.write(conn, table, columns, part)
                written += rows
        await conn.execute(f"VACUUM (ANALYZE) {table}")
        return written

    return lab.on(database, copy)


def start_of(months_ago: int, seed: int) -> datetime:
    """Return an instant in the first days of a month; another seed, another one."""
    month = clock.now().replace(day=1, hour=1, minute=0, second=0, microsecond=0)
    for _ in range(months_ago):
        month = (month - timedelta(days=1)).replace(day=1)
    return month.astimezone(UTC) + timedelta(minutes=97 * (seed % 13))
