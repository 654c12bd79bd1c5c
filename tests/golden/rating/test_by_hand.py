"""The examples of the tables beside this file are what the plans charge, to the cent."""

from __future__ import annotations

import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from auto_insurance.policies.postings import MileRate
from auto_insurance.policies.statements_miles import day_line
from auto_insurance.pricing.plan import load_plan
from auto_insurance.pricing.rating import Rating, RatingInputs, rate, replay_all
from auto_insurance.pricing.rating_book import rate_book
from auto_insurance.pricing.rating_columns import of_inputs

DAY = date(2026, 6, 1)


def _examples() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for file in sorted(Path(__file__).parent.glob("*.toml")):
        table = tomllib.loads(file.read_text())
        found += [{**example, "usual": table["usual"]} for example in table["example"]]
    return found


def _inputs(example: dict[str, Any]) -> RatingInputs:
    facts = {"rating_date": DAY, **example["usual"], **dict.fromkeys(example.get("unknown", ())), **example["inputs"]}
    return msgspec.convert({**facts, "telematics": example.get("telematics", {})}, RatingInputs)


@pytest.mark.parametrize("example", _examples(), ids=lambda example: example["name"])
def test_by_hand(example: dict[str, Any]) -> None:
    plan, inputs = load_plan(example["plan"]), _inputs(example)
    rating = rate(plan, inputs)
    assert _found(rating) == {key: Decimal(value) for key, value in example["expect"].items()}
    factors = {line.code: line.factor for line in rating.worksheet if line.operation == "multiply" and line.factor != 1}
    assert factors == {code: Decimal(factor) for code, factor in example["factors"].items()}
    replayed = replay_all(rating.worksheet)
    assert (replayed.annual_premium, replayed.monthly_premium) == (rating.annual_premium, rating.monthly_premium)
    assert (replayed.fees, replayed.taxes) == (rating.fees, rating.taxes)
    book = rate_book(plan, of_inputs([inputs]))
    assert Decimal(int(book.annual[0])).scaleb(-2) == rating.annual_premium


@pytest.mark.parametrize(
    ("example", "miles", "amount"),
    [(one, miles, amount) for one in _examples() for miles, amount in one.get("days", {}).items()],
    ids=lambda value: value["name"] if isinstance(value, dict) else value,
)
def test_days_by_hand(example: dict[str, Any], miles: str, amount: str) -> None:
    """What the month's statement charges for a day: miles up to the daily cap, times the rate."""
    per_mile = rate(load_plan(example["plan"]), _inputs(example)).per_mile
    assert per_mile is not None
    rates = [MileRate(DAY, per_mile.rate_per_mile, Decimal(per_mile.daily_cap_miles))]
    assert day_line(DAY, Decimal(miles), rates).amount == Decimal(amount)


def test_there_are_enough_examples() -> None:
    assert len(_examples()) >= 15
    assert all(example["arithmetic"].count("\n") >= 4 for example in _examples())


def _found(rating: Rating) -> dict[str, Decimal]:
    return {
        "annual": rating.annual_premium,
        "monthly": rating.monthly_premium,
        "relativity": rating.telematics_relativity,
        "fees": rating.fees,
        "taxes": rating.taxes,
    } | _miles(rating)


def _miles(rating: Rating) -> dict[str, Decimal]:
    if rating.per_mile is None:
        return {}
    return {"rate_per_mile": rating.per_mile.rate_per_mile, "expected_annual": rating.per_mile.expected_annual}
