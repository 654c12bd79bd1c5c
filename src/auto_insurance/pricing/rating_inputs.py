"""What a rating plan is asked about: facts, the choice of product and cover, what the risk model says. Pure."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec

ONE = Decimal(1)
USES = ("private", "commute", "business")


class Telematics(msgspec.Struct, frozen=True, kw_only=True):
    """What the risk model says, and what the running term pays."""

    relativity: Decimal = ONE
    """Expected claim frequency over the portfolio's, before credibility."""
    credibility: Decimal = Decimal(0)
    """How much of it counts, 0-1."""
    running_relativity: Decimal = ONE
    """Telematics relativity of the charged term; the new one may differ from it by the plan's limit."""
    uses_location: bool = False
    """Whether the score knows where somebody drove, and not only how."""


NO_TELEMATICS = Telematics()


class RatingInputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Facts that the plan rates. None is unknown."""

    rating_date: date
    state: str
    coverage: str
    """The package: ``liability``, ``standard`` or ``full``."""
    driver_age: int | None
    licence_years: int | None
    vehicle_age: int | None
    vehicle_use: str | None
    annual_mileage: int | None
    prior_claims: int
    participating: bool = True
    telematics: Telematics = NO_TELEMATICS
    product: str = "phyd"
    choices: dict[str, str] = {}
    """Limits and deductibles that differ from the package's, by cover."""
    driven_miles: int | None = None
    """Miles of a year as they were driven, for products that count them; unknown: those declared."""
    postcode: str | None = None
    """As much of it as the plan's areas need."""
    mid_term: bool = False
    """Whether a running term is changed, and none begins."""
