"""Builds the answers of the routes from premiums."""

from __future__ import annotations

from decimal import Decimal

from auto_insurance.kernel.money import to_cents
from auto_insurance.pricing.rating import Line
from auto_insurance.pricing.schemas import (
    AdjustmentOut,
    CurrentPremiumOut,
    LineOut,
    Premium,
    PremiumBreakdownOut,
    PremiumOut,
    Premiums,
    WorksheetOut,
    premium_fields,
)

_ADJUSTING = ("multiply", "at_least")
_TELEMATICS = "telematics"


def current_out(premiums: Premiums, plan_basis: str) -> CurrentPremiumOut:
    """Return the charged premium with the indicated one beside it."""
    charged, indicated = premiums.charged, premiums.indicated
    difference = None if indicated is None else indicated.monthly_premium - charged.monthly_premium
    return CurrentPremiumOut(
        **premium_fields(charged),
        driver_id=charged.driver_id,
        plan_basis=plan_basis,
        indicated=None if indicated is None else PremiumOut.of(indicated),
        indicated_monthly_difference=difference,
    )


def breakdown_out(premiums: Premiums, plan_basis: str) -> PremiumBreakdownOut:
    """Return both worksheets."""
    return PremiumBreakdownOut(
        driver_id=premiums.charged.driver_id,
        plan_basis=plan_basis,
        charged=worksheet_out(premiums.charged),
        indicated=None if premiums.indicated is None else worksheet_out(premiums.indicated),
    )


def worksheet_out(premium: Premium) -> WorksheetOut:
    """Return a premium with its lines, and what each took off or put on. Sums are of the unrounded steps."""
    steps = [line for line in premium.worksheet if line.operation in _ADJUSTING and _change(line) != 0]
    lower = [line for line in steps if _change(line) < 0]
    higher = [line for line in steps if _change(line) > 0]
    return WorksheetOut(
        **premium_fields(premium),
        base_premium=to_cents(premium.worksheet[0].amount_after),
        discounts=[_adjustment(line) for line in lower],
        surcharges=[_adjustment(line) for line in higher],
        total_discount=_sum(lower),
        total_surcharge=_sum(higher),
        telematics_amount=_sum([line for line in steps if line.code == _TELEMATICS]),
        worksheet=[_line(line) for line in premium.worksheet],
    )


def _change(line: Line) -> Decimal:
    return line.amount_after - line.amount_before


def _sum(lines: list[Line]) -> Decimal:
    return to_cents(sum((_change(line) for line in lines), Decimal(0)))


def _adjustment(line: Line) -> AdjustmentOut:
    factor = None if line.factor is None else str(line.factor)
    return AdjustmentOut(code=line.code, label=line.label, factor=factor, amount=to_cents(_change(line)))


def _line(line: Line) -> LineOut:
    return LineOut(
        step=line.step,
        code=line.code,
        label=line.label,
        input=line.input,
        operation=line.operation,
        factor=None if line.factor is None else str(line.factor),
        amount_before=str(line.amount_before),
        amount_after=str(line.amount_after),
        source=line.source,
        detail=line.detail,
    )
