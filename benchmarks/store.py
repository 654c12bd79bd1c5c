"""Claim: a worker stores events, with trips and offsets, at a good share of what a bare COPY of the rows reaches."""

from __future__ import annotations

import json
import time
from pathlib import Path

from benchmarks import meters
from benchmarks.backlog import Book, fill
from benchmarks.drain import Drained, drain
from benchmarks.lab import Lab
from benchmarks.limits import CopyLimit
from benchmarks.options import Options
from benchmarks.results import RESULTS, Figure, Report, console
from benchmarks.uploads import Traffic, stream, traffic

EVENTS = {60: 1_800_000, 10: 900_000, 1: 400_000}
QUICK_EVENTS = {60: 600_000, 10: 200_000, 1: 50_000}
LIMIT_EVENTS = 300_000
WITHIN_S, QUICK_WITHIN_S = 12.0, 12.0
FLOOR = 10_000.0
AIMS = {("kafka", 60): 80_000.0, ("kafka", 1): 30_000.0, ("postgres", 60): 30_000.0}
AIM_RATIOS = {("kafka", 60): 0.6}
_OUTSIDE = ("asyncio", "threading", "uvloop", "typer", "<frozen", ".11/", "/tmp", "entrypoints")


def main(options: Options) -> None:
    """Measure and report."""
    report = Report("store", options)
    with Lab(options.devices) as lab:
        for engine in options.engines:
            for size in options.sizes:
                report.add(_case(lab, options, engine, size))
                if options.profile:
                    console.print(profile_text(profile_file(engine, size)))
    report.finish()


def backlog(lab: Lab, options: Options, engine: str, size: int) -> tuple[str, Book]:
    """Fill a fresh log; return the database to clone for each run, and the book. With Kafka the log is the broker's."""
    events = options.count(EVENTS.get(size, 600_000), QUICK_EVENTS.get(size, 200_000))
    plan = traffic(events, options.devices, size, int(time.time()) - 120)
    if engine == "kafka":
        lab.start_kafka()
    database = lab.clone()
    return database, fill(lab.settings(engine, database), stream(plan))


def limit_traffic(options: Options, events: int) -> Traffic:
    """Return the traffic whose rows the limit copies."""
    return traffic(options.count(events, events // 2), options.devices, 60, int(time.time()) - 120)


def _case(lab: Lab, options: Options, engine: str, size: int) -> Figure:
    template, book = backlog(lab, options, engine, size)
    limit = CopyLimit(lab, limit_traffic(options, LIMIT_EVENTS))
    runs = []
    for number in range(options.runs):
        limit.measure()
        database = lab.clone(template)
        profile = profile_file(engine, size) if options.profile and number == options.runs - 1 else None
        within_s = options.seconds(WITHIN_S, QUICK_WITHIN_S)
        runs.append(drain(lab, engine, database, book, within_s=within_s, profile=profile))
        lab.drop(database)
    lab.drop(template)
    lab.stop_kafka()
    return _figure(engine, size, runs, limit, book)


def _figure(engine: str, size: int, runs: list[Drained], limit: CopyLimit, book: Book) -> Figure:
    cores = meters.joined([run.cores for run in runs])
    rates = [run.rate for run in runs]
    seconds = sum(run.seconds for run in runs)
    return Figure(
        row=f"store.{engine}.{size}",
        name=f"stored, {engine}, uploads of {size}",
        unit="events/s",
        runs=rates,
        floor=FLOOR,
        aim=AIMS.get((engine, size)),
        aim_ratio=AIM_RATIOS.get((engine, size)),
        limits=limit.limits(),
        bottleneck=meters.bottleneck(cores),
        detail={
            "cores": cores,
            "us_per_event": {
                role: round(used * seconds / max(1, sum(run.events for run in runs)) * 1e6, 2)
                for role, used in cores.items()
            },
            "records": book.records,
            "events_sent": book.events,
            "distinct": book.distinct,
            "whole_backlog": [run.whole for run in runs],
            "stored": [run.stored for run in runs],
            "trips": [run.trips for run in runs],
            "seconds": [round(run.seconds, 2) for run in runs],
        },
    )


def profile_file(engine: str, size: int) -> Path:
    """Return where the samples of a case go."""
    RESULTS.mkdir(exist_ok=True)
    return RESULTS / f"profile-{engine}-{size}.json"


def profile_text(file: Path, top: int = 25) -> str:
    """Return the samples as text: shares of the processor time since the event loop began to run."""
    found = json.loads(file.read_text())
    samples = max(1, found["samples"])
    lines = [
        f"profile {file.name}: {samples} samples, processor {found['process_cpu_s']} s in {found['seconds']} s, "
        f"by thread at the end {found['threads_cpu_s']}",
        "  own:",
    ]
    lines += [f"  {count / samples:6.1%}  {name}" for name, count in found["own"][:top]]
    lines.append("  with all that it calls:")
    ours = [item for item in found["under"] if not item[0].startswith(_OUTSIDE)]
    lines += [f"  {count / samples:6.1%}  {name}" for name, count in ours[:top]]
    return "\n".join(lines)
