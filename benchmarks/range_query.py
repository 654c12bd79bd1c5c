"""Claim: a driver's events of a time range are found in milliseconds among ten million, thanks to key and months."""

from __future__ import annotations

import os
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg

from benchmarks import copyrows
from benchmarks.fill import fill_months, start_of
from benchmarks.fleet import driver_name
from benchmarks.lab import Lab
from benchmarks.options import Options
from benchmarks.results import Figure, Limit, Report, Wrong

EVENTS, QUICK_EVENTS = 10_000_000, 200_000
DRIVERS, QUICK_DRIVERS = 2_000, 200
MONTHS = 12
ASKED = 300
SINGLE = "telematics_events_single"
SEED = 5
FLOOR_MS, AIM_MS = 50.0, 5.0
QUERY = """
SELECT timestamp, latitude, longitude, speed_mph, heading_deg, event_type, quality FROM {table}
WHERE driver_id = $1 AND timestamp >= $2 AND timestamp < $3 ORDER BY timestamp DESC
"""
RANGES = {"a day": timedelta(days=1), "three months": timedelta(days=92)}
_CACHES = Path("/proc/sys/vm/drop_caches")


@dataclass(slots=True)
class _Times:
    """Milliseconds of each question, per run."""

    runs: list[list[float]] = field(default_factory=list)
    rows: int = 0

    def percentile(self, share: float) -> list[float]:
        """Return a percentile of each run."""
        return [sorted(run)[min(len(run) - 1, int(share * len(run)))] for run in self.runs]


def main(options: Options) -> None:
    """Measure and report."""
    report = Report("range_query", options)
    events, drivers = options.count(EVENTS, QUICK_EVENTS), QUICK_DRIVERS if options.quick else DRIVERS
    with Lab(drivers) as lab:
        database = lab.clone()
        lab.sql(f"CREATE TABLE {SINGLE} (LIKE {copyrows.TABLE} INCLUDING ALL)", database)
        held = [
            fill_months(lab, database, events, drivers, seed=SEED, months=MONTHS, table=table)
            for table in (copyrows.TABLE, SINGLE)
        ]
        if held[0] != held[1] or not held[0]:
            raise Wrong(f"the tables were to be alike, and hold {held}")
        report.note(
            f"{held[0]:,} events of {drivers:,} drivers over {MONTHS} months, "
            f"{min(ASKED, drivers)} of them asked for per run."
        )
        times: dict[tuple[str, str, str], _Times] = {}
        for number in range(options.runs):
            for table in (copyrows.TABLE, SINGLE):
                how = _cold(lab, drop=not options.quick)
                for state in ("cold", "warm"):
                    for name, span in RANGES.items():
                        found = times.setdefault((name, state, table), _Times())
                        _ask(lab, database, table, span, drivers, number, found)
        report.note(f"Cold: {how}, each driver asked for the first time. Warm: the same drivers once more.")
    for name in RANGES:
        for state in ("warm", "cold"):
            for figure in _figures(name, state, times[(name, state, copyrows.TABLE)], times[(name, state, SINGLE)]):
                report.add(figure)
    report.finish()


def _cold(lab: Lab, *, drop: bool) -> str:
    """Restart the server, drop the system's cache if wanted and where we may; returns what was done."""
    lab.postgres.stop()
    os.sync()
    dropped = False
    if drop:
        with suppress(OSError):
            _CACHES.write_text("3")
            dropped = True
    lab.postgres.start()
    return "server restarted, the system's cache dropped" if dropped else "server restarted, the system's cache kept"


def _ask(lab: Lab, database: str, table: str, span: timedelta, drivers: int, seed: int, times: _Times) -> None:
    """Ask for the events of many drivers, one at a time. Raises ``Wrong`` if one has none."""
    draw = random.Random(seed)
    asked = []
    for driver in draw.sample(range(drivers), min(ASKED, drivers)):
        begin: datetime = start_of(draw.randrange(MONTHS), SEED).replace(hour=0, minute=0)
        asked.append((driver_name(driver), begin, begin + span))

    async def run(conn: asyncpg.Connection) -> None:
        query = await conn.prepare(QUERY.format(table=table))
        await query.fetch("nobody", *asked[0][1:])
        taken = []
        for arguments in asked:
            started = time.perf_counter()
            rows = await query.fetch(*arguments)
            taken.append((time.perf_counter() - started) * 1000)
            if not rows:
                raise Wrong(f"no events of a driver in {table}")
            times.rows = max(times.rows, len(rows))
        times.runs.append(taken)

    lab.on(database, run)


def _figures(name: str, state: str, parted: _Times, single: _Times) -> list[Figure]:
    main_row = name == "a day" and state == "warm"
    return [
        Figure(
            row=f"range_query.{name.rsplit(maxsplit=1)[-1]}.{state}.p{round(share * 100)}",
            name=f"{name} of one driver, {state}, p{round(share * 100)}",
            unit="ms",
            runs=parted.percentile(share),
            more_is_better=False,
            floor=FLOOR_MS if share > 0.9 else None,
            aim=AIM_MS if share > 0.9 and main_row else None,
            limits=(Limit("one table, same indexes", single.percentile(share)),),
            bottleneck="" if share < 0.9 else f"up to {parted.rows} rows an answer",
        )
        for share in (0.5, 0.95)
    ]
