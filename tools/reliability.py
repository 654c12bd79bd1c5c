"""Writes the table of docs/reliability.md from the rows of a run: ``python -m tools.reliability rows.jsonl``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- begin: make faults -->", "<!-- end: make faults -->"
_HEAD = (
    "| fault | engine | runs | events accepted | stored | copies removed | trips | recovered after, s (worst) |",
    "|---|---|---|---|---|---|---|---|",
)
Row = Mapping[str, Any]


def table(rows: Iterable[Row]) -> str:
    """Return the table: a line per fault and engine, sums over the runs, the worst time."""
    lines = list(_HEAD)
    ordered = sorted(rows, key=_case)
    for (what, engine), group in groupby(ordered, key=_case):
        lines.append(_line(what, engine, list(group)))
    return "\n".join(lines)


def page(text: str, rows: Iterable[Row]) -> str:
    """Return the page with a new table. Raises ``ValueError`` if it lost its marks."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table(rows)}\n{END}{after}"


def _case(row: Row) -> tuple[str, str]:
    return row["what"], row["engine"]


def _line(what: str, engine: str, runs: Sequence[Row]) -> str:
    sums = [f"{sum(run[name] for run in runs):,}" for name in ("accepted", "stored", "duplicates", "trips")]
    worst = max(run["recovery_s"] for run in runs)
    return f"| {what} | {engine} | {len(runs)} | {' | '.join(sums)} | {worst:.1f} |"


def main() -> None:
    """Bring the page up to date."""
    lines = Path(sys.argv[1]).read_text().splitlines()
    PAGE.write_text(page(PAGE.read_text(), [json.loads(line) for line in lines]))
    print(f"{PAGE}: {len(lines)} runs")


if __name__ == "__main__":
    main()
