from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.kernel.money import CENT
from auto_insurance.policies.earning import Segment, Term, add_months, by_segment, earned, new_term, written

days = st.dates(date(2023, 1, 1), date(2029, 12, 31))
amounts = st.decimals(0, 20_000, places=2, allow_nan=False)


@st.composite
def terms(draw: st.DrawFn) -> tuple[Term, tuple[Segment, ...]]:
    """A term cut at random days into segments, some of which are days without cover."""
    term = new_term(draw(days), draw(st.sampled_from([6, 12])))
    cuts = sorted(draw(st.sets(st.integers(1, term.days - 1), max_size=5)))
    edges = [term.starts_on + timedelta(days=n) for n in (0, *cuts, term.days)]
    segments = [
        Segment(start, end, draw(amounts), draw(st.sampled_from([Decimal(0), Decimal("12.34")])))
        for start, end in pairwise(edges)
        if draw(st.integers(0, 4))
    ]
    return term, tuple(segments)


@given(terms())
def test_segments_add_up_and_none_is_negative(case: tuple[Term, tuple[Segment, ...]]) -> None:
    term, segments = case
    shares = by_segment(segments, term)
    assert sum(shares, Decimal(0)) == written(segments, term)
    for share, segment in zip(shares, segments, strict=True):
        exact = segment.annual_premium * term.months * segment.days / (12 * term.days) + segment.flat
        assert share >= 0
        assert abs(share - exact) <= CENT
        assert share == share.quantize(CENT)


@given(terms(), st.integers(-10, 380))
def test_earned_grows_from_nothing_to_all(case: tuple[Term, tuple[Segment, ...]], offset: int) -> None:
    term, segments = case
    on = term.starts_on + timedelta(days=offset)
    now, next_day = earned(segments, term, on), earned(segments, term, on + timedelta(days=1))
    assert Decimal(0) <= now <= next_day <= written(segments, term)
    if on < term.starts_on:
        assert now == 0
    if not segments or on >= segments[-1].to_on:
        assert now == written(segments, term)


@given(terms(), st.integers(0, 366), amounts)
def test_what_was_earned_before_a_change_stays(
    case: tuple[Term, tuple[Segment, ...]], offset: int, annual: Decimal
) -> None:
    term, segments = case
    change = min(term.starts_on + timedelta(days=offset), term.ends_on)
    kept = [Segment(s.from_on, min(s.to_on, change), s.annual_premium, s.flat) for s in segments if s.from_on < change]
    after = (*kept, Segment(change, term.ends_on, annual))
    day = change - timedelta(days=1)
    assert earned(after, term, day) == earned(segments, term, day)
    assert written(kept, term) == earned(kept, term, change)


@given(days, st.sampled_from([6, 12]), amounts)
def test_one_segment_costs_the_share_of_the_year(start: date, months: int, annual: Decimal) -> None:
    term = new_term(start, months)
    whole = written([Segment(term.starts_on, term.ends_on, annual)], term)
    assert abs(whole - annual * months / 12) <= CENT / 2


@pytest.mark.parametrize(
    ("start", "months", "anchor", "end", "count"),
    [
        (date(2026, 1, 1), 12, None, date(2027, 1, 1), 365),
        (date(2024, 1, 1), 12, None, date(2025, 1, 1), 366),
        (date(2024, 2, 29), 12, None, date(2025, 2, 28), 365),
        (date(2023, 8, 31), 6, None, date(2024, 2, 29), 182),
        (date(2025, 8, 31), 6, None, date(2026, 2, 28), 181),
        (date(2026, 2, 28), 6, 31, date(2026, 8, 31), 184),
        (date(2026, 7, 1), 6, None, date(2027, 1, 1), 184),
    ],
)
def test_terms_end_on_the_same_day_of_the_month(
    start: date, months: int, anchor: int | None, end: date, count: int
) -> None:
    term = new_term(start, months, anchor)
    assert (term.ends_on, term.days) == (end, count)


def test_a_month_is_added_over_the_year() -> None:
    assert add_months(date(2026, 12, 31), 2) == date(2027, 2, 28)
    assert add_months(date(2026, 11, 30), 1) == date(2026, 12, 30)


def test_other_lengths_are_not_offered() -> None:
    with pytest.raises(ValueError, match="6 or 12 months, not 3"):
        new_term(date(2026, 1, 1), 3)


TERM = new_term(date(2026, 1, 1), 12)


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([Segment(date(2025, 12, 31), date(2026, 2, 1), CENT)], "not within the term"),
        ([Segment(date(2026, 2, 1), date(2026, 1, 1), CENT)], "not within the term"),
        ([Segment(date(2026, 2, 1), date(2027, 1, 2), CENT)], "not within the term"),
        ([Segment(date(2026, 2, 1), date(2026, 3, 1), -CENT)], "negative"),
        ([Segment(date(2026, 2, 1), date(2026, 3, 1), CENT, -CENT)], "negative"),
        ([Segment(date(2026, 2, 1), date(2026, 3, 1), CENT, Decimal("0.001"))], "whole cents"),
        (
            [Segment(date(2026, 2, 1), date(2026, 3, 2), CENT), Segment(date(2026, 3, 1), date(2026, 4, 1), CENT)],
            "overlap",
        ),
    ],
)
def test_segments_that_do_not_fit_are_refused(segments: list[Segment], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        written(segments, TERM)


def test_a_day_of_a_leap_year_is_cheaper() -> None:
    leap, usual = new_term(date(2024, 1, 1), 12), TERM
    day = timedelta(days=1)
    assert earned([Segment(leap.starts_on, leap.ends_on, Decimal(36600))], leap, leap.starts_on + day) == 100
    assert earned([Segment(usual.starts_on, usual.ends_on, Decimal(36500))], usual, usual.starts_on + day) == 100


def test_flat_amounts_are_earned_when_they_begin() -> None:
    kept = Segment(date(2026, 3, 1), date(2026, 3, 1), Decimal(0), Decimal("50.00"))
    assert earned([kept], TERM, date(2026, 2, 28)) == 0
    assert earned([kept], TERM, date(2026, 3, 1)) == Decimal("50.00")
