"""Claim: signed-in reads of a book of 10,000 drivers cost little more than a route that does nothing."""

from __future__ import annotations

import json
import random
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import redis
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import client
from benchmarks.client import Rate, request
from benchmarks.fleet import device_name, driver_name
from benchmarks.lab import Child, Lab
from benchmarks.options import Options
from benchmarks.portfolio import Portfolio
from benchmarks.provision import key_of
from benchmarks.results import Figure, Limit, Report, Wrong

DRIVERS, QUICK_DRIVERS = 10_000, 1_500
EVENTS, QUICK_EVENTS = 10_000_000, 60_000
PEOPLE = 1_000
"""Drivers who ask: each for the own data, with the own token."""
LONG = 5
"""The mix goes on for so many times as long: what everybody asks for the first time is a part of it."""
CLIENTS, COLD_CLIENTS, POSTING_CLIENTS = 100, 10, 50
SECONDS, QUICK_SECONDS = 3.0, 1.5
RATIO, COLD_P95_MS, POST_P95_MS, DASHBOARD_COLD_MS, HIT_RATE = 0.6, 15.0, 15.0, 100.0, 0.95
PREFIX = "/api/v1"
ROUTES = {
    "GET /drivers/{id}": ("/drivers/{driver}", 80.0),
    "GET /risk/{id}/score": ("/risk/{driver}/score", 120.0),
    "GET /drivers/{id}/trips, a page": ("/drivers/{driver}/trips?page=1&page_size=20", 100.0),
    "GET /pricing/{id}/current": ("/pricing/{driver}/current", 100.0),
}
"""Path, and the p95 in milliseconds that is to be beaten at 100 clients."""
MIX = (("/drivers/me", 3), ("/risk/me/score", 2), ("/drivers/me/trips?page=1&page_size=20", 1))
DASHBOARD = ("/admin/dashboard/stats", "/admin/dashboard/summary", "/admin/dashboard/risk-distribution")


@dataclass(slots=True)
class _Runs:
    """What the runs of one question gave, beside the trivial route in the same run."""

    rates: list[Rate] = field(default_factory=list)
    trivial: list[Rate] = field(default_factory=list)


def main(options: Options) -> None:
    """Measure and report."""
    report = Report("reads", options)
    drivers = QUICK_DRIVERS if options.quick else DRIVERS
    with Lab(drivers) as lab:
        valkey = lab.start_valkey()
        book = Portfolio(lab, drivers, options.count(EVENTS, QUICK_EVENTS))
        tokens, admin = book.sign_in(lab, PEOPLE)
        report.note(f"The book: {drivers:,} drivers, {book.trips:,} trips, {book.events:,} events; {PEOPLE:,} ask.")
        trivial = lab.start_bare("trivial")
        bench = _Bench(lab, book, trivial, tokens, admin, options)
        for measure in (bench.cold, bench.hit_rate, bench.warm, bench.post, bench.dashboard):
            for figure in measure():
                report.add(figure)
        valkey.stop()
    report.finish()


class _Bench:
    """The questions, on processes of their own."""

    def __init__(
        self, lab: Lab, book: Portfolio, trivial: Child, tokens: Sequence[str], admin: str, options: Options
    ) -> None:
        self._lab, self._book, self._trivial, self._options = lab, book, trivial, options
        self._tokens, self._admin = tokens, admin
        self._ping = [request("GET", "/ping")]
        self._seconds = options.seconds(SECONDS, QUICK_SECONDS)

    def cold(self) -> list[Figure]:
        """Ask a fresh API with an empty cache and no warm-up, each driver once per run."""
        found: dict[str, list[Rate]] = {name: [] for name in ROUTES}
        for number in range(self._options.runs):
            with _Api(self, CACHE_WARM_DRIVERS="0") as api:
                for name, (path, _) in ROUTES.items():
                    messages = self._own(path)
                    random.Random(number).shuffle(messages)
                    found[name].append(client.run_once(api.port, messages, clients=COLD_CLIENTS, expected=200))
        return [
            Figure(
                f"reads.cold.{number}",
                f"{name}, cold: p95 at {COLD_CLIENTS} clients",
                "ms",
                [rate.percentile_ms(0.95) for rate in rates],
                more_is_better=False,
                aim=COLD_P95_MS,
                detail={"requests_per_s": [round(rate.per_second) for rate in rates]},
            )
            for number, (name, rates) in enumerate(found.items())
        ]

    def hit_rate(self) -> list[Figure]:
        """Let everybody look around as the load test's people do, from the start of the API on."""
        found = []
        for _ in range(self._options.runs):
            with _Api(self) as api:
                before = _counted(api)
                client.run_for(api.port, self._mixed(), LONG * self._seconds, clients=CLIENTS, expected=200)
                after = _counted(api)
                hits, misses = (after[name] - before[name] for name in ("hits", "misses"))
                if hits + misses <= 0:
                    raise Wrong("the cache counted nothing")
                found.append(hits / (hits + misses))
        name = f"share of answers from the cache, {PEOPLE:,} drivers, 3:2:1 of own data, score, trips"
        return [Figure("reads.hits", name, "share", found, floor=0.85, aim=HIT_RATE)]

    def warm(self) -> list[Figure]:
        """Ask again and again for what was asked before, in turn with the trivial route."""
        runs = {name: _Runs() for name in ROUTES}
        with _Api(self) as api:
            for _ in range(self._options.runs):
                for name, (path, _) in ROUTES.items():
                    messages = self._own(path)
                    client.run_once(api.port, messages, clients=CLIENTS, expected=200)
                    runs[name].rates.append(self._run(api, messages))
                    runs[name].trivial.append(self._run(self._trivial, self._ping))
        return [figure for number, name in enumerate(ROUTES) for figure in _warm(number, name, runs[name])]

    def post(self) -> list[Figure]:
        """Send single events, each of another device."""
        now = int(time.time() * 1000)
        messages = [
            request("POST", f"{PREFIX}/telematics/events", _event(number, now), key=key_of(number))
            for number in range(PEOPLE)
        ]
        with _Api(self) as api:
            client.run_once(api.port, messages, clients=POSTING_CLIENTS, expected=202, check=_accepted)
            runs = range(self._options.runs)
            rates = [self._run(api, messages, clients=POSTING_CLIENTS, expected=202) for _ in runs]
        return [
            Figure(
                "reads.post",
                f"POST /telematics/events, one event: p95 at {POSTING_CLIENTS} clients",
                "ms",
                [rate.percentile_ms(0.95) for rate in rates],
                more_is_better=False,
                floor=50.0,
                aim=POST_P95_MS,
                detail={"requests_per_s": [round(rate.per_second) for rate in rates]},
            )
        ]

    def dashboard(self) -> list[Figure]:
        """Ask for each part of the dashboard: at first with an empty cache, then again and again."""
        cold: dict[str, list[float]] = {path: [] for path in DASHBOARD}
        warm = {path: _Runs() for path in DASHBOARD}
        for _ in range(self._options.runs):
            with _Api(self, CACHE_WARM_DRIVERS="0") as api:
                for path in DASHBOARD:
                    message = [self._asks(path, self._admin)]
                    first = client.run_once(api.port, message, clients=1, expected=200)
                    cold[path].append(first.percentile_ms(1.0))
                    warm[path].rates.append(self._run(api, message))
                    warm[path].trivial.append(self._run(self._trivial, self._ping))
        return [
            *(_cold_dashboard(path, runs) for path, runs in cold.items()),
            *(_warm_dashboard(path, runs) for path, runs in warm.items()),
        ]

    def start(self, **settings: str) -> Child:
        """Start an API on an empty cache."""
        assert self._lab.valkey is not None
        with redis.Redis.from_url(self._lab.valkey.url()) as cache:
            cache.flushall()
        return self._lab.start_api("postgres", self._book.database, **settings)

    def _run(self, child: Child, messages: Sequence[bytes], clients: int = CLIENTS, expected: int = 200) -> Rate:
        check = _accepted if expected == 202 else client.check
        return client.run_for(child.port, messages, self._seconds, clients=clients, expected=expected, check=check)

    def _own(self, path: str) -> list[bytes]:
        return [self._asks(path.format(driver=driver_name(number)), token) for number, token in enumerate(self._tokens)]

    def _mixed(self) -> list[bytes]:
        draw = random.Random(3)
        paths, weights = [path for path, _ in MIX], [weight for _, weight in MIX]
        chosen = draw.choices(paths, weights, k=20 * len(self._tokens))
        return [self._asks(path, draw.choice(self._tokens)) for path in chosen]

    def _asks(self, path: str, token: str) -> bytes:
        return request("GET", f"{PREFIX}{path}", headers={"Authorization": f"Bearer {token}"})


class _Api:
    """An API for the time of a block."""

    def __init__(self, bench: _Bench, **settings: str) -> None:
        self._bench, self._settings = bench, settings

    def __enter__(self) -> Child:
        self._api = self._bench.start(**self._settings)
        return self._api

    def __exit__(self, *exception: object) -> None:
        self._api.stop()


def _counted(api: Child) -> Mapping[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{api.port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = {"hits": 0.0, "misses": 0.0}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "cache_hits_total":
                found["hits"] += sample.value
            # A miss in the first level is asked of the second: only what that misses costs a query.
            elif sample.name == "cache_misses_total" and sample.labels["cache_type"] == "l2":
                found["misses"] += sample.value
    return found


def _warm(number: int, name: str, runs: _Runs) -> list[Figure]:
    trivial = Limit("trivial route, same server", [rate.per_second for rate in runs.trivial])
    return [
        Figure(
            f"reads.warm.{number}",
            f"{name}, warm, signed in, {CLIENTS} clients",
            "requests/s",
            [rate.per_second for rate in runs.rates],
            aim_ratio=RATIO,
            limits=(trivial,),
        ),
        Figure(
            f"reads.warm.{number}.p95",
            f"{name}, warm: p95 at {CLIENTS} clients",
            "ms",
            [rate.percentile_ms(0.95) for rate in runs.rates],
            more_is_better=False,
            floor=ROUTES[name][1],
            limits=(Limit("trivial route, p95", [rate.percentile_ms(0.95) for rate in runs.trivial]),),
        ),
    ]


def _cold_dashboard(path: str, runs: Sequence[float]) -> Figure:
    return Figure(
        f"reads.dashboard.cold.{path}",
        f"GET {path}, cold",
        "ms",
        runs,
        more_is_better=False,
        floor=500.0,
        aim=DASHBOARD_COLD_MS,
    )


def _warm_dashboard(path: str, runs: _Runs) -> Figure:
    return Figure(
        f"reads.dashboard.warm.{path}",
        f"GET {path}, warm, {CLIENTS} clients",
        "requests/s",
        [rate.per_second for rate in runs.rates],
        aim_ratio=0.5,
        limits=(Limit("trivial route, same server", [rate.per_second for rate in runs.trivial]),),
    )


def _event(number: int, now_ms: int) -> bytes:
    return json.dumps(
        {
            "event_id": f"read-{number}",
            "device_id": device_name(number),
            "timestamp": now_ms - 60_000,
            "latitude": 41.88,
            "longitude": -87.63,
            "speed": 31.0,
        }
    ).encode()


def _accepted(status: int, answer: bytes, expected: int) -> None:
    if status != expected or b'"accepted"' not in answer:
        raise Wrong(f"status {status} where {expected} is due: {answer[-400:]!r}")
