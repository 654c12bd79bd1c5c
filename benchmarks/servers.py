"""Claim: the product's HTTP server is a good choice: a route that does nothing, on each that could be had.

Granian is looked at where it is installed (``uv pip install granian``); the product does not need it.
"""

from __future__ import annotations

from importlib.util import find_spec

from benchmarks import client
from benchmarks.client import Rate, request
from benchmarks.lab import Lab
from benchmarks.options import Options
from benchmarks.results import Figure, Limit, Report
from benchmarks.trivial import PRODUCT, SERVERS

CLIENTS = 50
SECONDS, QUICK_SECONDS = 3.0, 1.0


def main(options: Options) -> None:
    """Measure and report."""
    report = Report("servers", options)
    names = [name for name in SERVERS if not name.startswith("granian") or find_spec("granian")]
    if len(names) < len(SERVERS):
        report.note("Granian is not installed: left out.")
    seconds = options.seconds(SECONDS, QUICK_SECONDS)
    rates: dict[str, list[Rate]] = {name: [] for name in names}
    with Lab(1) as lab:
        children = {name: lab.start_bare("trivial", name) for name in names}
        for _ in range(options.runs):
            for name, child in children.items():
                rates[name].append(
                    client.run_for(child.port, [request("GET", "/ping")], seconds, clients=CLIENTS, expected=200)
                )
    ours = Limit(f"the product's: {PRODUCT}", [rate.per_second for rate in rates[PRODUCT]])
    for name, found in rates.items():
        report.add(
            Figure(
                f"servers.{name}",
                f"a FastAPI route that does nothing, {CLIENTS} clients, {name}",
                "requests/s",
                [rate.per_second for rate in found],
                limits=(ours,),
                detail={"p95_ms": [round(rate.percentile_ms(0.95), 2) for rate in found]},
            )
        )
    report.finish()
