"""From what is known of a driver to what the plan rates. Pure."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from auto_insurance.drivers.schemas import DriverFacts
from auto_insurance.pricing.rating import RatingInputs, Telematics

_SIX = Decimal("0.000001")


def rating_inputs(facts: DriverFacts, rating_date: date, telematics: Telematics) -> RatingInputs:
    """Return the inputs as of ``rating_date``. What is not known of the driver stays unknown."""
    vehicle = facts.vehicle
    return RatingInputs(
        rating_date=rating_date,
        state=facts.state,
        coverage=facts.coverage,
        driver_age=None if facts.date_of_birth is None else full_years(facts.date_of_birth, rating_date),
        licence_years=None if facts.licence_date is None else full_years(facts.licence_date, rating_date),
        vehicle_age=None if vehicle is None else max(0, rating_date.year - vehicle.year),
        vehicle_use=None if vehicle is None else vehicle.use,
        annual_mileage=facts.declared_annual_mileage,
        prior_claims=facts.prior_claims,
        telematics=telematics,
    )


def full_years(since: date, until: date) -> int:
    """Return completed years, 0 if ``since`` lies ahead; somebody of 29 February has the birthday on 1 March."""
    before_the_day = (until.month, until.day) < (since.month, since.day)
    return max(0, until.year - since.year - before_the_day)


def exact(number: float) -> Decimal:
    """Return a model's number with six decimals: what the worksheet shows is what it calculates with."""
    return Decimal(repr(number)).quantize(_SIX, ROUND_HALF_UP)
