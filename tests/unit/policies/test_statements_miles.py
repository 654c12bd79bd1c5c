from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from auto_insurance.policies.postings import MileRate
from auto_insurance.policies.statements_miles import (
    correction,
    day_line,
    miles_of,
    month_lines,
    month_of,
    next_month,
    rate_on,
)

JANUARY = date(2026, 1, 1)
MILES = st.integers(0, 9_000).map(lambda tenths: Decimal(tenths) / 10)
RATES = st.builds(
    MileRate,
    st.just(JANUARY),
    st.integers(0, 200_000).map(lambda n: Decimal(n) / 1_000_000),
    st.one_of(st.none(), st.integers(1, 500).map(Decimal)),
)


@given(rate=RATES, known=st.lists(MILES, min_size=1, max_size=6))
def test_statement_and_corrections_are_what_the_day_costs(rate: MileRate, known: list[Decimal]) -> None:
    """However often more becomes known, all that was charged is what the last knowledge costs."""
    charged = day_line(JANUARY, known[0], [rate])
    for miles in known[1:]:
        now = day_line(JANUARY, miles, [rate])
        line = correction(charged, now, "late trip")
        if line is not None:
            charged = replace(charged, miles=line.miles_now, amount=charged.amount + line.amount)
        assert charged.amount == now.amount
        assert charged.miles == now.miles
        assert correction(charged, now, "again") is None


@given(rate=RATES, miles=MILES, more=MILES)
def test_more_miles_never_cost_less_and_the_cap_holds(rate: MileRate, miles: Decimal, more: Decimal) -> None:
    less, further = day_line(JANUARY, miles, [rate]), day_line(JANUARY, miles + more, [rate])
    assert Decimal(0) <= less.amount <= further.amount
    assert further.charged_miles <= further.miles
    if rate.daily_cap_miles is not None:
        assert further.charged_miles <= rate.daily_cap_miles
    assert less.amount == less.amount.quantize(Decimal("0.01"))


def test_a_month_has_its_own_days_with_miles() -> None:
    miles = {JANUARY + timedelta(days=n): Decimal(n % 2) for n in range(-3, 40)}
    lines = month_lines(JANUARY, miles, [MileRate(JANUARY, Decimal(1))], dict.fromkeys(miles, True))
    assert [line.on.day for line in lines] == list(range(2, 32, 2))


def test_without_cover_or_rate_nothing_is_charged() -> None:
    rate = MileRate(JANUARY, Decimal(1))
    for line in (day_line(JANUARY, Decimal(9), [rate], covered=False), day_line(JANUARY, Decimal(9), [])):
        assert (line.miles, line.charged_miles, line.amount) == (Decimal(9), Decimal(0), Decimal(0))
    assert rate_on([rate], JANUARY - timedelta(days=1)) is None


def test_months_follow_each_other() -> None:
    assert month_of(date(2028, 2, 29)) == date(2028, 2, 1)
    assert next_month(date(2026, 12, 31)) == date(2027, 1, 1)
    assert next_month(date(2026, 1, 31)) == date(2026, 2, 1)


def test_distances_are_rounded_once() -> None:
    assert miles_of([0.04, 0.04, 0.04]) == Decimal("0.1")
    assert miles_of([]) == 0
