"""What must hold in a rating plan, each breach named with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise

from auto_insurance.pricing.plan_parts import (
    OTHER_STATES,
    PACKAGES,
    PRODUCTS,
    Band,
    DiscountLimit,
    FactorTable,
    Jurisdiction,
    PerMileTerms,
    Point,
    Product,
    RatingPlan,
)

STATE = re.compile(r"[A-Z]{2}")
VERSION = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
PARAMETER_PLACES = 6
"""Decimals that shares, rates and limits may have: whole millionths can be multiplied exactly in 64 bits."""
LARGEST = Decimal(1_000_000)
"""No amount or factor of a plan is larger."""


def faults(plan: RatingPlan) -> Iterator[str]:
    """Yield a sentence for everything that is wrong with the plan."""
    if not VERSION.fullmatch(plan.version):
        yield "plan.version must be small letters, digits, dots and dashes"
    if not 0 <= plan.rounding.factor_places <= 8:
        yield "rounding.factor_places must be 0 to 8"
    if plan.rounding.minimum_annual_premium < 0:
        yield "rounding.minimum_annual_premium must not be negative"
    yield from _base_faults(plan)
    yield from _package_faults(plan)
    for name in ("driver_age", "licence_years", "vehicle_age", "prior_claims", "annual_mileage"):
        yield from _table_faults(name, getattr(plan, name), rising=name == "annual_mileage")
    for name in ("unknown", "private", "commute", "business"):
        yield from _positive(f"vehicle_use.{name}", getattr(plan.vehicle_use, name))
    yield from _telematics_faults(plan)
    for code, product in plan.products.items():
        yield from _product_faults(code, product)
    for state, rules in plan.jurisdictions.items():
        yield from _jurisdiction_faults(plan, state, rules)
    yield from _money_faults(plan)


def _base_faults(plan: RatingPlan) -> Iterator[str]:
    wanted = tuple(plan.coverages) or PACKAGES
    if OTHER_STATES not in plan.base:
        yield f"base.{OTHER_STATES} is missing"
    for state, rates in plan.base.items():
        if state != OTHER_STATES:
            yield from _state(f"base.{state}", state)
        if sorted(rates) != sorted(wanted):
            yield f"base.{state} must have exactly {', '.join(wanted)}"
        for coverage, amount in rates.items():
            yield from _positive(f"base.{state}.{coverage}", amount)


def _package_faults(plan: RatingPlan) -> Iterator[str]:
    if (plan.coverages or plan.packages) and sorted(plan.packages) != sorted(PACKAGES):
        yield f"packages must be exactly {', '.join(PACKAGES)}"
    for name, cover in plan.coverages.items():
        if not cover.options:
            yield f"coverages.{name}.options must not be empty"
        for option, factor in cover.options.items():
            yield from _positive(f"coverages.{name}.options.{option}", factor)
    for package, chosen in plan.packages.items():
        if not chosen:
            yield f"packages.{package} holds no cover"
        for name, option in chosen.items() if plan.coverages else ():
            if name not in plan.coverages:
                yield f"packages.{package}.{name}: there is no such cover"
            elif option not in plan.coverages[name].options:
                yield f"packages.{package}.{name}: there is no option {option}"


def _table_faults(name: str, table: FactorTable, *, rising: bool = False) -> Iterator[str]:
    yield from _positive(f"{name}.unknown", table.unknown)
    if bool(table.bands) == bool(table.points):
        yield f"{name} must have either bands or points"
    if table.points:
        yield from _curve_faults(f"{name}.points", table.points, rising=rising)
    if table.bands:
        yield from _band_faults(name, table.bands, rising=rising)


def _band_faults(name: str, bands: Sequence[Band], *, rising: bool) -> Iterator[str]:
    if bands[-1].below is not None:
        yield f"{name}.bands: the last band must be open (no `below`)"
    for index, band in enumerate(bands):
        yield from _positive(f"{name}.bands[{index}].factor", band.factor)
        if band.below is not None and abs(band.below) > LARGEST:
            yield f"{name}.bands[{index}].below must be at most {LARGEST}"
    for index, (low, high) in enumerate(pairwise(band.below for band in bands[:-1]), start=1):
        if low is None or high is None or high <= low:
            yield f"{name}.bands[{index}].below must be greater than the one before"
    for index, (one, other) in enumerate(pairwise(bands), start=1):
        if rising and other.factor < one.factor:
            yield f"{name}.bands[{index}]: the factor must not fall"


def _curve_faults(place: str, points: Sequence[Point], *, rising: bool = True) -> Iterator[str]:
    if len(points) < 2:
        yield f"{place} needs two points at least"
    for index, (value, factor) in enumerate(points):
        if not 0 < factor <= LARGEST:
            yield f"{place}[{index}]: the factor must be positive"
        if abs(value) > LARGEST:
            yield f"{place}[{index}]: the value must be at most {LARGEST}"
    for index, ((x0, y0), (x1, y1)) in enumerate(pairwise(points), start=1):
        if x1 <= x0:
            yield f"{place}[{index}]: the value must be greater than the one before"
        if rising and y1 < y0:
            yield f"{place}[{index}]: the factor must not fall"


def _telematics_faults(plan: RatingPlan) -> Iterator[str]:
    part = plan.telematics
    yield from _curve_faults("telematics.curve", part.curve)
    if (Decimal(1), Decimal(1)) not in part.curve:
        yield "telematics.curve must have the point [1, 1]"
    if not 0 < part.floor <= 1 <= part.ceiling <= LARGEST:
        yield "telematics.floor and ceiling must enclose 1"
    if not 0 <= part.max_change_per_term < 1 or not _short(part.max_change_per_term):
        yield "telematics.max_change_per_term must be in [0, 1), with at most 6 decimals"
    if not 0 < part.participation <= 1:
        yield "telematics.participation must be in (0, 1]"


def _product_faults(code: str, product: Product) -> Iterator[str]:
    place = f"products.{code}"
    if code not in PRODUCTS:
        yield f"{place}: products are {', '.join(PRODUCTS)}"
    yield from _positive(f"{place}.factor", product.factor)
    if (product.distance == "driven") != (product.bands is not None):
        yield f"{place}.bands belong to distance = 'driven', and to it alone"
    if product.bands is not None:
        yield from _table_faults(f"{place}.bands", product.bands, rising=True)
    if (product.distance == "per_mile") != (product.per_mile is not None):
        yield f"{place}.per_mile belongs to distance = 'per_mile', and to it alone"
    if product.per_mile is not None:
        yield from _per_mile_faults(f"{place}.per_mile", product.per_mile)


def _per_mile_faults(place: str, terms: PerMileTerms) -> Iterator[str]:
    if not 0 <= terms.fixed_share < 1 or not _short(terms.fixed_share):
        yield f"{place}.fixed_share must be in [0, 1), with at most 6 decimals"
    if not 1 <= terms.reference_miles <= LARGEST:
        yield f"{place}.reference_miles must be 1 to {LARGEST}"
    if not 1 <= terms.daily_cap_miles <= LARGEST:
        yield f"{place}.daily_cap_miles must be 1 to {LARGEST}"


def _jurisdiction_faults(plan: RatingPlan, state: str, rules: Jurisdiction) -> Iterator[str]:
    yield from _state(f"jurisdictions.{state}", state)
    for code in rules.products:
        if code not in plan.product_codes:
            yield f"jurisdictions.{state}.products: the plan has no product {code}"


def _money_faults(plan: RatingPlan) -> Iterator[str]:
    if plan.territory is not None:
        yield from _factors("territory", {"unknown": plan.territory.unknown, **plan.territory.postcodes})
    limit: DiscountLimit | None = plan.maximum_discount
    if limit is not None and (not 0 <= limit.total <= 1 or not _short(limit.total)):
        yield "maximum_discount.total must be 0 to 1, with at most 6 decimals"
    codes = [fee.code for fee in plan.fees]
    for index, fee in enumerate(plan.fees):
        if fee.amount < 0 or fee.amount != fee.amount.quantize(Decimal("0.01")):
            yield f"fees[{index}].amount must be whole cents, not negative"
        if codes.count(fee.code) > 1:
            yield f"fees[{index}].code: {fee.code} is there twice"
        for state in fee.states:
            yield from _state(f"fees[{index}].states", state)
    for state, rate in plan.taxes.items():
        if state != OTHER_STATES:
            yield from _state(f"taxes.{state}", state)
        if not 0 <= rate <= 1 or not _short(rate):
            yield f"taxes.{state} must be 0 to 1, with at most 6 decimals"


def _factors(place: str, table: Mapping[str, Decimal]) -> Iterator[str]:
    for name, factor in table.items():
        yield from _positive(f"{place}.{name}", factor)


def _positive(place: str, number: Decimal) -> Iterator[str]:
    if not 0 < number <= LARGEST:
        yield f"{place} must be positive and at most {LARGEST}"


def _state(place: str, state: str) -> Iterator[str]:
    if not STATE.fullmatch(state):
        yield f"{place}: a state has two capital letters"


def _short(number: Decimal) -> bool:
    exponent = number.normalize().as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -PARAMETER_PLACES
