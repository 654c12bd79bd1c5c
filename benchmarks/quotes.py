"""Claim: a quote costs less than a millisecond of CPU, most of it the rating itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

import msgspec

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.pricing.plan import load_plan
from auto_insurance.pricing.quotes import QuoteDesk, QuoteOptions
from auto_insurance.pricing.rating import rate
from auto_insurance.pricing.schemas_quotes import Quote, QuoteRequest
from auto_insurance.pricing.service_rater import OnePlan, Rater
from auto_insurance.pricing.views import quote_out
from benchmarks.options import Options
from benchmarks.results import Figure, Limit, Report, Wrong

CALLS, QUICK_CALLS = 4_000, 300
AIM_US = 1000.0
BODY = msgspec.json.encode(
    {
        "state": "CA",
        "coverage": "full",
        "date_of_birth": "1986-01-01",
        "licence_date": "2006-01-01",
        "annual_mileage": 11_000,
        "prior_claims": 1,
        "vehicle_year": 2022,
        "vehicle_use": "commute",
    }
)


def main(options: Options) -> None:
    """Measure and report."""
    report = Report("quotes", options)
    calls = options.count(CALLS, QUICK_CALLS)
    plan, desk = load_plan(), QuoteDesk(Rater(cast("Any", None), None, OnePlan()), QuoteOptions())
    inputs = asyncio.run(_quote(desk)).inputs
    rating = rate(plan, inputs)
    factors = [line.factor for line in rating.worksheet if line.operation == "multiply" and line.factor is not None]
    product = [_cpu_us(lambda: _product(factors), calls) for _ in range(options.runs)]
    bare = [_cpu_us(lambda: rate(plan, inputs), calls) for _ in range(options.runs)]
    whole = [asyncio.run(_whole(desk, calls)) for _ in range(options.runs)]
    for name, runs in (("rate() alone, with its worksheet", bare), ("a quote: body, price, row, answer", whole)):
        report.add(
            Figure(
                "one",
                name,
                "us of CPU",
                runs,
                more_is_better=False,
                aim=AIM_US,
                limits=(Limit("rate() alone", bare), Limit("product of the same decimals", product)),
                detail={"calls": calls, "lines": len(rating.worksheet)},
            )
        )
    report.note("The database's part of a quote is one INSERT; it is not in the figure.")
    report.finish()


async def _quote(desk: QuoteDesk) -> Quote:
    # A stranger's quote asks the database nothing.
    return await desk.price(cast("UnitOfWork", None), QuoteRequest.model_validate_json(BODY))


async def _whole(desk: QuoteDesk, calls: int) -> float:
    """Return microseconds of CPU from the body of a request to that of its answer, with the row to be stored."""
    plan, answer, made = load_plan(), "", await _quote(desk)
    started = time.process_time()
    for _ in range(calls):
        made = await _quote(desk)
        row = msgspec.structs.asdict(made)
        row |= {name: msgspec.to_builtins(row[name]) for name in ("inputs", "worksheet")}
        answer = quote_out(made, rate(plan, made.inputs), plan.plan.basis).model_dump_json()
    spent = time.process_time() - started
    if made.quote_id not in answer:
        raise Wrong("the answer is not the quote")
    return spent / calls * 1e6


def _product(factors: list[Decimal]) -> Decimal:
    amount = Decimal(1)
    for factor in factors:
        amount *= factor
    return amount


def _cpu_us(work: Callable[[], object], calls: int) -> float:
    work()
    started = time.process_time()
    for _ in range(calls):
        work()
    return (time.process_time() - started) / calls * 1e6
