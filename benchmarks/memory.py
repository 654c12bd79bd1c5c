"""Claim: the processes are small, and a worker's memory does not grow with what it has stored."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field

from benchmarks import meters
from benchmarks.backlog import fill
from benchmarks.drain import Drained, drain
from benchmarks.lab import Lab
from benchmarks.meters import Meter
from benchmarks.options import Options
from benchmarks.results import Figure, Report
from benchmarks.uploads import stream, traffic

EVENTS, QUICK_EVENTS = 10_000_000, 600_000
SIZE = 60
IDLE_S, QUICK_IDLE_S = 10.0, 3.0
WITHIN_S, QUICK_WITHIN_S = 200.0, 12.0
FLOOR_MIB, API_AIM_MIB, WORKER_AIM_MIB, FLAT_AIM = 300.0, 150.0, 250.0, 1.1
MIB = 1024 * 1024
EVERY_S = 0.5


@dataclass(slots=True)
class _Watch:
    """Notes the worker's memory now and then."""

    at_s: list[float] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)

    def look(self, meter: Meter, at_s: float) -> None:
        """Note it, not too often."""
        if not self.at_s or at_s - self.at_s[-1] >= EVERY_S:
            self.at_s.append(at_s)
            self.mib.append(meter.memory("worker") / MIB)


def main(options: Options) -> None:
    """Measure and report, on Kafka unless told otherwise."""
    report = Report("memory", options)
    engine = options.engines[0]
    with Lab(options.devices) as lab:
        if engine == "kafka":
            lab.start_kafka()
        database = lab.clone()
        report.add(_api(lab, engine, database, options))
        plan = traffic(options.count(EVENTS, QUICK_EVENTS), options.devices, SIZE, int(time.time()) - 120)
        book = fill(lab.settings(engine, database), stream(plan))
        watch = _Watch()
        within_s = options.seconds(WITHIN_S, QUICK_WITHIN_S)
        run = drain(lab, engine, database, book, within_s=within_s, on_look=watch.look)
        for figure in _worker(engine, run, watch):
            report.add(figure)
    report.finish()


def _api(lab: Lab, engine: str, database: str, options: Options) -> Figure:
    api = lab.start_api(engine, database)
    time.sleep(options.seconds(IDLE_S, QUICK_IDLE_S))
    meter = Meter({"api": api.pid})
    idle = meter.memory("api") / MIB
    api.stop()
    return Figure(
        row=f"memory.{engine}.api",
        name=f"API, idle, {engine}",
        unit="MiB",
        runs=[idle],
        more_is_better=False,
        floor=FLOOR_MIB,
        aim=API_AIM_MIB,
        bottleneck="what the process imports",
    )


def _worker(engine: str, run: Drained, watch: _Watch) -> list[Figure]:
    # The first fifth fills caches: states and assignments of the whole fleet.
    filled = watch.mib[len(watch.mib) // 5 :]
    third = max(1, len(filled) // 3)
    growth = statistics.median(filled[-third:]) / statistics.median(filled[:third])
    over = f"over {run.stored / 1e6:.1f} M events, {engine}"
    every = max(1, len(watch.mib) // 40)
    return [
        Figure(
            row=f"memory.{engine}.worker",
            name=f"worker under load, most, {over}",
            unit="MiB",
            runs=[max(watch.mib)],
            more_is_better=False,
            floor=FLOOR_MIB,
            aim=WORKER_AIM_MIB,
            bottleneck="batches in hand and the fleet's states in the cache",
            detail={
                "mib": [round(value, 1) for value in watch.mib[::every]],
                "at_s": [round(value, 1) for value in watch.at_s[::every]],
                "rate": round(run.rate),
                "cores": meters.joined([run.cores]),
            },
        ),
        Figure(
            row=f"memory.{engine}.flat",
            name=f"worker's memory, last third over first, {over}",
            unit="x",
            runs=[growth],
            more_is_better=False,
            aim=FLAT_AIM,
        ),
    ]
