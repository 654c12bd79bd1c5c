"""What became of replayed drives, as a table."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from auto_insurance.devicekit.replay import DriveReport, ReplayReport

MAX_REFUSED_ROWS = 20


def render(report: ReplayReport) -> RenderableType:
    """Return one line per drive (its trips' miles beside its own), the sums, and the reasons of what was refused."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("Drive", no_wrap=True)
    for name in ("Rows", "Accepted", "Rejected", "Stored", "Trips", "Trip miles", "Own miles"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Reasons")
    for drive in report.drives:
        counts = (drive.rows, drive.accepted, drive.rejected, drive.stored, drive.trips)
        miles = (f"{drive.trip_miles:.3f}", f"{drive.own_miles:.3f}")
        table.add_row(Text(drive.drive), *(f"{count:,}" for count in counts), *miles, Text(_reasons(drive)))
    parts: list[RenderableType] = [table, Text(_sums(report), style="bold")]
    refused = [(drive.drive, problem) for drive in report.drives for problem in drive.refused]
    parts += [Text(f"  {name}: {problem}", style="yellow") for name, problem in refused[:MAX_REFUSED_ROWS]]
    if len(refused) > MAX_REFUSED_ROWS:
        parts.append(Text(f"  and {len(refused) - MAX_REFUSED_ROWS:,} more refused rows", style="yellow"))
    if not report.complete:
        parts.append(Text("The server has not worked through everything yet; ask again later.", style="yellow"))
    return Group(*parts)


def _reasons(drive: DriveReport) -> str:
    reasons = [f"{reason} x{count:,}" for reason, count in drive.reasons.most_common()]
    return ", ".join(([f"error: {drive.error}"] if drive.error else []) + reasons)


def _sums(report: ReplayReport) -> str:
    return (
        f"{len(report.drives)} drives, {report.rows:,} rows: {report.accepted:,} accepted, {report.rejected:,} "
        f"rejected, {report.stored:,} stored, in {report.seconds:.1f} s"
    )
