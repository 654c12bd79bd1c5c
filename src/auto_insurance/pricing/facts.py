"""From what is known of a driver to what the plan rates. Pure."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from auto_insurance.drivers.schemas import DriverFacts, VehicleFacts
from auto_insurance.pricing.rating import RatingInputs, Telematics

DEFAULT_PRODUCT = "phyd"
_SIX = Decimal("0.000001")


class RiskChanges(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Facts that are to hold instead of those known of the driver; None leaves a fact as it is known.

    They are stored with the premium, and hold in the versions after it until others come.
    """

    state: str | None = None
    coverage: str | None = None
    date_of_birth: date | None = None
    licence_date: date | None = None
    vehicle_year: int | None = None
    vehicle_use: str | None = None
    annual_mileage: int | None = None
    prior_claims: int | None = None
    postcode: str | None = None
    participating: bool | None = None
    product: str | None = None
    choices: dict[str, str] | None = None
    """Limits and deductibles that differ from the package's, by cover."""
    driven_miles: int | None = None
    """Miles of a year as they were driven; by default what the score saw, where the product counts them."""


NO_CHANGES = RiskChanges()


def together(first: RiskChanges | None, then: RiskChanges) -> RiskChanges:
    """Return both: what ``then`` says counts more."""
    if first is None:
        return then
    later = {name: value for name in then.__struct_fields__ if (value := getattr(then, name)) is not None}
    return msgspec.structs.replace(first, **later)


def changed(facts: DriverFacts, changes: RiskChanges) -> DriverFacts:
    """Return the facts with the changes in their place. The driver's own record stays as it is."""
    given = {
        "state": changes.state,
        "coverage": changes.coverage,
        "date_of_birth": changes.date_of_birth,
        "licence_date": changes.licence_date,
        "declared_annual_mileage": changes.annual_mileage,
        "prior_claims": changes.prior_claims,
        "postcode": changes.postcode,
        "vehicle": _vehicle(facts.vehicle, changes),
    }
    return msgspec.structs.replace(facts, **{name: value for name, value in given.items() if value is not None})


def _vehicle(known: VehicleFacts | None, changes: RiskChanges) -> VehicleFacts | None:
    if changes.vehicle_year is None and changes.vehicle_use is None:
        return None
    if known is None:
        known = VehicleFacts(vehicle_id="", make="", model="", year=0, use="")
    return msgspec.structs.replace(
        known, year=changes.vehicle_year or known.year, use=changes.vehicle_use or known.use
    )  # fmt: skip


def rating_inputs(
    facts: DriverFacts,
    rating_date: date,
    telematics: Telematics,
    changes: RiskChanges = NO_CHANGES,
    driven_miles: int | None = None,
) -> RatingInputs:
    """Return the inputs as of ``rating_date``, with changes. What is not known of the driver stays unknown."""
    facts = changed(facts, changes)
    vehicle = facts.vehicle
    return RatingInputs(
        rating_date=rating_date,
        state=facts.state,
        coverage=facts.coverage,
        driver_age=None if facts.date_of_birth is None else full_years(facts.date_of_birth, rating_date),
        licence_years=None if facts.licence_date is None else full_years(facts.licence_date, rating_date),
        vehicle_age=None if vehicle is None or not vehicle.year else max(0, rating_date.year - vehicle.year),
        vehicle_use=None if vehicle is None else vehicle.use or None,
        annual_mileage=facts.declared_annual_mileage,
        prior_claims=facts.prior_claims,
        participating=changes.participating is not False,
        telematics=telematics,
        product=changes.product or DEFAULT_PRODUCT,
        choices=changes.choices or {},
        driven_miles=driven_miles if changes.driven_miles is None else changes.driven_miles,
        postcode=facts.postcode,
    )


def full_years(since: date, until: date) -> int:
    """Return completed years, 0 if ``since`` lies ahead; somebody of 29 February has the birthday on 1 March."""
    before_the_day = (until.month, until.day) < (since.month, since.day)
    return max(0, until.year - since.year - before_the_day)


def exact(number: float) -> Decimal:
    """Return a model's number with six decimals: what the worksheet shows is what it calculates with."""
    return Decimal(repr(number)).quantize(_SIX, ROUND_HALF_UP)
