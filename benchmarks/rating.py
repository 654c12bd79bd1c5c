"""Claim: a price costs less than a millisecond, a book of 100,000 under 2 s, with worksheets under 10 s; linear."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from functools import partial

import numpy as np

from auto_insurance.pricing.plan import RatingPlan, load_plan
from auto_insurance.pricing.rating import RatingInputs, Telematics, rate
from auto_insurance.pricing.rating_book import rate_book
from auto_insurance.pricing.rating_columns import BookColumns, of_inputs
from benchmarks.options import Options
from benchmarks.results import Figure, Limit, Report, Wrong

POLICIES, QUICK_POLICIES = 100_000, 5_000
SINGLE = 2_000
CHECKED = 300
TIMES = (1, 2, 5, 10)
"""Sizes of the book as multiples, for the look whether cost is linear."""
DAY = date(2026, 6, 1)


def main(options: Options) -> None:
    """Measure and report."""
    report = Report("rating", options)
    inputs = _book(options.count(POLICIES, QUICK_POLICIES))
    for name in ("standard-1", "standard-2"):
        plan = load_plan(name)
        _single(report, options, plan, inputs)
        _whole(report, options, plan, inputs)
    _linear(report, options, inputs)
    report.finish()


def _book(policies: int) -> list[RatingInputs]:
    draw = random.Random(7)
    return [
        RatingInputs(
            rating_date=DAY,
            state=draw.choice(["CA", "NY", "TX", "FL", "WA", "IL"]),
            coverage=draw.choice(["liability", "standard", "full"]),
            driver_age=draw.randint(16, 90),
            licence_years=draw.randint(0, 60),
            vehicle_age=draw.randint(0, 25),
            vehicle_use=draw.choice(["private", "commute", "business", None]),
            annual_mileage=draw.choice([None, *(draw.randint(500, 40_000) for _ in range(9))]),
            prior_claims=draw.choice([0, 0, 0, 0, 1, 2, 3]),
            telematics=Telematics(
                relativity=Decimal(draw.randint(200_000, 3_000_000)).scaleb(-6),
                credibility=Decimal(draw.randint(0, 1_000_000)).scaleb(-6),
                running_relativity=Decimal(draw.randint(7_000, 14_000)).scaleb(-4),
            ),
        )
        for _ in range(policies)
    ]


def _single(report: Report, options: Options, plan: RatingPlan, inputs: Sequence[RatingInputs]) -> None:
    measured, bare = [], []
    few = inputs[:SINGLE]
    for _ in range(options.runs):
        started = time.perf_counter()
        ratings = [rate(plan, one) for one in few]
        measured.append((time.perf_counter() - started) / len(few) * 1e6)
        factors = [
            [line.factor for line in one.worksheet if line.operation in ("start", "multiply")] for one in ratings
        ]
        started = time.perf_counter()
        for row in factors:
            product = Decimal(1)
            for factor in row:
                product *= factor or 1
        bare.append((time.perf_counter() - started) / len(few) * 1e6)
    limits = [Limit("the product of the same decimals", bare)]
    report.add(
        Figure(
            "rating", f"one price with its worksheet, {plan.version}", "us", measured, more_is_better=False,
            aim=1_000.0, limits=limits,
        )
    )  # fmt: skip


def _whole(report: Report, options: Options, plan: RatingPlan, inputs: list[RatingInputs]) -> None:
    columns = of_inputs(inputs)
    _check(plan, inputs, columns)
    encoding, totals, sheets, bare = [], [], [], []
    for _ in range(options.runs):
        encoding.append(_seconds(lambda: of_inputs(inputs)))
        totals.append(_seconds(lambda: rate_book(plan, columns)))
        sheets.append(_seconds(lambda: rate_book(plan, columns, worksheets=True)))
        bare.append(_bare(plan, columns))
    limits = [Limit("numpy product of the same factors", bare)]
    size = f"{len(inputs):,} policies, {plan.version}"
    for name, runs, aim in (
        (f"totals of {size}", totals, 2.0),
        (f"with worksheets, {size}", sheets, 10.0),
        (f"inputs to columns, {size}", encoding, None),
    ):
        wanted = None if options.quick else aim
        report.add(Figure("rating", name, "s", runs, more_is_better=False, aim=wanted, limits=limits))
    alone = rate_book(plan, columns).rated_alone
    report.note(f"{plan.version}: {alone} of {len(inputs):,} rows lay near a tie and were rated in decimals.")


def _bare(plan: RatingPlan, columns: BookColumns) -> float:
    """Return the seconds that numpy takes to multiply the factors of all steps, found beforehand."""
    steps = rate_book(plan, columns, worksheets=True).steps
    factors = [step.factor for step in steps if step.operation == "multiply"]
    base = steps[0].factor

    def product() -> None:
        amount = base.copy()
        for factor in factors:
            amount *= factor
        np.rint(amount * 100).astype(np.int64)

    return _seconds(product)


def _linear(report: Report, options: Options, inputs: list[RatingInputs]) -> None:
    plan = load_plan("standard-2")
    for times in TIMES:
        columns = of_inputs(inputs * times)
        work = partial(rate_book, plan, columns)
        runs = [_seconds(work) / len(columns) * 1e6 for _ in range(options.runs)]
        report.add(Figure("rating", f"totals, each of {len(columns):,} policies", "us", runs, more_is_better=False))


def _check(plan: RatingPlan, inputs: Sequence[RatingInputs], columns: BookColumns) -> None:
    rated = rate_book(plan, columns)
    for row in range(0, len(inputs), max(1, len(inputs) // CHECKED)):
        if Decimal(int(rated.annual[row])).scaleb(-2) != rate(plan, inputs[row]).annual_premium:
            raise Wrong(f"row {row} has another premium in the book than by itself")


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
