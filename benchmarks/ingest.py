"""Claim: one API process takes events in batches at a good share of the requests that its server can answer at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from auto_insurance import bootstrap
from auto_insurance.contracts.topics import TELEMATICS_EVENTS
from auto_insurance.infra.config import Settings
from benchmarks import client, meters
from benchmarks.client import Rate, request, upload_request
from benchmarks.lab import Child, Lab
from benchmarks.meters import Meter
from benchmarks.options import Options
from benchmarks.results import Figure, Limit, Report, Wrong
from benchmarks.uploads import stream, traffic

CLIENTS = 8
SIZES = (60, 500, 1)
DEVICES = 1_000
SECONDS, QUICK_SECONDS = 2.5, 1.5
WARM_S = 1.0
FLOOR, AIM, P95_MS = 10_000.0, 80_000.0, 50.0


@dataclass(slots=True)
class _Case:
    """One size of upload: its requests, and what the runs gave."""

    size: int
    messages: Sequence[bytes]
    rates: list[Rate] = field(default_factory=list)
    bare: list[Rate] = field(default_factory=list)
    cores: list[dict[str, float]] = field(default_factory=list)


def main(options: Options) -> None:
    """Measure and report."""
    report = Report("ingest", options)
    cases = [_Case(size, _messages(size, packed=options.gzip)) for size in SIZES]
    with Lab(DEVICES) as lab:
        bare = lab.start_bare()
        for engine in options.engines:
            if engine == "kafka":
                lab.start_kafka()
            database = lab.clone()
            live = _measure(lab, engine, database, [_Case(case.size, case.messages) for case in cases], bare, options)
            for case in live[0]:
                for figure in _figures(engine, case, live[1], packed=options.gzip):
                    report.add(figure)
            lab.drop(database)
            lab.stop_kafka()
    report.finish()


def _messages(size: int, *, packed: bool) -> list[bytes]:
    """Return an upload of each device, for one pass; the server judges each anew however often it comes."""
    plan = traffic(DEVICES * size, DEVICES, size, int(time.time()) - 60)
    return [upload_request(upload, packed=packed) for upload in stream(plan)]


def _measure(
    lab: Lab, engine: str, database: str, cases: list[_Case], bare: Child, options: Options
) -> tuple[list[_Case], list[Rate]]:
    """Run all in turn, ``options.runs`` times; then look whether the log holds what was accepted."""
    api = lab.start_api(engine, database)
    meter = Meter({"api": api.pid, "postgresql": lab.postgres.pid, **lab.broker_pid(engine)})
    seconds = options.seconds(SECONDS, QUICK_SECONDS)
    # Each key is looked up once; then they are known for a while.
    accepted = client.run_once(api.port, cases[0].messages, clients=CLIENTS, expected=202).requests
    live: list[Rate] = []
    for _ in range(options.runs):
        live.append(client.run_for(api.port, [request("GET", "/live")], seconds / 2, clients=CLIENTS, expected=200))
        for case in cases:
            warm = client.run_for(api.port, case.messages, WARM_S / 2, clients=CLIENTS, expected=202)
            before = meter.read()
            rate = client.run_for(api.port, case.messages, seconds, clients=CLIENTS, expected=202)
            case.cores.append(meters.split(before, meter.read()))
            case.rates.append(rate)
            case.bare.append(client.run_for(bare.port, case.messages, seconds / 2, clients=CLIENTS, expected=202))
            accepted += warm.requests + rate.requests
            api.check()
    api.stop()
    held = asyncio.run(_records(lab.settings(engine, database)))
    if held != accepted:
        raise Wrong(f"{accepted} uploads were answered with 202, the log holds {held} records")
    return cases, live


async def _records(settings: Settings) -> int:
    container = bootstrap.build(settings, "bench")
    try:
        return sum((await container.log.end_offsets(TELEMATICS_EVENTS)).values())
    finally:
        await container.close()


def _figures(engine: str, case: _Case, live: list[Rate], *, packed: bool) -> list[Figure]:
    cores = meters.joined(case.cores)
    aimed = case.size > 1
    name = f"ingest, {engine}, uploads of {case.size}{', gzip' if packed else ''}"
    rate = Figure(
        row=f"ingest.{engine}.{case.size}",
        name=name,
        unit="events/s",
        runs=[run.per_second * case.size for run in case.rates],
        floor=FLOOR if aimed else None,
        aim=AIM if aimed else None,
        limits=(
            Limit("bare app, same server and body", [run.per_second * case.size for run in case.bare]),
            Limit("GET /live, if each were an upload", [run.per_second * case.size for run in live]),
        ),
        bottleneck=meters.bottleneck(cores, worker="api"),
        detail={
            "cores": cores,
            "requests_per_s": [round(run.per_second, 1) for run in case.rates],
            "p50_ms": [round(run.percentile_ms(0.5), 2) for run in case.rates],
            "p95_ms": [round(run.percentile_ms(0.95), 2) for run in case.rates],
        },
    )
    p95 = Figure(
        row=f"ingest.{engine}.{case.size}.p95",
        name=f"{name}: p95 at {CLIENTS} clients",
        unit="ms",
        runs=[run.percentile_ms(0.95) for run in case.rates],
        more_is_better=False,
        aim=P95_MS if aimed else None,
        limits=(Limit("bare app, p95", [run.percentile_ms(0.95) for run in case.bare]),),
        detail={"p50_ms": [round(run.percentile_ms(0.5), 2) for run in case.rates]},
    )
    return [rate, p95]
