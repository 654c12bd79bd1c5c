"""The money of a claim: a history that only grows and always adds up."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.claims import amounts
from auto_insurance.claims.amounts import AmountRefusal, Balances, Entry, Kind, Refused
from auto_insurance.claims.lifecycle import Status

D = Decimal
CENTS = st.integers(-100_000, 200_000).map(lambda cents: D(cents) / 100)
STEPS = st.lists(st.tuples(st.sampled_from(Status), st.sampled_from(Kind), CENTS), max_size=30)


@given(STEPS, st.none() | st.integers(0, 1500).map(D))
def test_balances_are_the_sums_of_the_changes_and_never_impossible(
    steps: list[tuple[Status, Kind, Decimal]], limit: Decimal | None
) -> None:
    entries: list[Entry] = []
    now = Balances()
    for status, kind, amount in steps:
        try:
            new = amounts.book(now, status, kind, amount, limit)
        except Refused:
            continue
        entries += new
        now = amounts.balances(entries)
        assert now.reserve >= 0
        assert now.paid >= now.recovered >= 0
        assert limit is None or now.paid <= limit
        if kind is Kind.PAYMENT and amount > 0:
            assert any(entry.kind is Kind.PAYMENT for entry in new)
    for kind, balance in ((Kind.RESERVE, now.reserve), (Kind.PAYMENT, now.paid), (Kind.RECOVERY, now.recovered)):
        assert sum((entry.change for entry in entries if entry.kind is kind), D(0)) == balance
    assert now.incurred == now.paid + now.reserve - now.recovered
    assert amounts.balances([*entries, *amounts.release(now)]).reserve == 0


def test_a_claim_by_hand() -> None:
    """Reserve 5000, pay 1200 and 4000, recover 700: incurred 5000, 5000, 5200, 4500."""
    now, seen = Balances(), []
    for status, kind, amount in (
        (Status.REPORTED, Kind.RESERVE, "5000"),
        (Status.APPROVED, Kind.PAYMENT, "1200"),
        (Status.APPROVED, Kind.PAYMENT, "4000"),
        (Status.PAID, Kind.RECOVERY, "700"),
    ):
        for entry in amounts.book(now, status, kind, D(amount)):
            now = now.after(entry)
        seen.append((now.reserve, now.paid, now.recovered, now.incurred))
    assert seen == [
        (D("5000.00"), 0, 0, D("5000.00")),
        (D("3800.00"), D("1200.00"), 0, D("5000.00")),
        (D("0.00"), D("5200.00"), 0, D("5200.00")),
        (D("0.00"), D("5200.00"), D("700.00"), D("4500.00")),
    ]


def test_a_negative_payment_corrects_an_earlier_one() -> None:
    now = Balances(paid=D("100.00"))
    [entry] = amounts.book(now, Status.PAID, Kind.PAYMENT, D("-40"))
    assert entry == Entry(Kind.PAYMENT, D("-40.00"), D("60.00"))


@pytest.mark.parametrize(
    ("now", "status", "kind", "amount", "why"),
    [
        (Balances(), Status.DRAFT, Kind.RESERVE, "1", AmountRefusal.STATUS),
        (Balances(), Status.CLOSED, Kind.RESERVE, "1", AmountRefusal.STATUS),
        (Balances(), Status.OPEN, Kind.PAYMENT, "1", AmountRefusal.STATUS),
        (Balances(), Status.OPEN, Kind.RESERVE, "-1", AmountRefusal.NEGATIVE_RESERVE),
        (Balances(), Status.APPROVED, Kind.PAYMENT, "0.001", AmountRefusal.ZERO),
        (Balances(), Status.APPROVED, Kind.PAYMENT, "-1", AmountRefusal.BELOW_ZERO),
        (Balances(paid=D(5)), Status.PAID, Kind.RECOVERY, "6", AmountRefusal.MORE_THAN_PAID),
        (Balances(paid=D(5)), Status.PAID, Kind.RECOVERY, "-1", AmountRefusal.BELOW_ZERO),
        (Balances(paid=D(5), recovered=D(4)), Status.PAID, Kind.PAYMENT, "-2", AmountRefusal.BELOW_ZERO),
        (Balances(), Status.APPROVED, Kind.PAYMENT, "100.01", AmountRefusal.OVER_LIMIT),
    ],
)
def test_what_is_refused(now: Balances, status: Status, kind: Kind, amount: str, why: AmountRefusal) -> None:
    with pytest.raises(Refused) as refused:
        amounts.book(now, status, kind, D(amount), D(100))
    assert refused.value.why is why


def test_the_same_reserve_again_is_nothing_new() -> None:
    assert amounts.book(Balances(reserve=D("10.00")), Status.OPEN, Kind.RESERVE, D(10)) == []
