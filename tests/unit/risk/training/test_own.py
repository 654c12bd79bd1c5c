from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_insurance.risk import insured
from auto_insurance.risk.exposure import ExposureCurve
from auto_insurance.risk.insured import DriverPeriod, Span, Term
from auto_insurance.risk.training import own
from auto_insurance.risk.training.own import Known
from auto_insurance.risk.training.spec import shipped_spec

FROM, TO = datetime(2025, 1, 10, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
instants = st.integers(-3_000, 14_000).map(lambda hours: FROM + hours * HOUR)
spans = st.tuples(instants, instants).map(lambda two: (min(two), max(two)))
terms = st.builds(
    lambda driver, cover: Term(driver, min(s for s, _ in cover), max(e for _, e in cover), cover),
    st.sampled_from("ABC"),
    st.lists(spans, min_size=1, max_size=4),
)


def length(found: tuple[Span, ...]) -> timedelta:
    return sum((end - start for start, end in found), timedelta(0))


def covered(cover: list[Span], hour: int) -> bool:
    at = FROM + hour * HOUR
    return any(start <= at < end for start, end in cover)


@given(st.lists(spans, max_size=6))
@settings(max_examples=50, deadline=None)
def test_merged_time_is_the_same_time_without_overlap(cover: list[Span]) -> None:
    found = insured.merge(cover)
    assert all(left[1] < right[0] for left, right in pairwise(found))
    for hour in range(-3_000, 14_000, 97):
        assert covered(cover, hour) == covered(list(found), hour)


@given(st.lists(terms, max_size=6))
@settings(max_examples=50, deadline=None)
def test_months_hold_each_insured_hour_of_a_driver_once(book: list[Term]) -> None:
    rows = insured.monthly(book, FROM, TO)
    assert [(row.driver_id, row.start) for row in rows] == sorted({(row.driver_id, row.start) for row in rows})
    assert all(FROM <= row.start <= s < e <= row.end <= TO for row in rows for s, e in row.insured)
    for driver in "ABC":
        cover = insured.merge([span for term in book if term.driver_id == driver for span in term.in_force])
        got = sum((length(row.insured) for row in rows if row.driver_id == driver), timedelta(0))
        assert got == length(insured.clip(cover, FROM, TO))


@given(st.lists(terms, max_size=6), st.lists(st.tuples(st.sampled_from("ABCD"), instants), max_size=20))
@settings(max_examples=50, deadline=None)
def test_every_claim_counts_once_or_is_named_as_left_out(book: list[Term], claims: list[tuple[str, datetime]]) -> None:
    rows = insured.monthly(book, FROM, TO)
    counts, outside = insured.count_claims(rows, claims)
    assert counts.sum() + outside == len(claims)


def test_months_are_calendar_months_cut_at_the_ends() -> None:
    found = list(insured.months(datetime(2025, 11, 10, tzinfo=UTC), datetime(2026, 2, 3, tzinfo=UTC)))
    assert [(start.month, start.day, (end - start).days) for start, end in found] == [
        (11, 10, 21), (12, 1, 31), (1, 1, 31), (2, 1, 2),
    ]  # fmt: skip


def test_a_term_is_a_row_without_the_time_after_a_cancellation() -> None:
    start, cancelled = datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 5, 1, tzinfo=UTC)
    term = Term("A", start, datetime(2026, 3, 1, tzinfo=UTC), [(start, cancelled)])
    never = Term("B", start, cancelled, [])
    (row,) = insured.by_term([never, term], FROM, TO)
    assert (row.start, row.end, row.insured) == (start, datetime(2026, 3, 1, tzinfo=UTC), ((start, cancelled),))
    assert row.years == pytest.approx(61 / 365.25)


def test_the_frame_has_what_training_reads() -> None:
    row = DriverPeriod("DRV1", FROM, FROM + timedelta(days=365.25), ((FROM, FROM + timedelta(days=365.25)),))
    features = {feature.name: np.array([np.nan]) for feature in shipped_spec("driving").features}
    known = Known({**features, "night_share": np.array([0.25])}, np.array([12_000.0]), np.array([1.0]), [40], [None])
    frame = own.frame_of([row], known, ExposureCurve(0.7, 12_000.0))
    assert frame["exposure_years"].to_list() == [1.0]
    assert frame["exposure_million_miles"].to_list() == pytest.approx([0.012])
    assert frame["period_end"].to_list() == [date(2026, 1, 10)]
    assert (frame["night_share"].to_list(), frame["phone_s_per_hour"].to_list()) == ([0.25], [None])
    spec = own.spec_for(frame)
    assert (spec.period_end, spec.segments) == ("period_end", ("age", "region"))
    assert own.spec_for(frame.drop("period_end", "age")).segments == ("region",)
