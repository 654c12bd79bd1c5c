"""What became of replayed drives: as a table for people, as JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from auto_insurance.devicekit.replay import DriveReport, ReplayReport

MAX_REFUSED_ROWS = 20
_NUMBERS = ("Rows", "Accept", "Reject", "Stored", "Trips", "Own mi", "Trip mi", "Diff %")


def succeeded(report: ReplayReport) -> bool:
    """Return whether something was accepted, all of it is stored, and no upload failed.

    Rows that are equal are one event, so a drive may have fewer stored than accepted and still be complete.
    """
    return report.complete and report.accepted > 0 and not any(drive.error for drive in report.drives)


def difference_percent(own_miles: float, trip_miles: float) -> float | None:
    """Return by how much the trips' miles differ from the drive's own, None where it has none."""
    return (trip_miles / own_miles - 1.0) * 100.0 if own_miles > 0 else None


def render(report: ReplayReport) -> RenderableType:
    """Return one line per drive, the sums, and the reasons of what was refused."""
    table = Table(box=None, header_style="bold", pad_edge=False, show_footer=True, footer_style="bold")
    table.add_column("Drive", no_wrap=True, footer="All")
    sums = (report.rows, report.accepted, report.rejected, report.stored, sum(d.trips for d in report.drives))
    own, driven = sum(d.own_miles for d in report.drives), sum(d.trip_miles for d in report.drives)
    for name, footer in zip(_NUMBERS, _figures(*sums, own, driven), strict=True):
        table.add_column(name, justify="right", no_wrap=True, footer=footer)
    for drive in report.drives:
        counts = (drive.rows, drive.accepted, drive.rejected, drive.stored, drive.trips)
        table.add_row(Text(drive.drive), *_figures(*counts, drive.own_miles, drive.trip_miles))
    return Group(table, *_notes(report))


def _figures(rows: int, accepted: int, rejected: int, stored: int, trips: int, own: float, driven: float) -> list[str]:
    difference = difference_percent(own, driven)
    shown = "-" if difference is None else f"{difference:+.2f}"
    return [*(f"{n:,}" for n in (rows, accepted, rejected, stored, trips)), f"{own:,.3f}", f"{driven:,.3f}", shown]


def _notes(report: ReplayReport) -> list[Text]:
    notes = [
        Text(f"{drive.drive}: {_reasons(drive)}", style="yellow")
        for drive in report.drives
        if drive.reasons or drive.error
    ]
    refused = [(drive.drive, problem) for drive in report.drives for problem in drive.refused]
    notes += [Text(f"  {name} row {row.line}: {row.message}", style="dim") for name, row in refused[:MAX_REFUSED_ROWS]]
    if len(refused) > MAX_REFUSED_ROWS:
        notes.append(Text(f"  and {len(refused) - MAX_REFUSED_ROWS:,} more refused rows", style="dim"))
    left_out = sum(drive.left_out for drive in report.drives)
    if left_out:
        notes.append(Text(f"{left_out:,} altitudes that can't be were left out.", style="dim"))
    equal = report.accepted - report.stored
    if succeeded(report) and equal > 0:
        notes.append(Text(f"{equal:,} accepted rows equal another one and are one event with it."))
    if not report.complete:
        notes.append(Text("The server has not worked through everything: send again later, it adds nothing twice."))
    notes.append(Text(_sums(report), style="bold" if succeeded(report) else "bold red"))
    return notes


def _reasons(drive: DriveReport) -> str:
    reasons = [f"{reason} x{count:,}" for reason, count in drive.reasons.most_common()]
    return ", ".join(([f"error: {drive.error}"] if drive.error else []) + reasons)


def _sums(report: ReplayReport) -> str:
    return (
        f"{len(report.drives)} drives, {report.rows:,} rows: {report.accepted:,} accepted, {report.rejected:,} "
        f"rejected, {report.stored:,} stored, in {report.seconds:.1f} s"
    )


def as_json(report: ReplayReport) -> str:
    """Return the report for programs; miles are statute miles, ``difference_percent`` is null without own miles."""
    drives = [_drive_fields(drive) for drive in report.drives]
    reasons: Counter[str] = Counter()
    for drive in report.drives:
        reasons += drive.reasons
    totals = {
        "drives": len(drives),
        "rows": report.rows,
        "accepted": report.accepted,
        "rejected": report.rejected,
        "stored": report.stored,
        "trips": sum(drive.trips for drive in report.drives),
        "reasons": dict(reasons),
    }
    whole = {"succeeded": succeeded(report), "complete": report.complete, "seconds": round(report.seconds, 3)}
    return json.dumps(whole | {"totals": totals, "drives": drives}, indent=2) + "\n"


def _drive_fields(drive: DriveReport) -> dict[str, Any]:
    return asdict(drive) | {
        "reasons": dict(drive.reasons),
        "difference_percent": difference_percent(drive.own_miles, drive.trip_miles),
    }
