"""Writes docs/performance.md from ``benchmarks/results``: what was measured, beside floor, aim and limit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import ALL
from benchmarks.options import Options
from benchmarks.results import RESULTS, Wrong, console, number, verdict

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
Result = Mapping[str, Any]
_HEAD = """# Performance

Written by `make bench` (`python -m benchmarks report`) from the last full run of each benchmark; nothing is estimated.
What each one does, and its caveats: [benchmarks/README.md](../benchmarks/README.md).

The machine's own limit is measured in the same run: the ratio to it carries over to other machines, absolute figures
do not. Broker, database, worker, API and client share the same cores.
"""


def main(options: Options) -> None:
    """Write the page from the results that there are. Raises ``Wrong`` when there is none."""
    results = [json.loads(file.read_text()) for name in ALL if (file := RESULTS / f"{name}.json").exists()]
    if not results:
        raise Wrong(f"no results of full runs in {RESULTS}: run `python -m benchmarks` first")
    PAGE.write_text(page(results))
    console.print(f"{PAGE} tells of {', '.join(result['benchmark'] for result in results)}.")
    if missing := set(ALL) - {result["benchmark"] for result in results}:
        console.print(f"Not measured: {', '.join(sorted(missing))}.")


def page(results: Sequence[Result]) -> str:
    """Return the page."""
    parts = [_HEAD, _machines(results), "## Floors and aims\n", _summary(results)]
    parts += [_section(result) for result in results]
    return "\n".join(parts)


def _machines(results: Sequence[Result]) -> str:
    seen: dict[str, list[str]] = {}
    for result in results:
        machine = result["machine"]
        text = f"{machine['processor']}, {machine['cpus']} CPUs, {machine['memory_gib']} GiB, {machine['system']}"
        seen.setdefault(text, []).append(result["benchmark"])
    lines = [f"* {text}" + (f" ({', '.join(names)})" if len(seen) > 1 else "") for text, names in seen.items()]
    return "Machine:\n" + "\n".join(lines) + "\n"


def _summary(results: Sequence[Result]) -> str:
    lines = [
        "| what | floor | aim | measured | unit | ratio to limits | next bottleneck |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        for figure in result["figures"]:
            if figure["floor"] is None and figure["aim"] is None and figure["aim_ratio"] is None:
                continue
            lines.append(
                f"| {figure['name']} | {verdict(figure, figure['floor'])} | {_aim(figure)} "
                f"| **{number(figure['measured'])}** | {figure['unit']} | {_ratio(figure)} "
                f"| {figure['bottleneck'] or '-'} |"
            )
    return "\n".join(lines) + "\n"


def _aim(figure: Mapping[str, Any]) -> str:
    said = [verdict(figure, figure["aim"])] if figure["aim"] is not None else []
    if figure["aim_ratio"] is not None and figure["limits"]:
        held = "holds" if figure["limits"][0]["ratio"] >= figure["aim_ratio"] else "MISSED"
        said.append(f"{figure['aim_ratio']:g} of the limit {held}")
    return ", ".join(said) or "-"


def _ratio(figure: Mapping[str, Any]) -> str:
    limits = [limit for limit in figure["limits"] if limit["ratio"] is not None]
    return "; ".join(f"{limit['ratio']:.2f} ({limit['name']})" for limit in limits) or "-"


def _section(result: Result) -> str:
    options, versions = result["options"], result["versions"]
    lines = [
        f"## {result['benchmark']}",
        "",
        f"`{result['command']}` at {result['at']}, {result['took_s'] / 60:.1f} minutes, load {result['load_before']} "
        f"before the start; medians of {options['runs']} runs where runs are listed so. "
        + ", ".join(f"{name} {version}" for name, version in versions.items() if version)
        + ".",
        "",
        *[f"{note}\n" for note in result["notes"]],
        "| what | measured | unit | runs | limits |",
        "|---|---|---|---|---|",
    ]
    for figure in result["figures"]:
        limits = "; ".join(f"{number(limit['value'])} {limit['name']}" for limit in figure["limits"]) or "-"
        runs = " ".join(number(run) for run in figure["runs"])
        lines.append(f"| {figure['name']} | {number(figure['measured'])} | {figure['unit']} | {runs} | {limits} |")
    return "\n".join([*lines, "", *_cores(result), *_over_time(result)])


def _cores(result: Result) -> list[str]:
    """Return who used how many cores, for the figures that know."""
    known = [figure for figure in result["figures"] if "cores" in figure["detail"]]
    if not known:
        return []
    roles = sorted({role for figure in known for role in figure["detail"]["cores"]})
    lines = [
        "Cores used on average:",
        "",
        f"| what | {' | '.join(roles)} | next bottleneck |",
        "|---" * (len(roles) + 2) + "|",
    ]
    for figure in known:
        used = " | ".join(f"{figure['detail']['cores'].get(role, 0.0):.2f}" for role in roles)
        lines.append(f"| {figure['name']} | {used} | {figure['bottleneck'] or '-'} |")
    return [*lines, ""]


def _over_time(result: Result) -> list[str]:
    """Return the series and percentiles that explain a figure."""
    shown = {
        "age_s": "Age in seconds when visible",
        "age_p95_by_minute_s": "Its p95 by minute",
        "lag_by_10_s": "Lag in messages, most in each 10 s",
        "post_ms": "Answer to the POST, ms",
        "refused_503": "Answers of 503, sent again",
        "p50_ms": "p50 in ms by run",
        "mib": "Worker's memory in MiB over time",
        "worker": "Worker's memory in MiB, every 10 s",
        "api": "API's memory in MiB, every 10 s",
        "us_per_event": "Processor time per event in microseconds",
        "times_one": "Times the rate of one consumer",
    }
    lines = []
    for figure in result["figures"]:
        for name, title in shown.items():
            if name in figure["detail"]:
                lines.append(f"* {figure['name']}: {title}: {_text(figure['detail'][name])}")
    return [*lines, ""] if lines else []


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {number(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(number(item) for item in value)
    return number(value)
