"""A rating plan: versioned data, read and checked here, turned into money by :mod:`auto_insurance.pricing.rating`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from hashlib import sha256
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import pairwise

import msgspec

from auto_insurance.pricing.errors import InvalidPlan

DEFAULT_PLAN = "standard-1"
COVERAGES = ("liability", "standard", "full")
OTHER_STATES = "other"

Point = tuple[Decimal, Decimal]


class PlanPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Table ``[plan]``."""

    version: str
    currency: str
    effective_from: date
    basis: str


class RoundingPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Table ``[rounding]``: the annual premium is rounded half up to cents, once, after the minimum."""

    factor_places: int
    minimum_annual_premium: Decimal


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Values under ``below`` (and not under the band before) have this factor; the last band is open."""

    factor: Decimal
    below: int | None = None


class BandTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Factors by bands of a whole number."""

    unknown: Decimal
    bands: list[Band]


class UseTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Factors by the use of the vehicle."""

    unknown: Decimal
    private: Decimal
    commute: Decimal
    business: Decimal


class Curve(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Factors linear between points (value, factor), flat outside them."""

    unknown: Decimal
    points: list[Point]


class TelematicsPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Table ``[telematics]``."""

    participation: Decimal
    max_change_per_term: Decimal
    floor: Decimal
    ceiling: Decimal
    curve: list[Point]


class RatingPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A whole plan."""

    plan: PlanPart
    rounding: RoundingPart
    base: dict[str, dict[str, Decimal]]
    driver_age: BandTable
    licence_years: BandTable
    vehicle_age: BandTable
    prior_claims: BandTable
    vehicle_use: UseTable
    annual_mileage: Curve
    telematics: TelematicsPart

    @property
    def version(self) -> str:
        """The plan's version, stored with every premium."""
        return self.plan.version

    @property
    def product_codes(self) -> tuple[str, ...]:
        """The products that the plan rates."""
        return ("phyd",)


def load_plan(name: str = DEFAULT_PLAN) -> RatingPlan:
    """Read a shipped plan. Raises ``InvalidPlan`` naming file and place."""
    return parse_plan(shipped_document(name), f"{name}.toml")


@cache
def shipped_plans() -> tuple[str, ...]:
    """Return the versions of the plans that come with the program, sorted."""
    files = (entry.name for entry in _data().iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml")))


def shipped_document(name: str) -> str:
    """Return a shipped plan as it is written. Raises ``InvalidPlan`` if there is none of that name."""
    file = f"{name}.toml"
    try:
        return _data().joinpath(file).read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidPlan(f"{file}: cannot be read: {error}") from error


def fingerprint(plan: RatingPlan) -> str:
    """Return a hash of what a plan says, whatever its comments, order of tables and release of the program."""
    content = msgspec.json.encode(msgspec.to_builtins(plan), order="deterministic")
    return sha256(content).hexdigest()


def _data() -> Traversable:
    return resources.files("auto_insurance.pricing").joinpath("data")


def parse_plan(text: str, file: str) -> RatingPlan:
    """Read and check a plan from TOML. Raises ``InvalidPlan`` naming every place that is wrong."""
    try:
        plan = msgspec.convert(tomllib.loads(text, parse_float=Decimal), RatingPlan)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidPlan(f"{file}: {error}") from error
    if wrong := list(_faults(plan)):
        raise InvalidPlan(f"{file}: {'; '.join(wrong)}")
    return plan


def _faults(plan: RatingPlan) -> Iterator[str]:
    if not 0 <= plan.rounding.factor_places <= 8:
        yield "rounding.factor_places must be 0 to 8"
    if plan.rounding.minimum_annual_premium < 0:
        yield "rounding.minimum_annual_premium must not be negative"
    yield from _base_faults(plan)
    for name in ("driver_age", "licence_years", "vehicle_age", "prior_claims"):
        yield from _band_faults(name, getattr(plan, name))
    for name in ("unknown", "private", "commute", "business"):
        if getattr(plan.vehicle_use, name) <= 0:
            yield f"vehicle_use.{name} must be positive"
    if plan.annual_mileage.unknown <= 0:
        yield "annual_mileage.unknown must be positive"
    yield from _curve_faults("annual_mileage.points", plan.annual_mileage.points)
    yield from _telematics_faults(plan)


def _base_faults(plan: RatingPlan) -> Iterator[str]:
    if OTHER_STATES not in plan.base:
        yield f"base.{OTHER_STATES} is missing"
    for state, rates in plan.base.items():
        if sorted(rates) != sorted(COVERAGES):
            yield f"base.{state} must have exactly {', '.join(COVERAGES)}"
        for coverage, amount in rates.items():
            if amount <= 0:
                yield f"base.{state}.{coverage} must be positive"


def _band_faults(name: str, table: BandTable) -> Iterator[str]:
    if table.unknown <= 0:
        yield f"{name}.unknown must be positive"
    if not table.bands or table.bands[-1].below is not None:
        yield f"{name}.bands: the last band must be open (no `below`)"
    bounds = [band.below for band in table.bands[:-1]]
    for index, band in enumerate(table.bands):
        if band.factor <= 0:
            yield f"{name}.bands[{index}].factor must be positive"
    for index, (low, high) in enumerate(pairwise(bounds), start=1):
        if low is None or high is None or high <= low:
            yield f"{name}.bands[{index}].below must be greater than the one before"


def _curve_faults(place: str, points: Sequence[Point]) -> Iterator[str]:
    if len(points) < 2:
        yield f"{place} needs two points at least"
    for index, (_, factor) in enumerate(points):
        if factor <= 0:
            yield f"{place}[{index}]: the factor must be positive"
    for index, ((x0, y0), (x1, y1)) in enumerate(pairwise(points), start=1):
        if x1 <= x0:
            yield f"{place}[{index}]: the value must be greater than the one before"
        if y1 < y0:
            yield f"{place}[{index}]: the factor must not fall"


def _telematics_faults(plan: RatingPlan) -> Iterator[str]:
    part = plan.telematics
    yield from _curve_faults("telematics.curve", part.curve)
    if (Decimal(1), Decimal(1)) not in part.curve:
        yield "telematics.curve must have the point [1, 1]"
    if not 0 < part.floor <= 1 <= part.ceiling:
        yield "telematics.floor and ceiling must enclose 1"
    if not 0 <= part.max_change_per_term < 1:
        yield "telematics.max_change_per_term must be in [0, 1)"
    if not 0 < part.participation <= 1:
        yield "telematics.participation must be in (0, 1]"
