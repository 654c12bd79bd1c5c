"""Examples calculated by hand, as tables that a person can check: the files ``*.toml`` here."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from auto_insurance.policies import billing, postings
from auto_insurance.policies.billing import OpenInvoice
from auto_insurance.policies.earning import Segment, earned, new_term, written
from auto_insurance.policies.postings import Account, Booking, MileRate, Position
from auto_insurance.policies.statements_miles import correction, day_line, miles_of

FOLDER = Path(__file__).parent
CASES = [case for file in sorted(FOLDER.glob("*.toml")) for case in tomllib.loads(file.read_text())["case"]]
DAY = date(2026, 1, 3)
Case = Mapping[str, Any]


def split(case: Case) -> None:
    found = billing.split(Decimal(case["amount"]), case["parts"])
    assert [str(part) for part in found] == case["result"]


def replan(case: Case) -> None:
    found = billing.replan(Decimal(case["billed"]), Decimal(case["invoiced"]), case["to_come"])
    assert [str(part) for part in found.amounts] == case["result"]
    assert found.extra == Decimal(case["extra"])


def allocate(case: Case) -> None:
    invoices = [OpenInvoice(DAY + timedelta(days=n), n, Decimal(left)) for n, left in enumerate(case["open"])]
    shares, left = billing.allocate(invoices, Decimal(case["amount"]))
    paid = dict(shares)
    assert [str(one.open_amount - paid.get(one.number, Decimal(0))) for one in invoices] == case["result"]
    assert left == Decimal(case["left"])


def change(case: Case) -> None:
    term = new_term(case["starts_on"], case["months"])
    before, after = ([_segment(*part) for part in case[name]] for name in ("before", "after"))
    position = Position(term=term, segments=tuple(before), written=written(before, term), earned_to=term.starts_on)
    if case["earned_to"] > term.starts_on:
        _, position = postings.earn(position, case["earned_to"])
    assert position.earned == Decimal(case["earned_before"])
    delta = written(after, term) - position.written
    booking = Booking(
        policy_id="P", term=1, transaction_id="t", kind="endorsed", booked_on=case["earned_to"],
        effective_on=after[-1].from_on, term_start=term.starts_on, term_end=term.ends_on, written=delta,
        fees=Decimal(0), taxes=Decimal(0), segments=tuple(after), currency="USD", reason="",
    )  # fmt: skip
    lines, moved = postings.book(position, booking)
    sums = postings.balances(lines)
    assert sums[Account.RECEIVABLE] == Decimal(case["written"])
    assert -sums[Account.EARNED] == Decimal(case["earned"])
    assert moved.earned == earned(after, term, case["earned_to"])
    if "paid" in case:
        assert Decimal(case["paid"]) - moved.written == Decimal(case["refund"])


def day(case: Case) -> None:
    line = day_line(DAY, miles_of(case["trips"]), [_rate(case)])
    assert (str(line.charged_miles), str(line.amount)) == (case["charged"], case["amount"])


def correct(case: Case) -> None:
    before, now = (day_line(DAY, miles_of([case[name]]), [_rate(case)]) for name in ("before", "now"))
    line = correction(before, now, "late trip")
    assert line is not None
    assert str(line.amount) == case["amount"]


def _rate(case: Case) -> MileRate:
    return MileRate(date(2026, 1, 1), Decimal(case["rate"]), Decimal(case["cap"]) if "cap" in case else None)


def _segment(from_on: date, to_on: date, annual: str, flat: str = "0") -> Segment:
    return Segment(from_on, to_on, Decimal(annual), Decimal(flat))


HOW: Mapping[str, Callable[[Case], None]] = {
    "split": split,
    "replan": replan,
    "allocate": allocate,
    "change": change,
    "day": day,
    "correct": correct,
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_by_hand(case: Case) -> None:
    HOW[case["do"]](case)


def test_every_kind_has_an_example() -> None:
    assert {case["do"] for case in CASES} == set(HOW)
    assert len(CASES) >= 18
