"""Factors of a plan for whole columns of inputs, in doubles, with a mark where a double is not exact enough.

**The bound.** Every number of a plan becomes the nearest double: a relative error of at most u = 2^-53; each operation
adds at most u again. A factor between two points is off by at most 16 u (Y + s X) before it is rounded, with Y and X
the largest factor and value of the curve and s its steepest slope. Where it lies nearer than that to a tie of the
rounding, the row is marked and rated in decimals. Everywhere else the rounded factor is exact, as its decimal's nearest
double. So a premium of at most 24 such multiplications is off by less than 64 u of itself, and again the rows that lie
nearer than that to half a cent are marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from auto_insurance.pricing.plan_parts import FactorTable, Jurisdiction, Point, RatingPlan, TelematicsPart
from auto_insurance.pricing.rating_columns import MILLION, UNKNOWN, BookColumns, Bools, Ints
from auto_insurance.pricing.rating_factors import by_area, by_use

Floats = NDArray[np.float64]
U = 2.0**-53
CURVE_ERRORS = 16 * U
AMOUNT_ERRORS = 64 * U


@dataclass(frozen=True, slots=True)
class Step:
    """A column of factors; ``rows[row]`` is the number of the source in ``sources``, -1 where there is no step."""

    code: str
    label: str
    operation: str
    sources: tuple[str, ...]
    source: Ints
    factor: Floats


class Curve:
    """A table of points: the same factors as ``rating_factors.by_number`` gives, or a mark."""

    def __init__(self, points: Sequence[Point], places: int) -> None:
        self._x = np.array([float(x) for x, _ in points])
        self._y = np.array([float(y) for _, y in points])
        slopes = [abs((y1 - y0) / (x1 - x0)) for (x0, y0), (x1, y1) in pairwise(points)]
        largest = max(abs(x) for x, _ in points)
        self._error = CURVE_ERRORS * float(max(y for _, y in points) + max(slopes) * largest)
        self._scale = 10.0**places
        self._usable = bool(np.all(np.diff(self._x) > 0)) and np.isfinite(self._error)

    def at(self, values: Floats) -> tuple[Floats, Bools]:
        """Return the factors, rounded, and where they are doubtful."""
        if not self._usable:
            return np.ones(len(values)), np.ones(len(values), np.bool_)
        scaled = np.interp(values, self._x, self._y) * self._scale
        doubtful = near_tie(scaled, self._error * self._scale + scaled * 4 * U)
        return np.floor(scaled + 0.5) / self._scale, doubtful


def near_tie(amounts: Floats, errors: Floats) -> Bools:
    """Return where an amount lies within its error of a half, so that rounding may go either way."""
    away: Bools = np.abs(amounts - np.floor(amounts) - 0.5) <= errors
    return away


def by_number(code: str, label: str, table: FactorTable, values: Ints, places: int) -> tuple[Step, Bools]:
    """Return the factors of whole numbers by bands or points, and where they are doubtful."""
    unknown = values == UNKNOWN
    if table.points:
        found, doubtful = Curve(table.points, places).at(values.astype(np.float64))
        factor = np.where(unknown, float(table.unknown), found)
        source = np.where(unknown, 0, 1)
        return Step(code, label, "multiply", (f"{code}.unknown", f"{code}.points"), source, factor), doubtful & ~unknown
    bounds = np.array([band.below for band in table.bands[:-1]], np.int64)
    source = np.where(unknown, 0, 1 + np.searchsorted(bounds, values, side="right"))
    factors = np.array([float(table.unknown), *(float(band.factor) for band in table.bands)])
    names = (f"{code}.unknown", *(f"{code}.bands[{index}]" for index in range(len(table.bands))))
    return Step(code, label, "multiply", names, source, factors[source]), np.zeros(len(values), np.bool_)


def by_vehicle_use(plan: RatingPlan, book: BookColumns) -> Step:
    """Return the factors of the vehicles' use."""
    found = [by_use(plan, name) for name in book.vehicle_use.names]
    names = tuple(f"vehicle_use.{row}" for _, row in found)
    factors = np.array([float(factor) for factor, _ in found] or [1.0])
    codes = book.vehicle_use.codes
    return Step("vehicle_use", "Use of the vehicle", "multiply", names, codes, factors[codes])


def by_territory(plan: RatingPlan, book: BookColumns) -> Step | None:
    """Return the factors of the areas, None if the plan has none."""
    if plan.territory is None:
        return None
    found = [by_area(plan.territory, name) for name in book.postcode.names]
    names = tuple(f"territory.{row}" for _, row in found)
    factors = np.array([float(factor) for factor, _ in found] or [1.0])
    codes = book.postcode.codes
    return Step("territory", "Where the vehicle is kept", "multiply", names, codes, factors[codes])


def relativities(plan: RatingPlan, book: BookColumns, rules: Sequence[Jurisdiction]) -> tuple[Floats, Bools]:
    """Return the relativity that multiplies each price, and where it is doubtful; ``rules`` are by state's number.

    The same as ``rating_telematics.telematics_relativity``: the weighting and the limits of change in whole numbers,
    exact; the curve in doubles.
    """
    part, places = plan.telematics, plan.rounding.factor_places
    whole = MILLION * MILLION
    weighted = (whole + book.credibility * (book.relativity - MILLION)).astype(np.float64) / whole
    curve, doubtful = Curve(part.curve, places).at(weighted)
    limited = np.minimum(np.maximum(curve, _limit(book, part, places, -1)), _limit(book, part, places, 1))
    kept = book.flags["mid_term"] & ~_of_states(book, [one.mid_term_change for one in rules])
    limited = np.where(kept, _running(book, places), limited)
    capped = np.minimum(np.maximum(limited, float(part.floor)), float(part.ceiling))
    only_down = _of_states(book, [one.discount_only for one in rules])
    return np.where(only_down, np.minimum(capped, 1.0), capped), doubtful & ~kept


def _limit(book: BookColumns, part: TelematicsPart, places: int, sign: int) -> Floats:
    """Return the lowest (rounded up) or highest (rounded down) relativity that the running term allows."""
    share = MILLION + sign * int(part.max_change_per_term * MILLION)
    unit = 10 ** (12 - places)
    product = book.running * share
    whole: Ints = -(-product // unit) if sign < 0 else product // unit
    return whole.astype(np.float64) / 10.0**places


def _running(book: BookColumns, places: int) -> Floats:
    unit = 10 ** max(0, 6 - places)
    rounded = (book.running + unit // 2) // unit if unit > 1 else book.running
    return rounded.astype(np.float64) / 10.0 ** min(places, 6)


def _of_states(book: BookColumns, values: Sequence[bool]) -> Bools:
    return np.array([*values, False], np.bool_)[book.state.codes]


def cents(amount: Decimal) -> int:
    """Return whole cents of an amount that has no more than two decimals."""
    return int(amount * 100)
