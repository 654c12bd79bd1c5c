"""From facts and a plan to a premium: pure, decimal, every step a line that can be replayed.

``premium = base * factors * participation * telematics relativity``, at least the minimum, rounded half up to cents,
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Decimal, localcontext
from itertools import pairwise

import msgspec

from auto_insurance.kernel.money import CENT, to_cents
from auto_insurance.pricing.errors import InvalidWorksheet
from auto_insurance.pricing.plan import OTHER_STATES, BandTable, Point, RatingPlan

ONE = Decimal(1)
MONTHS = Decimal(12)
USES = ("private", "commute", "business")
_DIGITS = 60
"""Enough that no product of a base rate and ten factors is ever rounded on the way."""


class Telematics(msgspec.Struct, frozen=True, kw_only=True):
    """What the risk model says, and what the running term pays."""

    relativity: Decimal = ONE
    """Expected claim frequency over the portfolio's, before credibility."""
    credibility: Decimal = Decimal(0)
    """How much of it counts, 0-1."""
    running_relativity: Decimal = ONE
    """Telematics relativity of the charged term; the new one may differ from it by the plan's limit."""


class RatingInputs(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that the plan rates. None is unknown."""

    rating_date: date
    state: str
    coverage: str
    driver_age: int | None
    licence_years: int | None
    vehicle_age: int | None
    vehicle_use: str | None
    annual_mileage: int | None
    prior_claims: int
    participating: bool = True
    telematics: Telematics = Telematics()


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the worksheet.

    ``operation``: ``start`` sets the amount to ``factor``, ``multiply`` by it, ``at_least`` lifts to it, ``round`` to
    cents half up, ``divide`` by it and round to cents. ``source`` is the row of the plan, ``detail`` the way to the
    factor.
    """

    step: int
    code: str
    label: str
    input: str
    operation: str
    factor: Decimal | None
    amount_before: Decimal
    amount_after: Decimal
    source: str
    detail: dict[str, str] = {}


class Rating(msgspec.Struct, frozen=True, kw_only=True):
    """A premium and its worksheet. Twelve months may differ from the year by some cents of rounding."""

    annual_premium: Decimal
    monthly_premium: Decimal
    currency: str
    plan_version: str
    telematics_relativity: Decimal
    worksheet: tuple[Line, ...]


def rate(plan: RatingPlan, inputs: RatingInputs) -> Rating:
    """Rate a driver. The same plan and inputs give the same worksheet, always."""
    with localcontext() as context:
        context.prec = _DIGITS
        sheet = _Sheet(plan)
        state = inputs.state if inputs.state in plan.base else OTHER_STATES
        base = plan.base[state][inputs.coverage]
        sheet.add(
            "base",
            "Base premium",
            f"{inputs.state}, {inputs.coverage}",
            "start",
            base,
            f"base.{state}.{inputs.coverage}",
        )
        sheet.band("driver_age", "Driver's age", plan.driver_age, inputs.driver_age)
        sheet.band("licence_years", "Years since the licence", plan.licence_years, inputs.licence_years)
        sheet.band("vehicle_age", "Vehicle's age in years", plan.vehicle_age, inputs.vehicle_age)
        use = inputs.vehicle_use if inputs.vehicle_use in USES else "unknown"
        sheet.add(
            "vehicle_use", "Use of the vehicle", use, "multiply", getattr(plan.vehicle_use, use), f"vehicle_use.{use}"
        )
        sheet.mileage(inputs.annual_mileage)
        sheet.band("prior_claims", "Claims before enrolment", plan.prior_claims, inputs.prior_claims)
        relativity = _telematics_lines(sheet, plan, inputs)
        minimum = plan.rounding.minimum_annual_premium
        sheet.add("minimum", "Minimum premium", "", "at_least", minimum, "rounding.minimum_annual_premium")
        annual = sheet.add("annual", "Annual premium, rounded to cents", "", "round", None, "rounding")
        monthly = sheet.add("monthly", "Monthly premium, rounded to cents", "", "divide", MONTHS, "rounding")
        return Rating(
            annual_premium=annual,
            monthly_premium=monthly,
            currency=plan.plan.currency,
            plan_version=plan.version,
            telematics_relativity=relativity,
            worksheet=tuple(sheet.lines),
        )


def replay(worksheet: Sequence[Line]) -> tuple[Decimal, Decimal]:
    """Return the annual and monthly premium that the lines lead to.

    Raises ``InvalidWorksheet`` if a line does not start where the one before ended or ends elsewhere than it says.
    """
    amount, annual = Decimal(0), None
    with localcontext() as context:
        context.prec = _DIGITS
        for line in worksheet:
            if line.amount_before != amount:
                raise InvalidWorksheet(f"step {line.step} ({line.code}) does not start at the amount before it")
            amount = _apply(line.operation, line.factor, amount)
            if line.amount_after != amount:
                raise InvalidWorksheet(f"step {line.step} ({line.code}) does not lead to its amount")
            if line.operation == "round":
                annual = amount
    if annual is None:
        raise InvalidWorksheet("the worksheet has no annual premium")
    return annual, amount


def telematics_relativity(plan: RatingPlan, telematics: Telematics) -> tuple[Decimal, dict[str, str]]:
    """Return the relativity that multiplies the price, and the way to it.

    Credibility-weighted, through the plan's curve, limited against the running term, then within floor and ceiling.
    """
    part = plan.telematics
    places = Decimal(1).scaleb(-plan.rounding.factor_places)
    weighted = ONE + telematics.credibility * (telematics.relativity - ONE)
    curve = interpolate(part.curve, weighted).quantize(places, ROUND_HALF_UP)
    running = telematics.running_relativity
    lowest = (running * (ONE - part.max_change_per_term)).quantize(places, ROUND_UP)
    highest = (running * (ONE + part.max_change_per_term)).quantize(places, ROUND_DOWN)
    limited = min(max(curve, lowest), highest)
    capped = min(max(limited, part.floor), part.ceiling)
    return capped, {
        "frequency_relativity": str(telematics.relativity),
        "credibility": str(telematics.credibility),
        "weighted": str(weighted.quantize(Decimal("0.000001"), ROUND_HALF_UP)),
        "curve": str(curve),
        "running_relativity": str(running.quantize(places, ROUND_HALF_UP)),
        "after_change_limit": str(limited),
        "after_floor_and_ceiling": str(capped),
    }


def interpolate(points: Sequence[Point], value: Decimal) -> Decimal:
    """Return the factor at ``value``: linear between the points, flat outside them."""
    if value <= points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in pairwise(points):
        if value <= x1:
            return y0 + (y1 - y0) * (value - x0) / (x1 - x0)
    return points[-1][1]


class _Sheet:
    """Collects lines; each starts where the last one ended."""

    def __init__(self, plan: RatingPlan) -> None:
        self.lines: list[Line] = []
        self._plan = plan
        self._amount = Decimal(0)

    def add(
        self,
        code: str,
        label: str,
        given: str,
        operation: str,
        factor: Decimal | None,
        source: str,
        detail: dict[str, str] | None = None,
    ) -> Decimal:
        before, self._amount = self._amount, _apply(operation, factor, self._amount)
        self.lines.append(
            Line(
                step=len(self.lines) + 1,
                code=code,
                label=label,
                input=given,
                operation=operation,
                factor=factor,
                amount_before=before,
                amount_after=self._amount,
                source=source,
                detail=detail or {},
            )
        )
        return self._amount

    def band(self, code: str, label: str, table: BandTable, value: int | None) -> None:
        if value is None:
            self.add(code, label, "unknown", "multiply", table.unknown, f"{code}.unknown")
            return
        index = next(i for i, band in enumerate(table.bands) if band.below is None or value < band.below)
        self.add(code, label, str(value), "multiply", table.bands[index].factor, f"{code}.bands[{index}]")

    def mileage(self, miles: int | None) -> None:
        code, label, table = "annual_mileage", "Miles a year as declared", self._plan.annual_mileage
        if miles is None:
            self.add(code, label, "unknown", "multiply", table.unknown, f"{code}.unknown")
            return
        places = Decimal(1).scaleb(-self._plan.rounding.factor_places)
        factor = interpolate(table.points, Decimal(miles)).quantize(places, ROUND_HALF_UP)
        self.add(code, label, str(miles), "multiply", factor, f"{code}.points")


def _telematics_lines(sheet: _Sheet, plan: RatingPlan, inputs: RatingInputs) -> Decimal:
    if not inputs.participating:
        return ONE
    part = plan.telematics
    sheet.add(
        "participation", "Drives with a device", "yes", "multiply", part.participation, "telematics.participation"
    )
    relativity, detail = telematics_relativity(plan, inputs.telematics)
    given = f"relativity {detail['frequency_relativity']} at credibility {detail['credibility']}"
    sheet.add("telematics", "How the driver drives", given, "multiply", relativity, "telematics.curve", detail)
    return relativity


def _apply(operation: str, factor: Decimal | None, amount: Decimal) -> Decimal:
    if operation == "round":
        return to_cents(amount)
    if factor is None:
        raise InvalidWorksheet(f"operation {operation} needs a factor")
    if operation == "start":
        return factor
    if operation == "multiply":
        return _tidy(amount * factor)
    if operation == "at_least":
        return max(amount, factor)
    if operation == "divide":
        return to_cents(amount / factor)
    raise InvalidWorksheet(f"unknown operation {operation}")


def _tidy(amount: Decimal) -> Decimal:
    """Return the same amount without zeros at its end, but with cents."""
    plain = amount.normalize()
    exponent = plain.as_tuple().exponent
    return plain if isinstance(exponent, int) and exponent < -2 else amount.quantize(CENT)
