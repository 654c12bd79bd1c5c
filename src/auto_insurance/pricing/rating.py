"""From facts and a plan to a premium: pure, decimal, every step a line that can be replayed.

``premium = base * factors * participation * telematics relativity``, at least what the limit of all discounts leaves
and the minimum, rounded half up to cents, once. A rate per mile, fees and taxes are lines of their own after it.
"""

from __future__ import annotations

from decimal import Decimal, localcontext

import msgspec

from auto_insurance.kernel.money import to_cents
from auto_insurance.pricing.errors import InvalidRatingInputs
from auto_insurance.pricing.plan_parts import OTHER_STATES, PACKAGES, PerMileTerms, Product, RatingPlan
from auto_insurance.pricing.rating_factors import BY_NUMBER, by_area, by_number, by_use, interpolate
from auto_insurance.pricing.rating_inputs import ONE, USES, RatingInputs, Telematics
from auto_insurance.pricing.rating_lines import DIGITS, Line, Sheet, base_premium, replay, replay_all, tidy
from auto_insurance.pricing.rating_telematics import not_used, telematics_relativity

__all__ = [
    "MONTHS",
    "ONE",
    "USES",
    "Cover",
    "Line",
    "PerMile",
    "Rating",
    "RatingInputs",
    "Telematics",
    "base_premium",
    "covers",
    "interpolate",
    "rate",
    "replay",
    "replay_all",
    "telematics_relativity",
]
MONTHS = Decimal(12)
NO_MONEY = Decimal("0.00")


class Cover(msgspec.Struct, frozen=True, kw_only=True):
    """What is covered, up to which limit or above which deductible, as the plan words it."""

    code: str
    kind: str
    """``limit`` or ``deductible``; ``included`` where the plan prices packages as a whole."""
    option: str


class PerMile(msgspec.Struct, frozen=True, kw_only=True):
    """What is charged beside the miles, and for each of them. Of a day at most ``daily_cap_miles`` are charged."""

    rate_per_mile: Decimal
    """Four decimals."""
    daily_cap_miles: int
    base_per_month: Decimal
    base_per_year: Decimal
    """The same as the annual premium: what is due whether a mile is driven or not."""
    expected_miles: int
    """Of a year: as driven, else as declared, else the plan's reference."""
    expected_annual: Decimal
    """Base and expected miles of a year."""


class Rating(msgspec.Struct, frozen=True, kw_only=True):
    """A premium and its worksheet. Twelve months may differ from the year by some cents of rounding.

    With a rate per mile the annual premium is the part that is due without a mile; see :class:`PerMile`. ``fees`` are
    due once a term and ``taxes`` are those of a year at ``tax_rate``: neither is part of the premium.
    """

    annual_premium: Decimal
    monthly_premium: Decimal
    currency: str
    plan_version: str
    telematics_relativity: Decimal
    worksheet: tuple[Line, ...]
    product: str = "phyd"
    covers: tuple[Cover, ...] = ()
    fees: Decimal = NO_MONEY
    taxes: Decimal = NO_MONEY
    tax_rate: Decimal = Decimal(0)
    per_mile: PerMile | None = None

    @property
    def expected_annual(self) -> Decimal:
        """What a year of premium comes to: with the expected miles where they are charged one by one."""
        return self.annual_premium if self.per_mile is None else self.per_mile.expected_annual


def rate(plan: RatingPlan, inputs: RatingInputs) -> Rating:
    """Rate a driver. The same plan and inputs give the same worksheet, always.

    Raises ``InvalidRatingInputs`` for a product, package or choice of cover that the plan or the state does not have.
    """
    product = product_of(plan, inputs)
    with localcontext() as context:
        context.prec = DIGITS
        sheet = Sheet()
        base = _base_lines(sheet, plan, inputs)
        rated = _factor_lines(sheet, plan, product, inputs)
        relativity = _telematics_lines(sheet, plan, product, inputs)
        _limit_lines(sheet, plan, base, rated)
        annual, monthly, per_mile = _premium_lines(sheet, inputs, product)
        fees, taxes, tax_rate = _fee_and_tax_lines(sheet, plan, inputs.state, annual)
        return Rating(
            annual_premium=annual,
            monthly_premium=monthly,
            currency=plan.plan.currency,
            plan_version=plan.version,
            telematics_relativity=relativity,
            worksheet=tuple(sheet.lines),
            product=inputs.product,
            covers=covers(plan, inputs.coverage, inputs.choices),
            fees=fees,
            taxes=taxes,
            tax_rate=tax_rate,
            per_mile=per_mile,
        )


def product_of(plan: RatingPlan, inputs: RatingInputs) -> Product:
    """Return the product. Raises ``InvalidRatingInputs`` if the plan does not rate it or the state forbids it."""
    product = plan.offered.get(inputs.product)
    if product is None:
        raise InvalidRatingInputs("product", f"{plan.version} rates {', '.join(plan.offered)}, not {inputs.product}")
    allowed = plan.rules(inputs.state).products
    if allowed and inputs.product not in allowed:
        raise InvalidRatingInputs("product", f"{inputs.state} allows {', '.join(allowed)}, not {inputs.product}")
    return product


def covers(plan: RatingPlan, package: str, choices: dict[str, str]) -> tuple[Cover, ...]:
    """Return what a package covers, with the choices in place of what it holds by itself.

    Raises ``InvalidRatingInputs`` for an unknown package, a cover that is not in it, or an option that is not there.
    """
    if package not in PACKAGES:
        raise InvalidRatingInputs("coverage", f"packages are {', '.join(PACKAGES)}, not {package}")
    held = plan.packages.get(package, {})
    for code, option in choices.items():
        if code not in held or code not in plan.coverages:
            raise InvalidRatingInputs(f"choices.{code}", f"{package} of {plan.version} leaves no choice of it")
        if option not in plan.coverages[code].options:
            known = ", ".join(plan.coverages[code].options)
            raise InvalidRatingInputs(f"choices.{code}", f"it may be {known}, not {option}")
    in_order = [code for code in plan.coverages if code in held] or list(held)
    return tuple(
        Cover(
            code=code,
            kind=plan.coverages[code].kind if code in plan.coverages else "included",
            option=choices.get(code, held[code]),
        )
        for code in in_order
    )


def _base_lines(sheet: Sheet, plan: RatingPlan, inputs: RatingInputs) -> Decimal:
    held = covers(plan, inputs.coverage, inputs.choices)
    row = plan.row(inputs.state)
    if not plan.coverages:
        package = inputs.coverage
        given = f"{inputs.state}, {package}"
        return sheet.add("base", "Base premium", given, "start", plan.base[row][package], f"base.{row}.{package}")
    for cover in held:
        table, base = plan.coverages[cover.code], plan.base[row][cover.code]
        factor = table.options[cover.option]
        sheet.add(
            f"base.{cover.code}",
            table.label,
            f"{inputs.state}, {cover.kind} {cover.option}",
            "add" if sheet.lines else "start",
            tidy(base * factor),
            f"base.{row}.{cover.code}",
            {"base": str(base), "option": f"coverages.{cover.code}.options.{cover.option}", "factor": str(factor)},
        )
    return sheet.amount


def _factor_lines(sheet: Sheet, plan: RatingPlan, product: Product, inputs: RatingInputs) -> Decimal:
    places = plan.rounding.factor_places

    def numbered(code: str, label: str, value: int | None) -> None:
        factor, row = by_number(getattr(plan, code), value, places)
        sheet.add(code, label, _given(value), "multiply", factor, f"{code}.{row}")

    if plan.territory is not None:
        factor, row = by_area(plan.territory, inputs.postcode)
        given = row.removeprefix("postcodes.")
        sheet.add("territory", "Where the vehicle is kept", given, "multiply", factor, f"territory.{row}")
    for code, label in BY_NUMBER:
        numbered(code, label, getattr(inputs, code))
    factor, use = by_use(plan, inputs.vehicle_use)
    sheet.add("vehicle_use", "Use of the vehicle", use, "multiply", factor, f"vehicle_use.{use}")
    if product.distance == "declared":
        numbered("annual_mileage", "Miles a year as declared", inputs.annual_mileage)
    elif product.bands is not None:
        miles = inputs.annual_mileage if inputs.driven_miles is None else inputs.driven_miles
        factor, row = by_number(product.bands, miles, places)
        source = f"products.{inputs.product}.bands.{row}"
        sheet.add("driven_miles", "Miles driven in a year", _given(miles), "multiply", factor, source)
    numbered("prior_claims", "Claims before enrolment", inputs.prior_claims)
    if product.factor != ONE:
        source = f"products.{inputs.product}.factor"
        sheet.add("product", product.label, inputs.product, "multiply", product.factor, source)
    return sheet.amount


def _telematics_lines(sheet: Sheet, plan: RatingPlan, product: Product, inputs: RatingInputs) -> Decimal:
    if not inputs.participating:
        return ONE
    participation, label = plan.telematics.participation, "How the driver drives"
    sheet.add("participation", "Drives with a device", "yes", "multiply", participation, "telematics.participation")
    barred = not_used(plan, product, inputs)
    if barred is not None:
        source, because = barred
        sheet.add("telematics", label, "not used", "multiply", ONE, source, {"not_used": because})
        return ONE
    rules = plan.rules(inputs.state)
    relativity, detail = telematics_relativity(plan, inputs.telematics, rules, mid_term=inputs.mid_term)
    given = f"relativity {detail['frequency_relativity']} at credibility {detail['credibility']}"
    sheet.add("telematics", label, given, "multiply", relativity, "telematics.curve", detail)
    return relativity


def _limit_lines(sheet: Sheet, plan: RatingPlan, base: Decimal, rated: Decimal) -> None:
    limit = plan.maximum_discount
    if limit is not None:
        undiscounted = base if limit.of == "base" else rated
        lowest = undiscounted * (ONE - limit.total)
        detail = {"undiscounted": str(undiscounted), "most_of_all_discounts": str(limit.total)}
        label = "What all discounts leave at least"
        sheet.add("maximum_discount", label, "", "at_least", lowest, "maximum_discount.total", detail)
    minimum = plan.rounding.minimum_annual_premium
    sheet.add("minimum", "Minimum premium", "", "at_least", minimum, "rounding.minimum_annual_premium")


def _premium_lines(sheet: Sheet, inputs: RatingInputs, product: Product) -> tuple[Decimal, Decimal, PerMile | None]:
    terms = product.per_mile
    if terms is None:
        annual = sheet.add("annual", "Annual premium, rounded to cents", "", "round", None, "rounding")
        monthly = sheet.add("monthly", "Monthly premium, rounded to cents", "", "divide", MONTHS, "rounding")
        return annual, monthly, None
    place = f"products.{inputs.product}.per_mile"
    miles = str(terms.reference_miles)
    year = sheet.add("reference_year", "A year of the reference miles", miles, "round", None, "rounding")
    annual = sheet.add(
        "annual", "Fixed part of the year", f"{miles} miles", "share", terms.fixed_share, f"{place}.fixed_share"
    )
    monthly = sheet.add("monthly", "Fixed part of a month", "", "divide", MONTHS, "rounding")
    return annual, monthly, _mile_lines(sheet, inputs, terms, year - annual, annual, place)


def _mile_lines(
    sheet: Sheet, inputs: RatingInputs, terms: PerMileTerms, moving: Decimal, annual: Decimal, place: str
) -> PerMile:
    monthly = sheet.amount
    sheet.add("moving_part", "The rest of the year, by the mile", "", "start", moving, f"{place}.fixed_share")
    rate_per_mile = sheet.add(
        "rate_per_mile",
        "Rate per mile, to four decimals",
        "",
        "per_unit",
        Decimal(terms.reference_miles),
        f"{place}.reference_miles",
    )
    known = (inputs.driven_miles, inputs.annual_mileage, terms.reference_miles)
    miles = next(number for number in known if number is not None)
    expected = sheet.add(
        "expected_miles",
        "The miles expected in a year",
        str(miles),
        "share",
        Decimal(miles),
        f"{place}.daily_cap_miles",
    )
    return PerMile(
        rate_per_mile=rate_per_mile,
        daily_cap_miles=terms.daily_cap_miles,
        base_per_month=monthly,
        base_per_year=annual,
        expected_miles=miles,
        expected_annual=annual + expected,
    )


def _fee_and_tax_lines(sheet: Sheet, plan: RatingPlan, state: str, annual: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    fees, taxed = NO_MONEY, annual
    for index, fee in enumerate(plan.fees):
        if not fee.states or state in fee.states:
            fees += sheet.add(f"fee.{fee.code}", fee.label, "a term", "start", fee.amount, f"fees[{index}].amount")
            taxed += fee.amount if fee.taxed else NO_MONEY
    row = state if state in plan.taxes else OTHER_STATES
    tax_rate = plan.taxes.get(row, Decimal(0))
    if tax_rate == 0:
        return to_cents(fees), NO_MONEY, tax_rate
    sheet.add("taxed", "Premium of a year and fees that are taxed", "", "start", taxed, f"taxes.{row}")
    taxes = sheet.add("taxes", "Taxes of a year", "", "share", tax_rate, f"taxes.{row}")
    return to_cents(fees), taxes, tax_rate


def _given(value: int | None) -> str:
    return "unknown" if value is None else str(value)
