from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from auto_insurance.drivers.schemas import DriverFacts, VehicleFacts
from auto_insurance.pricing.facts import exact, full_years, rating_inputs
from auto_insurance.pricing.rating import Telematics


@pytest.mark.parametrize(
    ("since", "until", "years"),
    [
        (date(1990, 6, 1), date(2026, 6, 1), 36),
        (date(1990, 6, 1), date(2026, 5, 31), 35),
        (date(2000, 2, 29), date(2026, 2, 28), 25),
        (date(2000, 2, 29), date(2026, 3, 1), 26),
        (date(2030, 1, 1), date(2026, 1, 1), 0),
    ],
)
def test_full_years(since: date, until: date, years: int) -> None:
    assert full_years(since, until) == years


def _facts(*, known: bool) -> DriverFacts:
    return DriverFacts(
        driver_id="DRV001",
        full_name=None,
        date_of_birth=date(1990, 6, 1) if known else None,
        licence_date=date(2010, 1, 1) if known else None,
        time_zone="America/New_York",
        state="NY",
        postcode=None,
        declared_annual_mileage=9000 if known else None,
        prior_claims=1,
        coverage="full",
        vehicle=VehicleFacts(vehicle_id="VEH001", make="A", model="B", year=2027, use="commute") if known else None,
        enrolled_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_facts_become_inputs_as_of_a_day() -> None:
    inputs = rating_inputs(_facts(known=True), date(2026, 5, 31), Telematics())
    assert (inputs.driver_age, inputs.licence_years, inputs.vehicle_age) == (35, 16, 0)
    assert (inputs.vehicle_use, inputs.annual_mileage, inputs.prior_claims) == ("commute", 9000, 1)


def test_what_is_not_known_stays_unknown() -> None:
    inputs = rating_inputs(_facts(known=False), date(2026, 5, 31), Telematics())
    assert (inputs.driver_age, inputs.licence_years, inputs.vehicle_age) == (None, None, None)
    assert inputs.vehicle_use is None
    assert inputs.annual_mileage is None


def test_a_models_number_keeps_six_decimals() -> None:
    assert exact(1.2345675) == Decimal("1.234568")
    assert exact(1e-7) == Decimal("0.000000")
