"""The tables of a rating plan, as they stand in its file. What must hold among them is in ``plan_rules``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Literal

import msgspec

PACKAGES = ("liability", "standard", "full")
"""The packages of cover that a driver may have; each plan has them."""
PRODUCTS = ("phyd", "payd", "per_mile", "hybrid")
OTHER_STATES = "other"
"""The row for every state that has none of its own."""
ONE = Decimal(1)

Point = tuple[Decimal, Decimal]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all parts: a name that is not known is an error, a default is not part of the fingerprint."""


class PlanPart(_Part, frozen=True):
    """Table ``[plan]``: who it is. ``effective_from`` is the first day on which it may be in force."""

    version: str
    currency: str
    effective_from: date
    basis: str


class RoundingPart(_Part, frozen=True):
    """Table ``[rounding]``: the annual premium is rounded half up to cents, once, after the minimum."""

    factor_places: int
    minimum_annual_premium: Decimal


class Band(_Part, frozen=True):
    """Values under ``below`` (and not under the band before) have this factor; the last band is open."""

    factor: Decimal
    below: int | None = None


class FactorTable(_Part, frozen=True):
    """Factors by a whole number: in ``bands``, or linear between ``points`` (value, factor) and flat outside them.

    ``unknown`` serves a fact that nobody knows.
    """

    unknown: Decimal
    bands: list[Band] = []
    points: list[Point] = []


class UseTable(_Part, frozen=True):
    """Factors by the use of the vehicle."""

    unknown: Decimal
    private: Decimal
    commute: Decimal
    business: Decimal


class AreaTable(_Part, frozen=True):
    """Factors by the beginning of the postcode; the longest that fits counts. ``unknown`` serves all others."""

    unknown: Decimal
    postcodes: dict[str, Decimal] = {}


class TelematicsPart(_Part, frozen=True):
    """Table ``[telematics]``: the discount for taking part, and the way from the model's relativity to the price's."""

    participation: Decimal
    max_change_per_term: Decimal
    floor: Decimal
    ceiling: Decimal
    curve: list[Point]


class CoverageTable(_Part, frozen=True):
    """A cover that is priced by itself, with the factors of its limits or of its deductibles."""

    label: str
    kind: Literal["limit", "deductible"]
    options: dict[str, Decimal]


class PerMileTerms(_Part, frozen=True):
    """Which share of the year is fixed; who drives ``reference_miles`` a year pays what the year says.

    Of a day no more than ``daily_cap_miles`` are charged.
    """

    fixed_share: Decimal
    reference_miles: int
    daily_cap_miles: int


class Product(_Part, frozen=True):
    """What sets the price: the driving (``behaviour``) or not, and which ``distance``.

    ``declared``: the plan's table of declared miles; ``driven``: this product's bands of the miles driven in a year;
    ``per_mile``: no factor, but a rate for each mile.
    """

    label: str
    behaviour: bool = True
    distance: Literal["declared", "driven", "per_mile"] = "declared"
    factor: Decimal = ONE
    bands: FactorTable | None = None
    per_mile: PerMileTerms | None = None


class Jurisdiction(_Part, frozen=True):
    """What a state allows. ``location``: scores that know where somebody drove may set the price."""

    discount_only: bool = False
    behaviour: bool = True
    location: bool = True
    mid_term_change: bool = True
    products: list[str] = []
    """Those that may be sold; empty: all."""


class DiscountLimit(_Part, frozen=True):
    """All discounts together take off at most the share ``total`` of the premium ``of``: the base or all factors."""

    total: Decimal
    of: Literal["base", "factors"]


class Fee(_Part, frozen=True):
    """A fixed amount per term, beside the premium; without ``states`` in all of them."""

    code: str
    label: str
    amount: Decimal
    taxed: bool = False
    states: list[str] = []


PHYD = Product(label="Pay how you drive")
"""The product of a plan that names none."""
ANYTHING = Jurisdiction()
"""What a state allows that the plan does not name."""


class RatingPlan(_Part, frozen=True):
    """A whole plan. The order of the tables does not matter: the steps have their own, see ``rating``."""

    plan: PlanPart
    rounding: RoundingPart
    base: dict[str, dict[str, Decimal]]
    """Annual premium before factors by state, and by package or, where the plan has ``coverages``, by cover."""
    driver_age: FactorTable
    licence_years: FactorTable
    vehicle_age: FactorTable
    prior_claims: FactorTable
    vehicle_use: UseTable
    annual_mileage: FactorTable
    telematics: TelematicsPart
    packages: dict[str, dict[str, str]] = {}
    """What a package holds: its covers, each with the limit or deductible that holds unless another one is chosen."""
    coverages: dict[str, CoverageTable] = {}
    products: dict[str, Product] = {}
    territory: AreaTable | None = None
    jurisdictions: dict[str, Jurisdiction] = {}
    maximum_discount: DiscountLimit | None = None
    fees: list[Fee] = []
    taxes: dict[str, Decimal] = {}

    @property
    def version(self) -> str:
        """The plan's version, stored with every premium."""
        return self.plan.version

    @property
    def product_codes(self) -> tuple[str, ...]:
        """The products that the plan rates."""
        return tuple(self.products) or ("phyd",)

    @property
    def offered(self) -> Mapping[str, Product]:
        """The products by their codes; a plan that names none has the one that rates how somebody drives."""
        return self.products or {"phyd": PHYD}

    def rules(self, state: str) -> Jurisdiction:
        """Return what a state allows."""
        return self.jurisdictions.get(state, ANYTHING)

    def row(self, state: str) -> str:
        """Return the key of a state's row of base rates and taxes: the state, or the row of all others."""
        return state if state in self.base else OTHER_STATES
