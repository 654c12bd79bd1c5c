"""What differs between a stored price and the same made again is named, the first place first."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.pricing.plan import load_plan
from auto_insurance.pricing.rating import Line, Rating, RatingInputs, Telematics, rate
from auto_insurance.pricing.replay import driving_differences, first_line, telematics_differences
from auto_insurance.pricing.schemas import Driving

AT = datetime(2026, 6, 15, tzinfo=UTC)
INPUTS = RatingInputs(
    rating_date=date(2026, 6, 15), state="CA", coverage="standard", driver_age=40, licence_years=20, vehicle_age=4,
    vehicle_use="private", annual_mileage=10_000, prior_claims=0, telematics=Telematics(relativity=Decimal("1.2")),
)  # fmt: skip
RATING: Rating = rate(load_plan(), INPUTS)
DRIVING = Driving(
    model_version="m", features={"a": 1.0, "b": None}, miles=100.0, trip_count=3, window_from=AT, window_to=AT,
    trips_until=AT, known_at=AT, relativity=1.1, confidence=0.5,
)  # fmt: skip


def test_what_is_alike_has_no_difference() -> None:
    assert first_line(RATING.worksheet, RATING.worksheet) is None
    assert list(driving_differences(DRIVING, DRIVING)) == []
    assert list(telematics_differences(INPUTS.telematics, INPUTS.telematics)) == []


@given(st.integers(0, len(RATING.worksheet) - 1), st.sampled_from(["factor", "amount_before", "amount_after"]))
def test_any_touched_line_is_found(place: int, field: str) -> None:
    lines = list(RATING.worksheet)
    lines[place] = msgspec.structs.replace(lines[place], **{field: Decimal("123.456")})
    found = first_line(lines, RATING.worksheet)
    assert found is not None
    assert found.where == f"worksheet line {place + 1} ({lines[place].code}): {field}"
    assert found.stored == "123.456"


def test_a_missing_line_is_found() -> None:
    short: tuple[Line, ...] = RATING.worksheet[:-1]
    found = first_line(short, RATING.worksheet)
    assert found is not None
    assert (found.where, found.stored, found.again) == (
        f"worksheet line {len(RATING.worksheet)}",
        "no such line",
        RATING.worksheet[-1].code,
    )


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"trip_count": 4}, ["driving: trips"]),
        ({"miles": 100.001}, ["driving: miles"]),
        ({"miles": 100.0 * (1 + 1e-12)}, []),
        ({"features": {"a": 1.0, "b": 0.0}}, ["driving: b"]),
        ({"features": {"a": 1.0}}, []),
        ({"features": {"a": 2.0, "c": 1.0}}, ["driving: a"]),
        ({"features": {"a": 1.0 + 5e-7, "b": None}}, []),
        ({"relativity": 1.2, "confidence": 0.6}, ["model m: relativity", "model m: confidence"]),
    ],
)
def test_driving_differs_by_more_than_the_last_bits(change: dict[str, Any], where: list[str]) -> None:
    again = msgspec.structs.replace(DRIVING, **change)
    assert [one.where for one in driving_differences(DRIVING, again)] == where


def test_what_was_rated_must_be_equal() -> None:
    again = msgspec.structs.replace(INPUTS.telematics, running_relativity=Decimal("1.0001"))
    assert [one.where for one in telematics_differences(INPUTS.telematics, again)] == ["inputs: running_relativity"]
