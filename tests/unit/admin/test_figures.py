"""Shares add up, cursors come back, files are harmless."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.admin.book import events_of
from auto_insurance.admin.errors import BadWindow
from auto_insurance.admin.figures import cursor_of, days_up_to, percentages, place_of, start_of
from auto_insurance.admin.queries_resources import id_range
from auto_insurance.admin.sheets import cell, lines
from auto_insurance.kernel import clock

COUNTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=12)


@given(COUNTS)
def test_percentages_add_up_to_exactly_100_and_are_near_the_truth(counts: list[int]) -> None:
    shares = percentages(counts)
    if not sum(counts):
        assert shares == [0] * len(counts)
        return
    assert sum(shares) == 100
    assert all(abs(share - count * 100 / sum(counts)) < 1 for share, count in zip(shares, counts, strict=True))
    assert all(share == 0 for share, count in zip(shares, counts, strict=True) if count == 0)


@given(st.integers(0, 2**52), st.text(), st.text())
def test_a_cursor_comes_back(us: int, device_id: str, event_id: str) -> None:
    place = (clock.from_us(us), device_id.replace("\x00", ""), event_id.replace("\x00", ""))
    assert place_of(cursor_of(place)) == place


@pytest.mark.parametrize("given_", ["", "x", "!!!!", "WzEsMl0", "bnVsbA", "W3RydWUsImEiLCJiIl0", "é"])
def test_what_is_no_cursor_is_none(given_: str) -> None:
    assert place_of(given_) is None


VALUES = st.one_of(st.none(), st.text(), st.integers(), st.booleans(), st.floats(allow_nan=False))


@given(st.lists(st.tuples(VALUES, VALUES), max_size=5))
def test_a_file_reads_back_and_no_text_begins_a_formula(rows: list[tuple[Any, Any]]) -> None:
    written = lines(["a", "b"], ({"a": a, "b": b} for a, b in rows), header=True)
    assert written.startswith("a,b\r\n")
    read = list(csv.reader(io.StringIO(written, newline="")))
    assert read[1:] == [[cell(a), cell(b)] for a, b in rows]
    for row, (a, b) in zip(read[1:], rows, strict=True):
        for shown, value in zip(row, (a, b), strict=True):
            if isinstance(value, str):
                assert not shown.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
                assert shown in {value, f"'{value}"}


def test_numbers_keep_their_sign_and_quotes_are_doubled() -> None:
    row = {"a": -1.5, "b": '=HYPERLINK("x"),y', "c": None, "d": True}
    assert lines(list(row), [row], header=False) == '-1.5,"\'=HYPERLINK(""x""),y",,true\r\n'


def test_days_end_with_the_last_and_begin_where_the_zone_says() -> None:
    assert days_up_to(date(2026, 3, 1), 3) == [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1)]
    assert start_of(date(2026, 6, 15), "America/Chicago") == datetime(2026, 6, 15, 5, tzinfo=UTC)


def test_the_beginning_of_an_id_is_a_range_of_ids() -> None:
    first, last = id_range("0A1B2C3D-4") or (None, None)
    assert str(first) == "0a1b2c3d-4000-0000-0000-000000000000"
    assert str(last) == "0a1b2c3d-4fff-ffff-ffff-ffffffffffff"
    assert [id_range(text) for text in ("0a1b2c3", "xyzxyzxyz", "", "0" * 33)] == [None] * 4


def test_a_period_of_events_is_bounded() -> None:
    now = datetime(2026, 6, 15, tzinfo=UTC)
    assert (events_of(None, now).until - events_of(None, now).since).days == 1
    month_ago = datetime(2026, 5, 16, tzinfo=UTC)
    assert events_of(month_ago, now, driver_id="DRV001").since == month_ago
    for since, until in ((month_ago, now), (now, now), (now, month_ago)):
        with pytest.raises(BadWindow):
            events_of(since, until)
