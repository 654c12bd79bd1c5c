"""Claim: more consumers store more until the machine's cores are full; the split of the processor time says where."""

from __future__ import annotations

from benchmarks import meters
from benchmarks.drain import Drained, drain
from benchmarks.lab import Lab
from benchmarks.limits import CopyLimit
from benchmarks.options import Options
from benchmarks.results import Figure, Report
from benchmarks.store import LIMIT_EVENTS, backlog, limit_traffic

CONSUMERS = (1, 2, 3)
SIZE = 60
WITHIN_S, QUICK_WITHIN_S = 12.0, 6.0
SETTLE_S = 2.0
MOST_RUNS = 3


def main(options: Options) -> None:
    """Measure and report, on Kafka unless told otherwise."""
    report = Report("scaling", options)
    engine = options.engines[0]
    with Lab(options.devices) as lab:
        template, book = backlog(lab, options, engine, SIZE)
        limit = CopyLimit(lab, limit_traffic(options, LIMIT_EVENTS))
        runs: dict[int, list[Drained]] = {consumers: [] for consumers in CONSUMERS}
        for _ in range(min(options.runs, MOST_RUNS)):
            limit.measure()
            for consumers, found in runs.items():
                database = lab.clone(template)
                within_s = options.seconds(WITHIN_S, QUICK_WITHIN_S)
                settle_s = SETTLE_S if consumers > 1 and not options.quick else 0.0
                found.append(
                    drain(lab, engine, database, book, within_s=within_s, consumers=consumers, settle_s=settle_s)
                )
                lab.drop(database)
        for consumers, found in runs.items():
            report.add(_figure(engine, consumers, found, runs[1], limit))
    report.finish()


def _figure(engine: str, consumers: int, runs: list[Drained], alone: list[Drained], limit: CopyLimit) -> Figure:
    cores = meters.joined([run.cores for run in runs])
    one = sorted(run.rate for run in alone)[len(alone) // 2]
    rates = [run.rate for run in runs]
    return Figure(
        row=f"scaling.{engine}.{consumers}",
        name=f"stored, {engine}, {consumers} consumer{'s' if consumers > 1 else ''}",
        unit="events/s",
        runs=rates,
        limits=limit.limits(),
        bottleneck=meters.bottleneck(cores, consumers),
        detail={
            "cores": cores,
            "times_one": round(sorted(rates)[len(rates) // 2] / one, 2),
            "stored": [run.stored for run in runs],
        },
    )
