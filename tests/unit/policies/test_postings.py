from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_insurance.policies import postings
from auto_insurance.policies.earning import Segment, Term, earned, new_term, written
from auto_insurance.policies.postings import (
    ZERO,
    Account,
    Booking,
    Position,
    Posting,
    Side,
    Unbalanced,
    balances,
    term_of,
)

START = date(2026, 1, 31)
CENTS = st.integers(0, 400_000).map(lambda cents: Decimal(cents) / 100)


@st.composite
def patterns(draw: st.DrawFn, term: Term) -> tuple[Segment, ...]:
    """Any earning pattern of a term: segments in order, with gaps, flat amounts and an early end."""
    cuts = sorted(draw(st.lists(st.integers(0, term.days), min_size=2, max_size=6)))
    days = [term.starts_on + timedelta(days=cut) for cut in cuts]
    return tuple(
        Segment(start, end, draw(CENTS), draw(st.sampled_from([ZERO, ZERO, Decimal("25.00")])))
        for start, end in zip(days[::2], days[1::2], strict=False)
    )


def booking(term: Term, segments: tuple[Segment, ...], before: Decimal, on: date, number: int = 1) -> Booking:
    return Booking(
        policy_id="POL-1",
        term=1,
        transaction_id=f"t{number}",
        kind="endorsed",
        booked_on=on,
        effective_on=on,
        term_start=term.starts_on,
        term_end=term.ends_on,
        written=written(segments, term) - before,
        fees=Decimal("3.00"),
        taxes=Decimal("-1.25"),
        segments=segments,
        currency="USD",
        reason="test",
    )


@settings(max_examples=60, deadline=None)
@given(data=st.data(), months=st.sampled_from([6, 12]))
def test_the_ledger_is_the_earned_premium_on_any_day(data: st.DataObject, months: int) -> None:
    """Whatever patterns follow each other, in any order of effect, bookings and days alternate as they like."""
    term = new_term(START, months)
    day = START - timedelta(days=5)
    position = Position(term=term, earned_to=day)
    journal: list[Posting] = []
    for number in range(data.draw(st.integers(1, 5))):
        day += timedelta(days=data.draw(st.integers(0, 120)))
        lines, position = postings.earn(position, day)
        journal += lines
        segments = data.draw(patterns(term))
        lines, position = postings.book(position, booking(term, segments, position.written, day, number))
        if lines:
            postings.check(lines)
        journal += lines
        for on in sorted(data.draw(st.lists(st.integers(0, 60), max_size=3))):
            day = max(day, day + timedelta(days=on))
            lines, position = postings.earn(position, day)
            if lines:
                postings.check(lines)
            journal += lines
            sums = balances(journal)
            assert -sums[Account.EARNED] == earned(segments, term, day)
            assert -sums[Account.UNEARNED] == written(segments, term) - earned(segments, term, day)
        sums = balances(journal)
        assert -sums[Account.EARNED] == earned(segments, term, position.earned_to) == position.earned
        assert -(sums[Account.EARNED] + sums[Account.UNEARNED]) == position.written
        assert sum(sums.values()) == 0
    lines, position = postings.earn(position, term.ends_on)
    assert -balances([*journal, *lines])[Account.UNEARNED] == 0


@settings(max_examples=30, deadline=None)
@given(days=st.lists(st.integers(-10, 400), max_size=10))
def test_days_are_earned_once_in_whatever_steps(days: list[int]) -> None:
    term = new_term(START, 12)
    segments = (Segment(term.starts_on, term.ends_on, Decimal("1234.57")),)
    position = Position(term=term, segments=segments, written=Decimal("1234.57"), earned_to=START)
    journal: list[Posting] = []
    for number in days:
        lines, position = postings.earn(position, START + timedelta(days=number))
        journal += lines
    last = max([START, *(START + timedelta(days=number) for number in days)])
    assert -balances(journal)[Account.EARNED] == earned(segments, term, last)


def test_an_endorsement_in_the_past_is_corrected_in_its_own_entry() -> None:
    term = new_term(date(2026, 1, 1), 12)
    before = (Segment(term.starts_on, term.ends_on, Decimal("365.00")),)
    position = Position(term=term, segments=before, written=Decimal("365.00"), earned_to=term.starts_on)
    _, position = postings.earn(position, date(2026, 4, 11))
    assert position.earned == Decimal("100.00")
    after = (
        Segment(term.starts_on, date(2026, 3, 2), Decimal("365.00")),
        Segment(date(2026, 3, 2), term.ends_on, Decimal("730.00")),
    )
    lines, position = postings.book(position, booking(term, after, Decimal("365.00"), date(2026, 4, 11)))
    assert position.earned == Decimal("140.00"), "40 days since 2 March cost a dollar more each"
    assert balances(lines)[Account.EARNED] == Decimal("-40.00")
    assert balances(lines)[Account.RECEIVABLE] == Decimal("305.00") + Decimal("3.00") - Decimal("1.25")


def test_what_contradicts_the_segments_is_refused() -> None:
    term = new_term(START, 6)
    position = Position(term=term, earned_to=START)
    wrong = booking(term, (Segment(term.starts_on, term.ends_on, Decimal(100)),), Decimal(1), START)
    with pytest.raises(ValueError, match="the segments make"):
        postings.book(position, wrong)


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        ([], "two postings"),
        ([Posting(Account.CASH, Side.DEBIT, Decimal(1))], "two postings"),
        ([Posting(Account.CASH, Side.DEBIT, Decimal(1)), Posting(Account.FEES, Side.CREDIT, Decimal(2))], "differ"),
        ([Posting(Account.CASH, Side.DEBIT, Decimal("0.001"))] * 2, "whole cents"),
        ([Posting(Account.CASH, Side.DEBIT, Decimal(-1))] * 2, "positive"),
    ],
)
def test_what_is_no_entry(lines: list[Posting], match: str) -> None:
    with pytest.raises(Unbalanced, match=match):
        postings.check(lines)


def test_money_moves_between_its_accounts() -> None:
    one = Decimal(1)
    for lines, debit, credit in (
        (postings.payment(one), Account.CASH, Account.RECEIVABLE),
        (postings.payment(-one), Account.RECEIVABLE, Account.CASH),
        (postings.credit(one), Account.CREDITS, Account.RECEIVABLE),
        (postings.write_off(one), Account.WRITE_OFFS, Account.RECEIVABLE),
        (postings.fee(one), Account.RECEIVABLE, Account.FEES),
        (postings.usage(one), Account.RECEIVABLE, Account.EARNED),
        (postings.usage(-one), Account.EARNED, Account.RECEIVABLE),
    ):
        postings.check(lines)
        assert [(line.account, line.side) for line in lines] == [(debit, Side.DEBIT), (credit, Side.CREDIT)]
    assert postings.payment(ZERO) == ()


@pytest.mark.parametrize("months", [6, 12])
@pytest.mark.parametrize("start", [date(2026, 1, 31), date(2027, 8, 31), date(2028, 2, 29)])
def test_the_length_of_a_term_is_known_by_its_days(start: date, months: int) -> None:
    term = new_term(start, months)
    assert term_of(term.starts_on, term.ends_on) == term
