"""Claim: scoring costs little more than the bare model: one driver, a hundred with reasons, a book of 100,000."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import product

import asyncpg
import numpy as np
import psutil

from auto_insurance import bootstrap
from auto_insurance.kernel import clock
from auto_insurance.risk.artefacts import DEFAULT_MODEL, shipped
from auto_insurance.risk.book import BookScoring
from auto_insurance.risk.explain import reasons
from auto_insurance.risk.features import BEHAVIOUR, FEATURES, extract, extract_all
from auto_insurance.risk.microbatch import BatchOptions
from auto_insurance.risk.model import RiskModel
from auto_insurance.risk.predictor import Predictor, PredictorOptions
from auto_insurance.risk.scoring import load_model
from auto_insurance.trips.schemas import TripSums
from benchmarks.lab import Lab
from benchmarks.options import Options
from benchmarks.results import Figure, Limit, Report, Wrong

DRIVERS, QUICK_DRIVERS = 100_000, 2_000
TRIPS_EACH = 50
CALLS = 2_000
CLIENTS = 32
CHAMPION = DEFAULT_MODEL
"""What a new installation scores with."""
SUMS = TripSums.__struct_fields__
TRIPS = """
INSERT INTO trips (trip_id, driver_id, device_id, status, revision, start_time, end_time, time_zone, start_latitude,
    start_longitude, end_latitude, end_longitude, avg_speed_mph, max_speed_mph, crash_reported, end_reason, {sums})
SELECT gen_random_uuid(), 'BENCH' || lpad(d::text, 6, '0'), 'DEV' || d, 'completed', 1, t, t + interval '20 minutes',
    'UTC', 40, -90, 40.1, -90.1, 30, 60, false, 'ignition_off', {values}
FROM generate_series($1::int, $2::int) AS n,
    LATERAL (SELECT n % $3 AS d, now() - (1 + n / $3) * interval '7 days' AS t, 5 + random() * 20 AS miles,
        random() AS r) AS drawn
"""
VALUES = {
    "duration_s": "1200",
    "moving_s": "1100",
    "distance_miles": "miles",
    "harsh_braking_count": "(r * 4)::int",
    "harsh_braking_severe_count": "(r * 1.2)::int",
    "rapid_accel_count": "(r * 5)::int",
    "harsh_corner_count": "(r * 5)::int",
    "speeding_s": "r * 120",
    "speeding_10_s": "r * 30",
    "speed_limit_known_s": "1000",
    "speed_limit_known_miles": "miles * 0.9",
    "phone_usage_s": "r * 20",
    "phone_known_s": "1100",
    "phone_known_miles": "miles",
    "night_miles": "miles * r * 0.1",
    "rush_hour_miles": "miles * 0.2",
}


def main(options: Options) -> None:
    """Measure and report."""
    report = Report("scoring", options)
    _single(report, options)
    _hundred(report, options)
    _together(report, options)
    _book(report, options)
    report.finish()


def _rows(number: int) -> list[TripSums]:
    draw = random.Random(7)
    found = []
    for _ in range(number):
        miles = draw.uniform(100, 12_000)
        found.append(
            TripSums(
                distance_miles=miles,
                duration_s=miles * 120,
                harsh_braking_count=int(miles * draw.random() / 5),
                rapid_accel_count=int(miles * draw.random() / 5),
                speeding_s=miles * draw.random() * 10,
                speed_limit_known_miles=miles * 0.9,
                phone_usage_s=miles * draw.random(),
                phone_known_s=miles * 110,
                night_miles=miles * draw.random() * 0.2,
                rush_hour_miles=miles * draw.random() * 0.4,
            )
        )
    return found


def _micros(work: Callable[[int], object], calls: int) -> float:
    started = time.perf_counter()
    for number in range(calls):
        work(number)
    return (time.perf_counter() - started) / calls * 1e6


def _single(report: Report, options: Options) -> None:
    model, rows = load_model(CHAMPION).model, [extract(one) for one in _rows(CALLS)]
    for name, fresh in (("one prediction", True), ("one prediction, remembered", False)):
        measured, bare = [], []
        for _ in range(options.runs):
            predictor = Predictor()
            loop = asyncio.new_event_loop()
            if not fresh:
                loop.run_until_complete(predictor.predict(model, rows))

            async def ask(predictor: Predictor = predictor) -> float:
                started = time.perf_counter()
                for row in rows:
                    await predictor.predict(model, [row])
                return (time.perf_counter() - started) / len(rows) * 1e6

            measured.append(loop.run_until_complete(ask()))
            loop.close()
            bare.append(_micros(lambda number: model.predict([rows[number]]), len(rows)))
        report.add(
            Figure(
                "scoring",
                name,
                "us",
                measured,
                more_is_better=False,
                floor=45_000.0 if fresh else 1_000.0,
                aim=1_000.0 if fresh else 50.0,
                limits=[Limit("the model alone", bare)],
            )
        )


def _hundred(report: Report, options: Options) -> None:
    model, rows = load_model(CHAMPION).model, [extract(one) for one in _rows(100)]
    columns = {
        name: np.array([np.nan if row[name] is None else row[name] for row in rows], np.float64)
        for name in model.scored
    }
    measured, bare, words = [], [], []
    for _ in range(options.runs):
        measured.append(_micros(lambda _: model.predict(rows), 50) / 1000)
        bare.append(_micros(lambda _: model.predict_all(columns), 50) / 1000)
        words.append(_micros(lambda _: [reasons(p.contributions) for p in model.predict(rows)], 50) / 1000)
    limits = [Limit("the same as columns", bare)]
    for name, runs, aim in (("with contributions", measured, 2.0), ("with reasons in words", words, None)):
        report.add(
            Figure(
                "scoring", f"100 drivers {name}", "ms", runs, more_is_better=False, floor=180.0, aim=aim, limits=limits
            )
        )


def _together(report: Report, options: Options) -> None:
    """Requests of many clients at once, each prediction a new one: direct calls against micro-batches (ADR 0016)."""
    rows = [extract(one) for one in _rows(CALLS)]

    async def all_clients(predictor: Predictor, model: RiskModel, clients: int) -> float:
        async def client(mine: Sequence[dict[str, float | None]]) -> None:
            for row in mine:
                await predictor.predict(model, [row])

        started = time.perf_counter()
        await asyncio.gather(*(client(rows[number::clients]) for number in range(clients)))
        return len(rows) / (time.perf_counter() - started)

    for version, clients in product(shipped(), (1, CLIENTS)):
        model = load_model(version).model
        rates: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(options.runs):
            for together, found in rates.items():
                chosen = PredictorOptions(micro_batching=together, batch=BatchOptions(), remembered=1)
                found.append(asyncio.run(all_clients(Predictor(chosen), model, clients)))
        report.add(
            Figure(
                "scoring",
                f"{version}, micro-batched, {clients} {'client' if clients == 1 else 'clients'}",
                "predictions/s",
                rates[True],
                limits=[Limit("direct calls", rates[False])],
            )
        )


def _book(report: Report, options: Options) -> None:
    drivers = options.count(DRIVERS, QUICK_DRIVERS)
    with Lab(1) as lab:
        database = lab.clone()
        lab.on(database, lambda conn: _fill(conn, drivers))
        measured, model_s, features_s, memory = [], [], [], []
        for _ in range(max(1, options.runs // 2)):
            seconds, peak = asyncio.run(_score(lab, database, drivers))
            measured.append(seconds)
            memory.append(peak)
            alone = _model_alone(drivers)
            features_s.append(alone[0])
            model_s.append(alone[1])
        trips = lab.value(database, "SELECT count(*) FROM trips")
        report.note(f"The book: {drivers:,} drivers, {trips:,} trips.")
    report.add(
        Figure(
            "scoring",
            f"a book of {drivers:,} drivers: features, score, reasons, stored",
            "s",
            measured,
            more_is_better=False,
            aim=60.0 if not options.quick else None,
            limits=[Limit("the model alone", model_s), Limit("features alone", features_s)],
        )
    )
    report.add(
        Figure(
            "scoring",
            f"of it inside the model, {drivers:,} drivers",
            "s",
            model_s,
            more_is_better=False,
            aim=2.0 if not options.quick else None,
            limits=[Limit("features alone", features_s)],
        )
    )
    report.add(
        Figure("scoring", "resident memory while the book is scored", "MB", memory, more_is_better=False, aim=500.0)
    )


async def _fill(conn: asyncpg.Connection, drivers: int) -> None:
    since = clock.now() - timedelta(days=900)
    rows = [(f"BENCH{n:06d}", "IL", "UTC", "standard", since, since) for n in range(drivers)]
    columns = ["driver_id", "state", "time_zone", "coverage", "enrolled_at", "updated_at"]
    await conn.copy_records_to_table("drivers", columns=columns, records=rows)
    statement = TRIPS.format(sums=", ".join(SUMS), values=", ".join(VALUES.get(name, "0") for name in SUMS))
    step = 500_000
    for first in range(0, drivers * TRIPS_EACH, step):
        last = min(first + step, drivers * TRIPS_EACH) - 1
        await conn.execute(statement, first, last, drivers, timeout=600)
    await conn.execute("ANALYZE trips", timeout=600)


async def _score(lab: Lab, database: str, drivers: int) -> tuple[float, float]:
    container = bootstrap.build(lab.settings("postgres", database), "bench")
    process, peak = psutil.Process(), 0.0

    def look(_: int, __: int) -> None:
        nonlocal peak
        peak = max(peak, process.memory_info().rss / 1024**2)

    try:
        started = time.perf_counter()
        run = await container.get(BookScoring).run("benchmark", restart=True, progress=look)
        seconds = time.perf_counter() - started
        if run.scored < drivers:
            raise Wrong(f"{run.scored} of {drivers} drivers were scored")
        return seconds, peak
    finally:
        await container.close()


def _model_alone(drivers: int) -> tuple[float, float]:
    draw, model = np.random.default_rng(7), load_model(CHAMPION).model
    sums = {name: draw.uniform(1, 100, drivers) for name in SUMS}
    started = time.perf_counter()
    features = extract_all(sums)
    middle = time.perf_counter()
    bounded = {
        name: np.minimum(values, FEATURES[name].upper or np.inf)
        for name, values in features.items()
        if name in FEATURES
    }
    model.predict_all({feature.name: bounded[feature.name] for feature in BEHAVIOUR})
    return middle - started, time.perf_counter() - middle
