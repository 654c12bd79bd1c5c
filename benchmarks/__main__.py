"""``python -m benchmarks [NAME...]``: run all, or the named ones."""

from __future__ import annotations

import sys
from importlib import import_module

from auto_insurance.infra.logging import configure_logging

ALL = ("store", "ingest")


def main() -> None:
    """Run them one after the other: each wants the machine for itself."""
    names = sys.argv[1:] or ALL
    if unknown := set(names) - set(ALL):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    configure_logging(json=False, level="ERROR")
    for name in names:
        import_module(f"benchmarks.{name}").main()


main()
