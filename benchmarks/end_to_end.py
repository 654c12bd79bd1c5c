"""Claim: at 10,000 events a second an uploaded event is visible, stored and in its trip, within a second; for long."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg
import uvloop

from auto_insurance import bootstrap
from auto_insurance.contracts.topics import TELEMATICS_EVENTS
from benchmarks import meters
from benchmarks.ages import Ages, visible_ages
from benchmarks.client import upload_request
from benchmarks.lab import GROUP, Child, Lab
from benchmarks.meters import Meter
from benchmarks.openloop import OpenLoop, Sent
from benchmarks.options import Options
from benchmarks.results import Figure, Report, Wrong
from benchmarks.uploads import Traffic, Upload, stream

SECONDS, QUICK_SECONDS = 300, 20
QUICK_DEVICES = 1_000
WARM_S, QUICK_WARM_S = 20.0, 8.0
MIX, QUICK_MIX = {10: 0.5, 60: 0.5}, {10: 1.0}
"""Events per upload -> share of the devices that send so."""
SETTLE_S = 60.0
LAG_FLOOR, AGE_FLOOR_S, API_MIB, WORKER_MIB = 500.0, 1.0, 300.0, 300.0
API_AIM_MIB, WORKER_AIM_MIB = 150.0, 250.0
MIB = 1024 * 1024
_PROGRESS = """
SELECT coalesce(sum(next_offset), 0) FROM consumer_offsets WHERE group_name = $1 AND topic = $2
"""


@dataclass(slots=True)
class _Load:
    """What is sent: (due seconds after ``start_s``, upload), in that order; at first, as warm-up, ``early``."""

    early: list[Upload]
    uploads: list[tuple[float, Upload]]
    messages: list[tuple[float, bytes]]
    start_s: int
    seconds: float
    shift_s: float = 0.0
    """How much later than ``start_s`` sending began: preparing takes a while. Events are that much older."""

    @property
    def distinct(self) -> int:
        """How many distinct events there are."""
        return sum(upload.fresh for upload in self.early) + self.timed

    @property
    def timed(self) -> int:
        """How many of them are sent while the clock runs."""
        return sum(upload.fresh for _, upload in self.uploads)

    @property
    def records(self) -> int:
        """How many uploads there are."""
        return len(self.early) + len(self.uploads)


@dataclass(slots=True)
class _Series:
    """Samples over time."""

    at_s: list[float] = field(default_factory=list)
    lag: list[int] = field(default_factory=list)
    api_mib: list[float] = field(default_factory=list)
    worker_mib: list[float] = field(default_factory=list)


def main(options: Options) -> None:
    """Measure and report: one long run, on Kafka unless told otherwise."""
    report = Report("end_to_end", options)
    engine = options.engines[0]
    devices = min(options.devices, QUICK_DEVICES) if options.quick else options.devices
    with Lab(devices) as lab:
        if engine == "kafka":
            lab.start_kafka()
        database = lab.clone()
        api = lab.start_api(engine, database)
        worker = lab.start("worker", engine, database)
        lab.start("scheduler", engine, database)
        _wait_assigned(lab, database, worker)
        meter = Meter({"worker": worker.pid, "api": api.pid, "postgresql": lab.postgres.pid, **lab.broker_pid(engine)})
        idle = meter.memory("api") / MIB
        load = _load(options, devices)
        try:
            sent, series, cores = uvloop.run(_drive(lab, engine, database, api, meter, load))
        except Wrong as wrong:
            raise Wrong(f"{wrong}\napi: {api.said}\nworker: {worker.said}") from None
        stored = lab.value(database, "SELECT count(*) FROM telematics_events")
        if stored != load.distinct:
            raise Wrong(f"{load.distinct} distinct events were accepted, {stored} are stored\n{worker.said}")
        if dead := lab.value(database, "SELECT count(*) FROM dead_letters"):
            raise Wrong(f"{dead} dead letters")
        warm = QUICK_WARM_S if options.quick else WARM_S
        ages = lab.on(database, lambda conn: _ages(conn, load, warm))
        for figure in _figures(engine, load, sent, series, ages, cores, idle, warm):
            report.add(figure)
    report.finish()


def _wait_assigned(lab: Lab, database: str, worker: Child) -> None:
    """Wait until the worker has its partitions. Raises ``Wrong``."""
    deadline = time.monotonic() + SETTLE_S
    while not lab.value(database, "SELECT count(*) FROM consumer_offsets WHERE group_name = $1", GROUP):
        worker.check()
        if time.monotonic() > deadline:
            raise Wrong(f"the worker has no partitions within {SETTLE_S:g} s\n{worker.said}")
        time.sleep(0.2)


def _load(options: Options, fleet: int) -> _Load:
    """Prepare all requests. That takes a while, by which the events are then older than their sending.

    The first upload of each device is not timed: with it, keys and states get known.
    """
    seconds = round(options.seconds(SECONDS, QUICK_SECONDS))
    start_s, first = int(time.time()), 0
    uploads: list[Upload] = []
    for size, share in (QUICK_MIX if options.quick else MIX).items():
        devices = round(fleet * share)
        whole = max(size, seconds // size * size)
        plan = Traffic(devices, size, whole + size, start_s - 2 * size, seed=size, first=first)
        first += devices
        uploads += [upload for upload in stream(plan) if upload.sent_us < (start_s + seconds + size) * 1_000_000]
    uploads.sort(key=lambda upload: upload.sent_us)
    uploads = _with_originals(uploads)
    early = [upload for upload in uploads if upload.sent_us < start_s * 1_000_000]
    due = [(upload.sent_us / 1e6 - start_s, upload) for upload in uploads[len(early) :]]
    messages = [(at, upload_request(upload, packed=options.gzip)) for at, upload in due]
    return _Load(early, due, messages, start_s, seconds)


def _with_originals(uploads: list[Upload]) -> list[Upload]:
    """Leave out repetitions of what was cut off at the end: each event's first copy is the fresh one."""
    seen: set[bytes] = set()
    kept = []
    for upload in uploads:
        new = upload.value not in seen
        seen.add(upload.value)
        kept.append(upload._replace(fresh=upload.events if new else 0))
    return kept


async def _drive(
    lab: Lab, engine: str, database: str, api: Child, meter: Meter, load: _Load
) -> tuple[Sent, _Series, dict[str, float]]:
    """Send everything when it is due, sample meanwhile, wait until all is stored."""
    conn = await asyncpg.connect(lab.url(database))
    container = bootstrap.build(lab.settings(engine, database), "bench")
    series, stop = _Series(), asyncio.Event()
    warm_up = OpenLoop(api.port, [(0.0, upload_request(upload)) for upload in load.early])
    sender = OpenLoop(api.port, load.messages)
    try:
        await warm_up.connect()
        await warm_up.run(time.perf_counter())
        await sender.connect()
        started, load.shift_s = time.perf_counter(), time.time() - load.start_s
        before = meter.read()
        sampling = asyncio.create_task(_sample(conn, container, meter, series, started, stop))
        sent = await sender.run(started)
        cores = meters.split(before, meter.read())
        deadline = time.monotonic() + SETTLE_S
        while await _progress(lab, database) < load.records:
            if time.monotonic() > deadline:
                raise Wrong(f"not all is stored {SETTLE_S:g} s after the last upload")
            await asyncio.sleep(0.2)
        stop.set()
        await sampling
    finally:
        stop.set()
        await container.close()
        await conn.close()
    return sent, series, cores


async def _progress(lab: Lab, database: str) -> int:
    """Return how many records the telemetry group has processed."""
    conn = await asyncpg.connect(lab.url(database))
    try:
        return int(await conn.fetchval(_PROGRESS, GROUP, TELEMATICS_EVENTS))
    finally:
        await conn.close()


async def _sample(
    conn: asyncpg.Connection,
    container: bootstrap.Container,
    meter: Meter,
    series: _Series,
    started: float,
    stop: asyncio.Event,
) -> None:
    """Once a second: unprocessed records and resident memory."""
    while not stop.is_set():
        done = int(await conn.fetchval(_PROGRESS, GROUP, TELEMATICS_EVENTS))
        end = sum((await container.log.end_offsets(TELEMATICS_EVENTS)).values())
        series.at_s.append(time.perf_counter() - started)
        series.lag.append(max(0, end - done))
        series.api_mib.append(meter.memory("api") / MIB)
        series.worker_mib.append(meter.memory("worker") / MIB)
        await asyncio.sleep(1.0)


async def _ages(conn: asyncpg.Connection, load: _Load, warm_s: float) -> Ages:
    delayed = {upload.value: upload for _, upload in load.uploads if _is_late(upload)}
    late = [(upload.device, _newest_us(upload)) for upload in delayed.values()]
    start = datetime.fromtimestamp(load.start_s, UTC)
    return await visible_ages(conn, start, timedelta(seconds=load.shift_s), late, warm_s, load.seconds)


def _newest_us(upload: Upload) -> int:
    """Return the time of an upload's last event, as it stands in its bytes."""
    tail = upload.value[upload.value.rindex(b'"timestamp":') + 12 :]
    return int(tail[: tail.index(b",")]) * 1000


def _is_late(upload: Upload) -> bool:
    return upload.fresh > 0 and upload.sent_us > _newest_us(upload)


def _figures(
    engine: str,
    load: _Load,
    sent: Sent,
    series: _Series,
    ages: Ages,
    cores: dict[str, float],
    idle: float,
    warm_s: float,
) -> list[Figure]:
    steady = [place for place, at in enumerate(series.at_s) if warm_s <= at <= load.seconds]
    lag = [series.lag[place] for place in steady] or series.lag
    latencies = sorted(
        late for due, late in zip(sent.due_s, sent.latency_s, strict=True) if warm_s <= due <= load.seconds
    )
    name = f"{engine}, {load.timed / load.seconds:,.0f} events/s for {load.seconds:g} s"
    third = max(1, len(series.worker_mib) // 3)
    detail = {
        "cores": cores,
        "age_s": ages.overall,
        "age_p95_by_minute_s": ages.p95_by_minute,
        "age_p95_by_10_s": ages.p95_by_10_s,
        "lag_by_10_s": [max(series.lag[place : place + 10]) for place in range(0, len(series.lag), 10)],
        "post_ms": {f"p{share}": round(_at(latencies, share) * 1000, 2) for share in (50, 95, 99)},
        "uploads": len(load.messages),
        "refused_503": sent.refused,
        "due_without_free_connection": sent.waited,
        "warm_up_left_out_s": warm_s,
    }
    memory = {
        "api": [round(value, 1) for value in series.api_mib[::10]],
        "worker": [round(value, 1) for value in series.worker_mib[::10]],
        "idle_api": round(idle, 1),
    }
    bottleneck = meters.bottleneck(cores)

    def figure(row: str, what: str, unit: str, value: float, **more: object) -> Figure:
        return Figure(f"end_to_end.{engine}.{row}", f"{what}; {name}", unit, [value], False, **more)  # type: ignore[arg-type]

    return [
        figure("age", "POST to visible, p95", "s", ages.overall["p95"], floor=AGE_FLOOR_S, aim=1.0, detail=detail,
               bottleneck=bottleneck),
        figure("age99", "POST to visible, p99", "s", ages.overall["p99"]),
        figure("lag", "lag, most", "messages", max(lag), floor=LAG_FLOOR),
        figure("lag_s", "lag, most (age of the oldest that became visible)", "s", ages.overall["max"], floor=1.0),
        figure("flat", "flatness: p95 of the last minute over the first", "x", ages.flatness, aim=1.25),
        figure("api", "API, resident memory, most", "MiB", max(series.api_mib), floor=API_MIB, detail=memory),
        figure("worker", "worker, resident memory, most", "MiB", max(series.worker_mib), floor=WORKER_MIB,
               aim=WORKER_AIM_MIB),
        figure("worker_growth", "worker's memory, last third over first", "x",
               statistics.median(series.worker_mib[-third:]) / statistics.median(series.worker_mib[:third]), aim=1.1),
    ]  # fmt: skip


def _at(ordered: list[float], share: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * share // 100)] if ordered else math.nan
