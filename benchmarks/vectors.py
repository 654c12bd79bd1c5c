"""Claim: a kept feature vector spares about half of what one driver's driving costs to extract."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import asyncpg

from auto_insurance import bootstrap
from auto_insurance.bootstrap import Container
from auto_insurance.drivers.service import DriverService
from auto_insurance.infra.config import Settings
from auto_insurance.risk.driving import DrivingReader
from auto_insurance.risk.vectors import Vectors
from auto_insurance.trips.service import TripService
from benchmarks.lab import Lab
from benchmarks.options import Options
from benchmarks.results import Figure, Limit, Report, Wrong
from benchmarks.scoring import SUMS, TRIPS, VALUES

DRIVER = "BENCH000000"
TRIPS_EACH = (100, 1_000)
"""Of a driver's year; one who drives to work and back has the second."""
CALLS, QUICK_CALLS = 500, 100


def main(options: Options) -> None:
    """Measure and report."""
    report = Report("vectors", options)
    with Lab(1) as lab:
        lab.start_valkey()
        for trips in TRIPS_EACH:
            database = lab.clone()
            lab.on(database, partial(_fill, trips=trips))
            asyncio.run(_measure(report, options, lab.settings("postgres", database), trips))
    report.finish()


async def _measure(report: Report, options: Options, settings: Settings, trips: int) -> None:
    container = bootstrap.build(settings, "bench")
    stop = asyncio.Event()
    hearing = asyncio.create_task(container.cache.run(stop))
    try:
        while container.cache.listener is None or not container.cache.listener.settled:
            await asyncio.sleep(0.01)
        await _figures(report, options, container, trips)
    finally:
        stop.set()
        await hearing
        await container.close()


async def _figures(report: Report, options: Options, container: Container, trips: int) -> None:
    calls, window = options.count(CALLS, QUICK_CALLS), timedelta(days=container.settings.ml.window_days)
    people = container.get(DriverService)
    plain = DrivingReader(TripService(), people, window, None)
    keeping = DrivingReader(TripService(), people, window, container.get(Vectors))

    async def afresh() -> None:
        async with container.database.read() as uow:
            [one] = await plain.of(uow, [DRIVER])
        if one.totals.trip_count != trips:
            raise Wrong(f"{one.totals.trip_count} trips counted of {trips}")

    async def kept() -> None:
        async with container.database.read() as uow:
            await keeping.of(uow, [DRIVER])

    async def kept_in_redis() -> None:
        container.cache.l1.clear()
        await kept()

    ways = {"afresh": afresh, "in the process": kept, "in Redis": kept_in_redis}
    runs: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        await _micros(way, 20)
    for _ in range(options.runs):
        for name, way in ways.items():
            runs[name].append(await _micros(way, calls))
    limit = Limit("extracted afresh", runs.pop("afresh"))
    for name, measured in runs.items():
        what = f"driving of one driver, {trips:,} trips, kept {name}"
        report.add(Figure("vectors", what, "us", measured, more_is_better=False, limits=[limit]))


async def _micros(work: Callable[[], Awaitable[None]], calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        await work()
    return (time.perf_counter() - started) / calls * 1e6


async def _fill(conn: asyncpg.Connection, trips: int) -> None:
    """One driver's year among those of others."""
    await conn.execute(
        "INSERT INTO drivers (driver_id, state, time_zone, coverage, enrolled_at, updated_at)"
        f" VALUES ('{DRIVER}', 'IL', 'UTC', 'standard', now(), now())"
    )
    statement = TRIPS.format(sums=", ".join(SUMS), values=", ".join(VALUES.get(name, "0") for name in SUMS))
    statement = statement.replace("interval '7 days'", f"interval '{360 * 24 * 60 // trips} minutes'")
    drivers = 100
    await conn.execute(statement, 0, drivers * trips - 1, drivers, timeout=600)
    await conn.execute("ANALYZE trips", timeout=600)
