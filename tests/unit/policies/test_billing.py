from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.policies import billing
from auto_insurance.policies.billing import OpenInvoice
from auto_insurance.policies.billing_dunning import DunningDays, Stage, next_stage, table
from auto_insurance.policies.earning import new_term
from auto_insurance.policies.postings import InstalmentPlan

CENTS = st.integers(0, 500_000).map(lambda cents: Decimal(cents) / 100)


@given(amount=CENTS, parts=st.integers(1, 12))
def test_parts_are_the_whole_and_the_remainder_is_in_the_first(amount: Decimal, parts: int) -> None:
    found = billing.split(amount, parts)
    assert sum(found) == amount
    assert len(set(found[1:])) <= 1
    assert Decimal(0) <= found[0] - found[-1] < Decimal(parts) / 100


@given(billed=CENTS, invoiced=CENTS, to_come=st.integers(0, 12))
def test_what_is_billed_is_invoiced_whatever_happens(billed: Decimal, invoiced: Decimal, to_come: int) -> None:
    plan = billing.replan(billed, invoiced, to_come)
    assert len(plan.amounts) == to_come
    assert all(amount >= 0 for amount in plan.amounts)
    assert invoiced + sum(plan.amounts) + plan.extra == billed


@given(opened=st.lists(st.tuples(st.integers(0, 100), CENTS), max_size=8), amount=CENTS)
def test_money_pays_the_longest_due_first(opened: list[tuple[int, Decimal]], amount: Decimal) -> None:
    invoices = [
        OpenInvoice(date(2026, 1, 1) + timedelta(days=day), number, left) for number, (day, left) in enumerate(opened)
    ]
    shares, left = billing.allocate(invoices, amount)
    paid = dict(shares)
    assert sum(paid.values()) + left == amount
    still = [one for one in invoices if paid.get(one.number, Decimal(0)) < one.open_amount]
    assert left == 0 or not still
    for one in still:
        later = [other for other in invoices if (other.due_on, other.number) > (one.due_on, one.number)]
        assert not any(other.number in paid for other in later)


@pytest.mark.parametrize(
    ("months", "plan", "days"),
    [
        (12, InstalmentPlan.ANNUAL, [date(2026, 1, 31)]),
        (12, InstalmentPlan.HALF_YEARLY, [date(2026, 1, 31), date(2026, 7, 31)]),
        (6, InstalmentPlan.QUARTERLY, [date(2026, 1, 31), date(2026, 4, 30)]),
        (6, InstalmentPlan.HALF_YEARLY, [date(2026, 1, 31)]),
    ],
)
def test_due_dates(months: int, plan: InstalmentPlan, days: list[date]) -> None:
    assert billing.due_dates(new_term(date(2026, 1, 31), months), plan) == tuple(days)


def test_months_have_their_own_last_day() -> None:
    days = billing.due_dates(new_term(date(2026, 1, 31), 12), InstalmentPlan.MONTHLY)
    assert len(days) == 12
    assert days[:3] == (date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31))


def test_an_invoice_is_never_due_sooner_than_its_time_to_pay() -> None:
    assert billing.due_on(date(2026, 3, 1), date(2026, 2, 15), 14) == date(2026, 3, 1)
    assert billing.due_on(date(2026, 3, 1), date(2026, 3, 1), 14) == date(2026, 3, 15)
    assert billing.issue_on(date(2026, 3, 1), 14) == date(2026, 2, 15)


DAYS = DunningDays(reminder=7, final_notice=14, lapse=30)
DUE = date(2026, 3, 1)


def walk(due_on: date, days: range) -> list[tuple[int, Stage]]:
    stage, since, seen = Stage.ISSUED, due_on, []
    for number in days:
        today = due_on + timedelta(days=number)
        if (step := next_stage(stage, due_on, since, today, DAYS)) is not None:
            stage, since = step, today
            seen.append((number, step))
    return seen


def test_an_unpaid_invoice_goes_through_all_notices() -> None:
    assert walk(DUE, range(-10, 60)) == [(7, Stage.REMINDED), (14, Stage.FINAL_NOTICE), (30, Stage.LAPSED)]


def test_after_an_outage_nobody_is_hurried() -> None:
    """Days 0 to 39 were not worked on: the notices have their distances all the same."""
    assert walk(DUE, range(40, 90)) == [(40, Stage.REMINDED), (47, Stage.FINAL_NOTICE), (63, Stage.LAPSED)]


def test_the_table_ends() -> None:
    assert table(DAYS)[Stage.LAPSED] is None
    assert set(table(DAYS)) == set(Stage)


@pytest.mark.parametrize("wrong", [(0, 14, 30), (14, 14, 30), (7, 31, 30)])
def test_notices_have_an_order(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="first"):
        DunningDays(*wrong)
