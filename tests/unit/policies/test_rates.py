from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

from auto_insurance.contracts.policies import InForce
from auto_insurance.policies.rates import changes_of, parts
from auto_insurance.policies.stretches import CoverPart
from auto_insurance.policies.writer import in_force

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_covers_are_read_as_the_plan_words_them() -> None:
    covers = [
        SimpleNamespace(code="bodily_injury", kind="limit", option="50/100"),
        SimpleNamespace(code="property_damage", kind="limit", option="25"),
        SimpleNamespace(code="collision", kind="deductible", option="500"),
        SimpleNamespace(code="towing", kind="included", option="yes"),
        SimpleNamespace(code="glass", kind="deductible", option="full"),
        SimpleNamespace(code="bodily_injury", kind="included", option="100/300"),
        SimpleNamespace(code="comprehensive", kind="included", option="250"),
    ]
    assert parts(covers, "full") == (
        CoverPart("bodily_injury", limit=Decimal(100_000), option="50/100"),
        CoverPart("property_damage", limit=Decimal(25_000), option="25"),
        CoverPart("collision", deductible=Decimal(500), option="500"),
        CoverPart("towing", option="yes"),
        CoverPart("glass", option="full"),
        CoverPart("bodily_injury", limit=Decimal(300_000), option="100/300"),
        CoverPart("comprehensive", deductible=Decimal(250), option="250"),
    )


def test_a_package_without_covers_has_those_of_its_name() -> None:
    assert [part.coverage for part in parts((), "standard")] == ["liability", "collision"]
    assert parts((), "unknown") == ()


def test_facts_that_pricing_does_not_rate_stay_here() -> None:
    changes = changes_of({"vehicle_id": "VEH001", "state": "CA", "date_of_birth": "1990-06-01", "annual_mileage": 9000})
    assert (changes.state, changes.annual_mileage, str(changes.date_of_birth)) == ("CA", 9000, "1990-06-01")
    assert changes.coverage is None


def test_stretches_that_meet_are_one_time_of_cover() -> None:
    spans = [
        (START, START + DAY),
        (START + DAY, START + 3 * DAY),
        (START + 3 * DAY, START + 3 * DAY),
        (START + 5 * DAY, START + 6 * DAY),
    ]
    assert in_force(spans) == (InForce(START, START + 3 * DAY), InForce(START + 5 * DAY, START + 6 * DAY))
    assert in_force([]) == ()
