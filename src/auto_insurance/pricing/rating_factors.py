"""How facts find their factors in the tables of a plan. Pure, decimal."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

from auto_insurance.pricing.plan_parts import AreaTable, FactorTable, Point, RatingPlan
from auto_insurance.pricing.rating_inputs import USES

BY_NUMBER: tuple[tuple[str, str], ...] = (
    ("driver_age", "Driver's age"),
    ("licence_years", "Years since the licence"),
    ("vehicle_age", "Vehicle's age in years"),
)
"""The tables by a whole number that come before the use of the vehicle, in the order of the worksheet."""
Found = tuple[Decimal, str]
"""A factor and the end of its row's name, such as ``bands[2]``."""


def by_number(table: FactorTable, value: int | None, places: int) -> Found:
    """Return the factor of a whole number; one between two points is rounded half up to ``places``."""
    if value is None:
        return table.unknown, "unknown"
    if table.points:
        return interpolate(table.points, Decimal(value)).quantize(unit(places), ROUND_HALF_UP), "points"
    index = next(i for i, band in enumerate(table.bands) if band.below is None or value < band.below)
    return table.bands[index].factor, f"bands[{index}]"


def by_use(plan: RatingPlan, use: str | None) -> Found:
    """Return the factor of the vehicle's use; a use that is not in the table is unknown."""
    known = use if use in USES else "unknown"
    factor: Decimal = getattr(plan.vehicle_use, known)
    return factor, known


def by_area(table: AreaTable, postcode: str | None) -> Found:
    """Return the factor of the longest beginning of the postcode that is in the table."""
    for length in range(len(postcode or ""), 0, -1):
        prefix = (postcode or "")[:length]
        if prefix in table.postcodes:
            return table.postcodes[prefix], f"postcodes.{prefix}"
    return table.unknown, "unknown"


def interpolate(points: Sequence[Point], value: Decimal) -> Decimal:
    """Return the factor at ``value``: linear between the points, flat outside them."""
    if value <= points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in pairwise(points):
        if value <= x1:
            return y0 + (y1 - y0) * (value - x0) / (x1 - x0)
    return points[-1][1]


def unit(places: int) -> Decimal:
    """Return one unit of the last decimal, such as 0.0001 of four."""
    return Decimal(1).scaleb(-places)
