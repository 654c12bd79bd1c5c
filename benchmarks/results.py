"""Figures with their limits, as a table for people and as JSON in ``benchmarks/results``."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from auto_insurance.kernel import clock
from benchmarks import machine
from benchmarks.options import Options

RESULTS = Path(__file__).parent / "results"
console = Console(width=190, highlight=False)


class Wrong(SystemExit):
    """What was measured is not what was meant: there is no figure."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What the machine does at best, measured in the same run."""

    name: str
    runs: Sequence[float]

    @property
    def value(self) -> float:
        """The median of the runs."""
        return statistics.median(self.runs)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line: the median of ``runs``, its floor and aim (of the issue, if it has any), its limits.

    ``aim_ratio`` is an aim for the share of the first limit. ``detail`` holds what explains the figure.
    """

    row: str
    name: str
    unit: str
    runs: Sequence[float]
    more_is_better: bool = True
    floor: float | None = None
    aim: float | None = None
    aim_ratio: float | None = None
    limits: Sequence[Limit] = ()
    bottleneck: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def measured(self) -> float:
        """The median."""
        return statistics.median(self.runs)

    def ratio(self, number: int = 0) -> float | None:
        """Return what is measured as a share of a limit."""
        if number >= len(self.limits) or not self.limits[number].value:
            return None
        return self.measured / self.limits[number].value

    def to_json(self) -> dict[str, Any]:
        """Return it with what follows from it."""
        found = asdict(self) | {"measured": self.measured}
        found["limits"] = [
            asdict(limit) | {"value": limit.value, "ratio": self.ratio(number)}
            for number, limit in enumerate(self.limits)
        ]
        return found


class Report:
    """Collects the figures of one benchmark; writes them as they come, so that a break loses only the rest."""

    def __init__(self, name: str, options: Options) -> None:
        self.name = name
        self._options = options
        self._figures: list[Figure] = []
        self._started = time.monotonic()
        self._load = machine.load()
        self._notes: list[str] = []
        if machine.busy(self._load):
            self._notes.append(f"The machine was busy (load {self._load:.1f} before the start): a hint, no figure.")

    def add(self, figure: Figure) -> None:
        """Take a figure, show it, and write what there is."""
        self._figures.append(figure)
        console.print(line(figure))
        self._write()

    def note(self, text: str) -> None:
        """Add a sentence that a reader of the figures must know."""
        self._notes.append(text)

    def finish(self) -> None:
        """Print the table."""
        self._write()
        console.print(table(self.name, [figure.to_json() for figure in self._figures]))
        for note in self._notes:
            console.print(f"  {note}")

    def _write(self) -> None:
        RESULTS.mkdir(exist_ok=True)
        form = "-quick" if self._options.quick else ""
        (RESULTS / f"{self.name}{form}.json").write_text(json.dumps(self._content(), indent=1, default=float) + "\n")

    def _content(self) -> dict[str, Any]:
        return {
            "benchmark": self.name,
            "command": command(self.name, self._options),
            "at": clock.now().isoformat(timespec="seconds"),
            "took_s": round(time.monotonic() - self._started, 1),
            "machine": machine.facts(),
            "load_before": round(self._load, 2),
            "load_after": round(machine.load(), 2),
            "versions": machine.versions(),
            "options": asdict(self._options),
            "notes": self._notes,
            "figures": [figure.to_json() for figure in self._figures],
        }


def command(name: str, options: Options) -> str:
    """Return the command line that these options came from."""
    default, said = Options(), [f"python -m benchmarks {name}"]
    if options.runs != default.runs:
        said.append(f"--runs {options.runs}")
    said += [f"--{flag}" for flag in ("quick", "profile", "gzip") if getattr(options, flag)]
    if options.engines != default.engines:
        said.append(f"--engine {','.join(options.engines)}")
    if options.sizes != default.sizes:
        said.append(f"--sizes {','.join(map(str, options.sizes))}")
    if options.devices != default.devices:
        said.append(f"--devices {options.devices}")
    if options.scale != default.scale:
        said.append(f"--scale {options.scale:g}")
    return " ".join(said)


def number(value: float | None) -> str:
    """Return a number as people read it: 81,234 or 0.123."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def line(figure: Figure) -> str:
    """Return a figure in one line."""
    shares = [
        f"{found:.2f} x {limit.name}"
        for place, limit in enumerate(figure.limits)
        if (found := figure.ratio(place)) is not None
    ]
    runs = ", ".join(number(run) for run in figure.runs)
    text = f"  {figure.name}: {number(figure.measured)} {figure.unit} (runs: {runs})"
    text += f"; {'; '.join(shares)}" if shares else ""
    return text + (f"; next: {figure.bottleneck}" if figure.bottleneck else "")


def verdict(figure: Mapping[str, Any], bound: float | None) -> str:
    """Return a bound with whether it holds."""
    if bound is None:
        return "-"
    held = figure["measured"] >= bound if figure["more_is_better"] else figure["measured"] <= bound
    return f"{number(bound)} {'holds' if held else 'MISSED'}"


def table(title: str, figures: Sequence[Mapping[str, Any]]) -> Table:
    """Return the figures as a table."""
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for head in ("what", "measured", "unit", "floor", "aim", "limit", "ratio", "runs"):
        shown.add_column(head, justify="left" if head in {"what", "unit", "limit", "runs"} else "right")
    for figure in figures:
        limits = figure["limits"] or [{"name": "-", "value": None, "ratio": None}]
        for place, limit in enumerate(limits):
            ratio = "-" if limit["ratio"] is None else f"{limit['ratio']:.2f}"
            named = f"{number(limit['value'])}  {limit['name']}" if limit["value"] is not None else "-"
            if place:
                shown.add_row("", "", "", "", "", named, ratio, "")
                continue
            shown.add_row(
                figure["name"],
                number(figure["measured"]),
                figure["unit"],
                verdict(figure, figure["floor"]),
                verdict(figure, figure["aim"]),
                named,
                ratio,
                " ".join(number(run) for run in figure["runs"]),
            )
    return shown
