"""The demo's table: figures as people read them, and the word "simulated" in every form."""

from __future__ import annotations

import io
from decimal import Decimal

from rich.console import Console

from auto_insurance.entrypoints.cli.live import Board, Counters, DriverRow, render

ROWS = [
    DriverRow(
        driver="DRV001",
        style="hurried commuter",
        status="driving",
        trips=3,
        miles=1234.56,
        score=71.25,
        confidence=0.42,
        premium_indicated=Decimal("131.90"),
        premium_charged=Decimal("120.00"),
    ),
    DriverRow(driver="DRV002", style="calm", status="parked"),
]
COUNTERS = Counters(events_stored=12345, events_per_second=321.4, lag=7, end_to_end_s=0.25)


def text_of(*, tui: bool, rows: list[DriverRow] | None = None, height: int = 40) -> str:
    out = io.StringIO()
    console = Console(file=out, width=140, height=height, force_terminal=tui, no_color=True)
    with Board(console, tui=tui, title="http://127.0.0.1:8000", plain_interval_s=60) as board:
        board.update(ROWS if rows is None else rows, COUNTERS)
        board.update(ROWS if rows is None else rows, COUNTERS)
    return out.getvalue()


def test_table_shows_figures_and_what_is_unknown() -> None:
    text = text_of(tui=True)
    for part in ("simulated fleet", "DRV001", "hurried commuter", "1,234.6", "71.2", "42%", "$131.90", "$120.00"):
        assert part in text
    assert "12,345 events stored | 321/s | lag 7 records | delay 0.25 s" in text
    assert "http://127.0.0.1:8000" in text
    unknown = next(line for line in text.splitlines() if "DRV002" in line)
    assert unknown.count("-") == 4


def test_without_a_terminal_a_plain_line_now_and_then() -> None:
    lines = text_of(tui=False).splitlines()
    assert len(lines) == 1, "the second update comes too soon"
    assert lines[0].startswith("simulated | 12,345 events stored")
    assert lines[0].endswith("2 drivers, 1 scored | 3 trips, 1,235 miles")


def test_a_large_fleet_fits_the_screen() -> None:
    rows = [DriverRow(driver=f"DRV{n:03d}", style="calm", status="parked") for n in range(100)]
    text = text_of(tui=True, rows=rows, height=20)
    assert "and 88 more drivers (simulated)" in text
    assert "DRV099" not in text


def test_unknown_counters_and_a_score_past_the_scale() -> None:
    out = io.StringIO()
    row = DriverRow(driver="D", style="s", status="x", score=101.0)
    Console(file=out, width=140).print(render([row], Counters()))
    assert "lag - | delay -" in out.getvalue()
    assert "101.0" in out.getvalue()


def test_what_matters_most_fits_80_columns() -> None:
    out = io.StringIO()
    row = DriverRow(
        driver="DRV003 Carla Castillo",
        style="night_shift",
        status="driving, Mon 08:12",
        trips=1234,
        miles=12345.6,
        score=100.0,
        confidence=0.5,
        premium_indicated=Decimal("1234.56"),
        premium_charged=Decimal("1234.56"),
    )
    counters = Counters(events_stored=123_456, events_per_second=1234, lag=1234, end_to_end_s=0.25)
    Console(file=out, width=80).print(render([row], counters, title="http://127.0.0.1:8000", width=80))
    text = out.getvalue()
    for part in ("DRV003 Carla Castillo", "driving", "1,234", "12,345.6", "100.0", "$1,234.56", "simulated"):
        assert part in text
    assert "night_shift" not in text
    assert "\u2026" not in text, "nothing is cut off"
    assert all(len(line) <= 80 for line in text.splitlines())
