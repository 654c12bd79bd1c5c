"""Claim: the rate of storing hardly falls when the table holds sixteen times as much."""

from __future__ import annotations

import time

from benchmarks import meters
from benchmarks.backlog import Book, fill
from benchmarks.drain import Drained, drain
from benchmarks.fill import fill_months
from benchmarks.lab import Lab
from benchmarks.options import Options
from benchmarks.results import Figure, Report, Wrong
from benchmarks.uploads import stream, traffic

POINTS = (1_000_000, 4_000_000, 16_000_000)
QUICK_POINTS = (400_000, 800_000, 1_600_000)
RUN_EVENTS, QUICK_RUN_EVENTS = 600_000, 200_000
SIZE = 60
MOST_RUNS = 3
WITHIN_S = 120.0
FALL_FLOOR, FALL_AIM = 30.0, 15.0


class _Feed:
    """Gives the pipeline more and more traffic, two hours later each time; ``held``: events that came by COPY."""

    def __init__(self, lab: Lab, options: Options, engine: str, database: str) -> None:
        self._lab, self._options, self._engine, self._database = lab, options, engine, database
        self._book = Book()
        self._next_s = int(time.time()) - 6 * 86_400
        self.held = 0

    def run(self) -> Drained:
        """Fill the log with one run's traffic, let a worker store it. Raises ``Wrong`` if it does not end in time."""
        events = self._options.count(RUN_EVENTS, QUICK_RUN_EVENTS)
        plan = traffic(events, self._options.devices, SIZE, self._next_s)
        self._next_s += 7200
        fill(self._lab.settings(self._engine, self._database), stream(plan), self._book)
        run = drain(self._lab, self._engine, self._database, self._book, within_s=WITHIN_S, before=self.held)
        if not run.whole:
            raise Wrong(f"the worker did not empty the log within {WITHIN_S:g} s")
        return run


def main(options: Options) -> None:
    """Measure and report, on Kafka unless told otherwise."""
    report = Report("growth", options)
    engine = options.engines[0]
    with Lab(options.devices) as lab:
        if engine == "kafka":
            lab.start_kafka()
        database = lab.clone()
        feed = _Feed(lab, options, engine, database)
        feed.run()  # the first finds no states, no assignments and empty indexes: not to be compared with
        runs: dict[int, list[Drained]] = {}
        for point in QUICK_POINTS if options.quick else POINTS:
            goal = max(1, round(point * options.scale))
            stored = lab.value(database, "SELECT count(*) FROM telematics_events")
            feed.held += fill_months(lab, database, goal - stored, options.devices, seed=point)
            runs[goal] = [feed.run() for _ in range(min(options.runs, MOST_RUNS))]
        for goal, found in runs.items():
            report.add(_figure(engine, goal, found))
        report.add(_fall(engine, list(runs.values())))
    report.finish()


def _figure(engine: str, goal: int, runs: list[Drained]) -> Figure:
    cores = meters.joined([run.cores for run in runs])
    return Figure(
        row=f"growth.{engine}.{goal}",
        name=f"stored, {engine}, on top of {goal / 1e6:g} M events",
        unit="events/s",
        runs=[run.rate for run in runs],
        floor=10_000.0,
        bottleneck=meters.bottleneck(cores),
        detail={"cores": cores, "stored": [run.stored for run in runs]},
    )


def _fall(engine: str, runs: list[list[Drained]]) -> Figure:
    """Return by how much the rate at the last point lies below the first, run by run."""
    falls = [100 * (1 - last.rate / first.rate) for first, last in zip(runs[0], runs[-1], strict=True)]
    return Figure(
        row=f"growth.{engine}.fall",
        name="fall of the rate, first to last",
        unit="%",
        runs=falls,
        more_is_better=False,
        floor=FALL_FLOOR,
        aim=FALL_AIM,
    )
