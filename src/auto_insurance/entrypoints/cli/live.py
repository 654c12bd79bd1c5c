"""The demo's table in the terminal: a simulated fleet whose trips, scores and premiums appear while it drives."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

PLAIN_INTERVAL_S = 10.0
WIDE = 116
"""Columns of a terminal that shows the whole table; a narrower one leaves out what matters least."""
_LEAST = frozenset({"Style", "Confidence"})
_SCORE_STYLES = ((20.0, "green"), (40.0, "cyan"), (60.0, "yellow"), (80.0, "dark_orange"), (100.0, "red"))
_UNKNOWN = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverRow:
    """One driver. ``score`` is the risk score (100 = riskiest), premiums are per month; None is not known yet."""

    driver: str
    style: str
    status: str
    trips: int = 0
    miles: float = 0.0
    score: float | None = None
    confidence: float | None = None
    premium_indicated: Decimal | None = None
    premium_charged: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """The header's figures; lag in records not processed yet, ``end_to_end_s`` from upload to stored."""

    events_stored: int = 0
    events_per_second: float = 0.0
    lag: int | None = None
    end_to_end_s: float | None = None


def render(
    rows: Sequence[DriverRow], counters: Counters, *, title: str = "", max_rows: int = 40, width: int = 120
) -> RenderableType:
    """Return the table with its header, for a terminal of ``width`` columns.

    At most ``max_rows`` drivers are shown, the rest is counted below.
    """
    table = Table(
        title="simulated fleet",
        title_justify="left",
        title_style="bold magenta",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    wide = width >= WIDE
    cells = [_cells(row, wide=wide) for row in rows[:max_rows]]
    for name, right in _COLUMNS.items():
        if wide or name not in _LEAST:
            table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for cell in cells:
        table.add_row(*(value for name, value in cell.items() if wide or name not in _LEAST))
    parts: list[RenderableType] = [Text(title, style="bold")] if title else []
    parts += [Text(summary(counters)), table]
    if len(rows) > max_rows:
        parts.append(Text(f"and {len(rows) - max_rows} more drivers (simulated)", style="dim"))
    return Group(*parts)


_COLUMNS = {
    "Driver": False,
    "Style": False,
    "Status": False,
    "Trips": True,
    "Miles": True,
    "Risk": True,
    "Confidence": True,
    "Indicated": True,
    "Charged": True,
}
"""The columns in their order, and whether they are flush right."""


def _cells(row: DriverRow, *, wide: bool) -> dict[str, Text]:
    return {
        "Driver": Text(row.driver),
        "Style": Text(row.style),
        "Status": Text(row.status if wide else row.status.partition(",")[0]),
        "Trips": Text(f"{row.trips:,}"),
        "Miles": Text(f"{row.miles:,.1f}"),
        "Risk": _score(row.score),
        "Confidence": Text(_percent(row.confidence)),
        "Indicated": Text(_money(row.premium_indicated)),
        "Charged": Text(_money(row.premium_charged)),
    }


def summary(counters: Counters) -> str:
    """Return the header as one plain line."""
    lag = _UNKNOWN if counters.lag is None else f"{counters.lag:,} records"
    delay = _UNKNOWN if counters.end_to_end_s is None else f"{counters.end_to_end_s:.2f} s"
    return (
        f"simulated | {counters.events_stored:,} events stored | {counters.events_per_second:,.0f}/s | "
        f"lag {lag} | delay {delay}"
    )


class Board:
    """Shows the latest rows: a live table on a terminal, else a plain line now and then. A context manager."""

    def __init__(
        self, console: Console, *, tui: bool, title: str = "", plain_interval_s: float = PLAIN_INTERVAL_S
    ) -> None:
        self._console = console
        self._title = title
        self._interval_s = plain_interval_s
        self._printed_at = float("-inf")
        self._live = Live(console=console, refresh_per_second=4, transient=False) if tui else None

    def __enter__(self) -> Board:
        if self._live is not None:
            self._live.update(Text("The simulated fleet gets ready ...", style="magenta"))
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, rows: Sequence[DriverRow], counters: Counters) -> None:
        """Show new figures."""
        if self._live is not None:
            # Header, title and frame take some lines; a table taller than the screen would flicker.
            room = max(3, self._console.height - 8)
            self._live.update(render(rows, counters, title=self._title, max_rows=room, width=self._console.width))
            return
        now = time.monotonic()
        if now - self._printed_at >= self._interval_s:
            self._printed_at = now
            trips, miles = sum(row.trips for row in rows), sum(row.miles for row in rows)
            scored = sum(1 for row in rows if row.score is not None)
            line = f"{summary(counters)} | {len(rows)} drivers, {scored} scored | {trips:,} trips, {miles:,.0f} miles"
            self._console.print(Text(line))


def _score(score: float | None) -> Text:
    if score is None:
        return Text(_UNKNOWN, style="dim")
    style = next((style for bound, style in _SCORE_STYLES if score <= bound), "red")
    return Text(f"{score:.1f}", style=style)


def _percent(share: float | None) -> str:
    return _UNKNOWN if share is None else f"{share:.0%}"


def _money(amount: Decimal | None) -> str:
    return _UNKNOWN if amount is None else f"${amount:,.2f}"
