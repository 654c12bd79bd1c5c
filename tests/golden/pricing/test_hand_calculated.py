"""The table in examples.md is what the plan charges, to the cent."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from auto_insurance.pricing.plan import load_plan
from auto_insurance.pricing.rating import RatingInputs, Telematics, rate, replay

PLAN = load_plan("standard-1")


def _rows() -> list[dict[str, str]]:
    lines = [line for line in (Path(__file__).parent / "examples.md").read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def _number(text: str) -> int | None:
    return None if text == "?" else int(text)


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row["name"])
def test_by_hand(row: dict[str, str]) -> None:
    inputs = RatingInputs(
        rating_date=date(2026, 6, 1),
        state=row["state"],
        coverage=row["cover"],
        driver_age=_number(row["age"]),
        licence_years=_number(row["licence"]),
        vehicle_age=_number(row["car"]),
        vehicle_use=None if row["use"] == "?" else row["use"],
        annual_mileage=_number(row["miles"]),
        prior_claims=int(row["claims"]),
        telematics=Telematics(
            relativity=Decimal(row["r"]), credibility=Decimal(row["Z"]), running_relativity=Decimal(row["run"])
        ),
    )
    rating = rate(PLAN, inputs)
    assert str(rating.telematics_relativity.quantize(Decimal("0.0001"))) == row["tele"]
    assert str(rating.annual_premium) == row["annual"]
    assert str(rating.monthly_premium) == row["monthly"]
    assert replay(rating.worksheet) == (rating.annual_premium, rating.monthly_premium)


def test_there_are_enough_examples() -> None:
    assert len(_rows()) >= 6
