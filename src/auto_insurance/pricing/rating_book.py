"""Rates a whole book at once: the same cents as :func:`auto_insurance.pricing.rating.rate`, in columns.

Rows of which a double cannot tell the cent (see ``rating_vector``) are rated by the pure function.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

import numpy as np

from auto_insurance.pricing.errors import InvalidRatingInputs
from auto_insurance.pricing.plan_parts import OTHER_STATES, Product, RatingPlan
from auto_insurance.pricing.rating import ONE, Rating, product_of, rate
from auto_insurance.pricing.rating import covers as covers_of
from auto_insurance.pricing.rating_columns import MILLION, UNKNOWN, BookColumns, Bools, Ints
from auto_insurance.pricing.rating_factors import BY_NUMBER
from auto_insurance.pricing.rating_lines import DIGITS
from auto_insurance.pricing.rating_vector import (
    AMOUNT_ERRORS,
    Floats,
    Step,
    by_number,
    by_territory,
    by_vehicle_use,
    cents,
    near_tie,
    relativities,
)

MOST_CENTS = 10**10
MOST_MILES = 1_000_000
"""Premiums and miles beyond are rated one by one: their products do not fit into 64 bits."""


@dataclass(frozen=True, slots=True)
class SheetStep:
    """A step of all worksheets: factor and amount after it by row; ``source`` is -1 where a row has no such step."""

    code: str
    label: str
    operation: str
    sources: tuple[str, ...]
    source: Ints
    factor: Floats
    amount_after: Floats


@dataclass(frozen=True, slots=True)
class RatedBook:
    """What a plan makes of a book: money in whole cents. Rows in ``refused`` have none, and why."""

    annual: Ints
    monthly: Ints
    expected_annual: Ints
    fees: Ints
    taxes: Ints
    rate_per_mile: Ints
    """Ten-thousandths of a dollar, 0 without a rate."""
    relativity: Floats
    refused: Mapping[int, str]
    rated_alone: int
    """Rows that were rated in decimals."""
    steps: tuple[SheetStep, ...] = ()

    @property
    def rated(self) -> Bools:
        """The rows that have a price."""
        found = np.ones(len(self.annual), np.bool_)
        found[list(self.refused)] = False
        return found


@dataclass(slots=True)
class _Kind:
    """What rows of one state, product, package and choice of covers share."""

    product: Product | None
    base: float = 0.0
    covers: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    refusal: str | None = None


@dataclass(slots=True)
class _Work:
    """A book while it is rated. ``kind`` is the number of each row's kind."""

    plan: RatingPlan
    book: BookColumns
    kinds: list[_Kind]
    kind: Ints
    amount: Floats
    doubtful: Bools
    keep: bool
    steps: list[SheetStep] = field(default_factory=list)

    def multiply(self, step: Step) -> None:
        """Apply a step where it is one."""
        there = step.source >= 0
        self.set(step, np.where(there, self.amount * step.factor, self.amount))

    def set(self, step: Step, after: Floats) -> None:
        """Note a step and the amounts after it."""
        self.amount = after
        if self.keep:
            parts = (step.code, step.label, step.operation, step.sources, step.source, step.factor)
            self.steps.append(SheetStep(*parts, after.copy()))

    def of_kinds(self, values: list[float]) -> Floats:
        """Return a number for each row from those of the kinds."""
        return np.array([*values, 0.0])[self.kind]

    def where(self, chosen: list[bool]) -> Bools:
        """Return the rows of the kinds that are chosen."""
        return np.array([*chosen, False], np.bool_)[self.kind]


def rate_book(plan: RatingPlan, book: BookColumns, *, worksheets: bool = False) -> RatedBook:
    """Rate all rows. With ``worksheets`` the factor, row of the plan and amount of each step are kept in columns."""
    kinds, kind = _kinds(plan, book)
    size = len(book)
    work = _Work(plan, book, kinds, kind, np.zeros(size), np.zeros(size, np.bool_), worksheets)
    base = _base(work)
    rated = _factors(work)
    relativity = _telematics(work)
    _limits(work, base, rated)
    return _money(work, relativity)


def _kinds(plan: RatingPlan, book: BookColumns) -> tuple[list[_Kind], Ints]:
    columns = (book.state.codes, book.product.codes, book.coverage.codes, book.choices.codes)
    together = np.zeros(len(book), np.int64)
    for codes in columns:
        together = together * (int(codes.max(initial=0)) + 1) + codes
    _, first, kind = np.unique(together, return_index=True, return_inverse=True)
    return [_kind(plan, book, int(row)) for row in first], kind.astype(np.int64)


def _kind(plan: RatingPlan, book: BookColumns, row: int) -> _Kind:
    inputs = book.inputs(row)
    try:
        product, held = product_of(plan, inputs), covers_of(plan, inputs.coverage, inputs.choices)
    except InvalidRatingInputs as error:
        return _Kind(None, refusal=error.detail)
    state = plan.row(inputs.state)
    if not plan.coverages:
        base = float(plan.base[state][inputs.coverage])
        return _Kind(product, base, {"base": (base, f"base.{state}.{inputs.coverage}")})
    with localcontext() as context:
        context.prec = DIGITS
        prices = {
            cover.code: plan.base[state][cover.code] * plan.coverages[cover.code].options[cover.option]
            for cover in held
        }
        total = float(sum(prices.values(), Decimal(0)))
    return _Kind(
        product, total, {f"base.{code}": (float(price), f"base.{state}.{code}") for code, price in prices.items()}
    )


def _base(work: _Work) -> Floats:
    codes = dict.fromkeys(code for kind in work.kinds for code in kind.covers)
    if work.keep:
        labels = {f"base.{code}": table.label for code, table in work.plan.coverages.items()}
        for code in sorted(codes, key=list(labels or codes).index):
            sources = tuple(dict.fromkeys(kind.covers[code][1] for kind in work.kinds if code in kind.covers))
            numbers = [sources.index(kind.covers[code][1]) if code in kind.covers else -1 for kind in work.kinds]
            source = np.array([*numbers, -1])[work.kind]
            price = work.of_kinds([kind.covers.get(code, (0.0, ""))[0] for kind in work.kinds])
            step = Step(code, labels.get(code, "Base premium"), "add", sources, source, price)
            work.set(step, work.amount + price)
    work.amount = work.of_kinds([kind.base for kind in work.kinds])
    return work.amount


def _factors(work: _Work) -> Floats:
    plan, book = work.plan, work.book
    territory = by_territory(plan, book)
    if territory is not None:
        work.multiply(territory)
    for code, label in BY_NUMBER:
        _numbered(work, code, label)
    work.multiply(by_vehicle_use(plan, book))
    declared = work.where([kind.product is not None and kind.product.distance == "declared" for kind in work.kinds])
    _numbered(work, "annual_mileage", "Miles a year as declared", declared)
    for code, product in plan.offered.items():
        _driven(work, code, product)
    _numbered(work, "prior_claims", "Claims before enrolment")
    for code, product in plan.offered.items():
        if product.factor != ONE:
            chosen = work.where([kind.product is product for kind in work.kinds])
            source = np.where(chosen, 0, -1)
            factor = np.where(chosen, float(product.factor), 1.0)
            work.multiply(Step("product", product.label, "multiply", (f"products.{code}.factor",), source, factor))
    return work.amount


def _numbered(work: _Work, code: str, label: str, chosen: Bools | None = None) -> None:
    values = work.book.numbers[code]
    step, doubtful = by_number(code, label, getattr(work.plan, code), values, work.plan.rounding.factor_places)
    _apply(work, step, doubtful, chosen)


def _apply(work: _Work, step: Step, doubtful: Bools, chosen: Bools | None) -> None:
    if chosen is not None:
        factor = np.where(chosen, step.factor, 1.0)
        source = np.where(chosen, step.source, -1)
        step = Step(step.code, step.label, step.operation, step.sources, source, factor)
        doubtful = doubtful & chosen
    work.doubtful |= doubtful
    work.multiply(step)


def _driven(work: _Work, code: str, product: Product) -> None:
    if product.bands is None:
        return
    chosen = work.where([kind.product is product for kind in work.kinds])
    driven, declared = work.book.numbers["driven_miles"], work.book.numbers["annual_mileage"]
    miles = np.where(driven == UNKNOWN, declared, driven)
    place = f"products.{code}.bands"
    step, doubtful = by_number(place, "Miles driven in a year", product.bands, miles, work.plan.rounding.factor_places)
    named = Step("driven_miles", step.label, step.operation, step.sources, step.source, step.factor)
    _apply(work, named, doubtful, chosen)


def _telematics(work: _Work) -> Floats:
    plan, book = work.plan, work.book
    with_device = book.flags["participating"]
    nothing = np.where(with_device, 0, -1)
    discount = np.where(with_device, float(plan.telematics.participation), 1.0)
    label, row = "Drives with a device", "telematics.participation"
    work.multiply(Step("participation", label, "multiply", (row,), nothing, discount))
    rules = [plan.rules(name or "") for name in book.state.names]
    found, doubtful = relativities(plan, book, rules)
    sources = ["telematics.curve"]
    source = nothing.copy()
    used = with_device.copy()
    for barred, rows in _barred(work):
        here = rows & used
        source[here] = len(sources)
        sources.append(barred)
        used &= ~rows
    relativity = np.where(used, found, 1.0)
    work.doubtful |= doubtful & used
    work.multiply(Step("telematics", "How the driver drives", "multiply", tuple(sources), source, relativity))
    return relativity


def _barred(work: _Work) -> Iterator[tuple[str, Bools]]:
    """Yield the rows whose price the driving may not set, and the row of the plan that says so."""
    plan, book = work.plan, work.book
    for code, product in plan.offered.items():
        if not product.behaviour:
            chosen = work.where([kind.product is product for kind in work.kinds])
            yield f"products.{code}.behaviour", chosen
    for number, state in enumerate(book.state.names):
        rules, here = plan.rules(state or ""), book.state.codes == number
        if not rules.behaviour:
            yield f"jurisdictions.{state}.behaviour", here
        elif not rules.location:
            yield f"jurisdictions.{state}.location", here & book.uses_location


def _limits(work: _Work, base: Floats, rated: Floats) -> None:
    limit, size = work.plan.maximum_discount, len(work.book)
    everywhere = np.zeros(size, np.int64)
    if limit is not None:
        lowest = (base if limit.of == "base" else rated) * float(ONE - limit.total)
        label = "What all discounts leave at least"
        step = Step("maximum_discount", label, "at_least", ("maximum_discount.total",), everywhere, lowest)
        work.set(step, np.maximum(work.amount, lowest))
    minimum = np.full(size, float(work.plan.rounding.minimum_annual_premium))
    row = ("rounding.minimum_annual_premium",)
    work.set(Step("minimum", "Minimum premium", "at_least", row, everywhere, minimum), np.maximum(work.amount, minimum))


def _money(work: _Work, relativity: Floats) -> RatedBook:
    in_cents = work.amount * 100.0
    alone = work.doubtful | near_tie(in_cents, in_cents * AMOUNT_ERRORS) | ~(in_cents < MOST_CENTS)
    alone |= ~_countable(work)
    alone[list(work.book.alone)] = True
    year = np.floor(np.where(alone, 0.0, in_cents) + 0.5).astype(np.int64)
    annual, expected, per_mile = _by_the_mile(work, year)
    fees, taxes = _fees_and_taxes(work, annual)
    rated = RatedBook(
        annual=annual,
        monthly=_half_up(annual, 12),
        expected_annual=expected,
        fees=fees,
        taxes=taxes,
        rate_per_mile=per_mile,
        relativity=relativity,
        refused=_refused(work),
        rated_alone=int(alone.sum()),
        steps=tuple(work.steps),
    )
    _rate_alone(work, rated, alone)
    for row in rated.refused:
        for column in (rated.annual, rated.monthly, rated.expected_annual, rated.fees, rated.taxes):
            column[row] = 0
    return rated


def _countable(work: _Work) -> Bools:
    """Return where the miles are unknown or a number that a car can drive."""
    found = np.ones(len(work.book), np.bool_)
    for name in ("annual_mileage", "driven_miles"):
        miles = work.book.numbers[name]
        found &= (miles == UNKNOWN) | ((miles >= 0) & (miles <= MOST_MILES))
    return found


def _refused(work: _Work) -> dict[int, str]:
    found: dict[int, str] = {}
    for number, kind in enumerate(work.kinds):
        if kind.refusal is not None:
            found |= dict.fromkeys(np.flatnonzero(work.kind == number).tolist(), kind.refusal)
    return found


def _by_the_mile(work: _Work, year: Ints) -> tuple[Ints, Ints, Ints]:
    annual, expected, per_mile = year.copy(), year.copy(), np.zeros_like(year)
    for product in work.plan.offered.values():
        terms = product.per_mile
        if terms is None:
            continue
        rows = np.flatnonzero(work.where([kind.product is product for kind in work.kinds]))
        fixed = _half_up(year[rows] * int(terms.fixed_share * MILLION), MILLION)
        rates = _half_up((year[rows] - fixed) * 100, terms.reference_miles)
        miles = np.full(len(rows), terms.reference_miles, np.int64)
        for name in ("annual_mileage", "driven_miles"):
            known = work.book.numbers[name][rows]
            miles = np.where(known == UNKNOWN, miles, known)
        annual[rows], per_mile[rows] = fixed, rates
        expected[rows] = fixed + _half_up(rates * miles, 100)
    return annual, expected, per_mile


def _fees_and_taxes(work: _Work, annual: Ints) -> tuple[Ints, Ints]:
    plan, states = work.plan, work.book.state

    def of_states(values: list[int]) -> Ints:
        return np.array([*values, 0], np.int64)[states.codes]

    def fees(state: str | None, *, taxed: bool) -> int:
        due = (fee for fee in plan.fees if not fee.states or state in fee.states)
        return sum(cents(fee.amount) for fee in due if fee.taxed or not taxed)

    def tax(state: str | None) -> int:
        row = state if state in plan.taxes else OTHER_STATES
        return int(plan.taxes.get(row or OTHER_STATES, Decimal(0)) * MILLION)

    rates = of_states([tax(name) for name in states.names])
    taxed = annual + of_states([fees(name, taxed=True) for name in states.names])
    return of_states([fees(name, taxed=False) for name in states.names]), _half_up(taxed * rates, MILLION)


def _half_up(dividend: Ints, divisor: int) -> Ints:
    """Return the quotient rounded half up, exact. Dividends are not negative."""
    return (2 * dividend + divisor) // (2 * divisor)


def _rate_alone(work: _Work, rated: RatedBook, alone: Bools) -> None:
    """Rate the marked rows in decimals and put what comes out into their places."""
    for row in np.flatnonzero(alone).tolist():
        if row in rated.refused:
            continue
        rating = rate(work.plan, work.book.inputs(row))
        rated.annual[row] = cents(rating.annual_premium)
        rated.monthly[row] = cents(rating.monthly_premium)
        rated.expected_annual[row] = cents(rating.expected_annual)
        rated.fees[row] = cents(rating.fees)
        rated.taxes[row] = cents(rating.taxes)
        rated.rate_per_mile[row] = 0 if rating.per_mile is None else int(rating.per_mile.rate_per_mile * 10_000)
        rated.relativity[row] = float(rating.telematics_relativity)
        _sheet_alone(rated, row, rating)


def _sheet_alone(rated: RatedBook, row: int, rating: Rating) -> None:
    lines = {line.code: line for line in rating.worksheet}
    for step in rated.steps:
        line = lines.get(step.code)
        if line is not None and line.factor is not None and step.source[row] >= 0:
            step.factor[row], step.amount_after[row] = float(line.factor), float(line.amount_after)
