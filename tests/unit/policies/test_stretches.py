"""The arithmetic of a term: any order of changes ends in the same term, and every cent is on a line."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import permutations
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_insurance.kernel.money import to_cents
from auto_insurance.policies.earning import Term, earned, new_term
from auto_insurance.policies.stretches import (
    LineKind,
    Method,
    Money,
    Rate,
    ShortRate,
    Stretch,
    cancelled,
    check_table,
    endorsed,
    first,
    lines,
    money,
    segments,
    short_rate_table,
    steps,
)

TERM = new_term(date(2026, 1, 1), 12)
FACTORS = st.sampled_from([Decimal("0.83"), Decimal("0.97"), Decimal("1.11"), Decimal("1.35")])
Change = tuple[int, str, Decimal]


def rate(facts: dict[str, Decimal]) -> Rate:
    return Rate(
        annual_premium=to_cents(Decimal("1234.56") * prod(facts.values(), start=Decimal(1))),
        tax_rate=Decimal("0.0325"),
        fees=Decimal("20.00"),
    )


def begun(term: Term = TERM) -> tuple[Stretch, ...]:
    return first(term, "T0", {}, rate({}))


def endorse(chain: tuple[Stretch, ...], change: Change, number: int, term: Term = TERM) -> tuple[Stretch, ...]:
    offset, name, factor = change
    kept, wanted = steps(chain, term.starts_on + timedelta(days=offset), f"T{number}", {name: factor})
    return endorsed(chain, kept, [(step, rate(dict(step.facts))) for step in wanted], term)


@st.composite
def changes(draw: st.DrawFn) -> list[Change]:
    """Changes of different facts on different days."""
    days = draw(st.lists(st.integers(0, TERM.days - 1), min_size=1, max_size=4, unique=True))
    return [(day, f"fact{number}", draw(FACTORS)) for number, day in enumerate(days)]


@settings(max_examples=40)
@given(changes())
def test_the_order_of_booking_does_not_matter(wanted: list[Change]) -> None:
    found = set()
    for order in permutations(wanted):
        chain = begun()
        for change in order:
            chain = endorse(chain, change, wanted.index(change) + 1)
        found.add(tuple((one.from_on, one.to_on, one.transaction_id, one.rate.annual_premium) for one in chain))
    assert len(found) == 1


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 364), st.sampled_from("abc"), FACTORS), max_size=5))
def test_lines_add_up_to_the_difference_and_the_past_stays(wanted: list[Change]) -> None:
    chain = begun()
    for number, change in enumerate(wanted, 1):
        day = TERM.starts_on + timedelta(days=change[0])
        kept, _ = steps(chain, day, "", {})
        after = endorse(chain, change, number)
        told = lines(chain, after, kept, TERM)
        assert _sum([line.money for line in told]) == money(after, TERM).less(money(chain, TERM))
        assert [line.kind for line in told].count(LineKind.APPLY) == 1
        undone = [line.transaction_id for line in told if line.kind is LineKind.REVERSE]
        again = [line.transaction_id for line in told if line.kind is LineKind.REAPPLY]
        assert undone == again[::-1]
        assert earned(segments(after), TERM, day) == earned(segments(chain), TERM, day)
        chain = after


def _sum(parts: list[Money]) -> Money:
    return Money(*(sum((getattr(one, name) for one in parts), Decimal(0)) for name in ("written", "fees", "taxes")))


@settings(max_examples=60)
@given(changes(), st.integers(0, TERM.days), st.sampled_from(Method))
def test_a_cancellation_keeps_no_more_than_the_term_and_no_less_than_the_days(
    wanted: list[Change], offset: int, method: Method
) -> None:
    chain = begun()
    for number, change in enumerate(wanted, 1):
        chain = endorse(chain, change, number)
    on = TERM.starts_on + timedelta(days=offset)
    left = cancelled(chain, TERM, on, method)
    whole, kept = money(chain, TERM), money(left, TERM)
    assert kept.written <= whole.written
    assert kept.written == earned(segments(left), TERM, on), "nothing is left to be earned after the last day"
    if method is Method.FLAT:
        assert kept == Money()
        return
    by_days = earned(segments(chain), TERM, on)
    assert kept.written == by_days if method is Method.PRO_RATA else kept.written >= by_days
    assert kept.fees == whole.fees


def test_a_change_before_the_term_is_refused() -> None:
    with pytest.raises(ValueError, match="before the term"):
        steps(begun(), date(2025, 12, 31), "T1", {})


def test_the_shipped_short_rate_table() -> None:
    table = short_rate_table()
    assert table.source
    # https://en.wikipedia.org/wiki/Short_rate_table: some of its rows from day 55 on.
    for days, percent in [(55, 26), (92, 36), (129, 46), (166, 56), (203, 65), (240, 73), (277, 81), (314, 89)]:
        assert table.kept_share(days, 365) == Decimal(percent) / 100
    assert table.kept_share(0, 365) == 0
    assert table.kept_share(1, 365) == Decimal("0.05")
    assert table.kept_share(365, 365) == table.kept_share(366, 366) == table.kept_share(181, 181) == 1
    assert table.kept_share(366, 365) == 1, "longer than the year is all of it"


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (((10, Decimal(20)), (5, Decimal(30)), (365, Decimal(100))), "does not rise at day 5"),
        (((5, Decimal(20)), (10, Decimal(10)), (365, Decimal(100))), "does not rise at day 10"),
        (((5, Decimal(20)), (364, Decimal(100))), "does not end"),
        ((), "does not end"),
    ],
)
def test_a_wrong_table_is_refused(steps: tuple[tuple[int, Decimal], ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_table(ShortRate("", 365, steps))


def test_taxes_on_fees_are_kept_with_them() -> None:
    dear = Rate(annual_premium=Decimal(100), tax_rate=Decimal("0.10"), fees=Decimal(20), fee_taxes=Decimal("2.00"))
    whole = first(TERM, "T0", {}, dear)
    assert money(whole, TERM) == Money(Decimal(100), Decimal(20), Decimal("12.00"))
    left = cancelled(whole, TERM, TERM.starts_on, Method.PRO_RATA)
    assert money(left, TERM) == Money(Decimal(0), Decimal(20), Decimal("2.00"))
    assert money(left, TERM).total == Decimal("22.00")
