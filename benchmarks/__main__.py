"""``python -m benchmarks NAME... [--runs 5] [--quick]``: measure; ``report``: write docs/performance.md."""

from __future__ import annotations

import argparse
import gc
import signal
import sys
from importlib import import_module
from types import FrameType

from auto_insurance.infra.logging import configure_logging
from benchmarks import ALL
from benchmarks.options import ENGINES, FLEET, SIZES, Options

REPORT = "report"


def parsed(arguments: list[str]) -> tuple[list[str], Options]:
    """Return what to run, and how. Ends the process on a wrong argument."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*ALL, REPORT, []], help=f"default: {' '.join(ALL)}")
    parser.add_argument("--runs", type=int, help="runs whose median counts (default 5, with --quick 1)")
    parser.add_argument("--quick", action="store_true", help="fewer events and one run: a look within a minute")
    parser.add_argument("--profile", action="store_true", help="sample the worker in the last run (store)")
    parser.add_argument("--gzip", action="store_true", help="pack the uploads (ingest, end_to_end)")
    parser.add_argument("--engine", default=",".join(ENGINES), help="kafka, postgres or both by comma")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="events per upload, by comma (store)")
    parser.add_argument("--devices", type=int, default=FLEET, help="size of the fleet")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the events of the chosen form")
    said = parser.parse_args(arguments)
    engines = tuple(said.engine.split(","))
    if unknown := set(engines) - set(ENGINES):
        parser.error(f"unknown engine: {', '.join(sorted(unknown))}")
    options = Options(
        runs=said.runs or (1 if said.quick else Options().runs),
        quick=said.quick,
        profile=said.profile,
        engines=engines,
        sizes=tuple(int(size) for size in said.sizes.split(",")),
        devices=said.devices,
        gzip=said.gzip,
        scale=said.scale,
    )
    return said.names or [*ALL, REPORT], options


def _end(number: int, _: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not break off the clearing up
    sys.exit(128 + number)


def main() -> None:
    """Run one after the other: each wants the machine for itself."""
    names, options = parsed(sys.argv[1:])
    configure_logging(json=False, level="ERROR")
    signal.signal(signal.SIGTERM, _end)  # so that processes and folders go with us
    gc.disable()  # millions of prepared uploads without a cycle among them
    for name in names:
        import_module(f"benchmarks.{name}").main(options)


if __name__ == "__main__":
    main()
