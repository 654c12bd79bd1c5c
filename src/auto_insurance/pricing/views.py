"""Builds the answers of the routes from premiums."""

from __future__ import annotations

from decimal import Decimal

from auto_insurance.kernel.money import to_cents
from auto_insurance.pricing.plan import RatingPlan
from auto_insurance.pricing.rating import Line, Rating, base_premium
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
from auto_insurance.pricing.schemas_quotes import PerMileOut, Quote, QuoteOut, QuoteStatus
from auto_insurance.pricing.schemas_reports import (
    ComparisonOut,
    DiscountInfoOut,
    DiscountOut,
    SimulationOut,
    SimulationRequest,
)

_ADJUSTING = ("multiply", "at_least")
_TELEMATICS = "telematics"
_COMPARED = "The same facts on the same day and plan, driven without a device: no discount for it, no driving factor."


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
        base_premium=to_cents(base_premium(premium.worksheet)),
        discounts=[_adjustment(line) for line in lower],
        surcharges=[_adjustment(line) for line in higher],
        total_discount=_sum(lower),
        total_surcharge=_sum(higher),
        telematics_amount=_sum([line for line in steps if line.code == _TELEMATICS]),
        worksheet=[line_out(line) for line in premium.worksheet],
    )


def simulation_out(
    driver_id: str,
    request: SimulationRequest,
    rating: Rating,
    assumed: tuple[float, float],
    charged: Premium | None,
    plan_basis: str,
) -> SimulationOut:
    """Return a what-if price beside today's; ``assumed`` are the relativity and the confidence."""
    return SimulationOut(
        driver_id=driver_id,
        annual_premium=rating.annual_premium,
        monthly_premium=rating.monthly_premium,
        currency=rating.currency,
        fees=rating.fees,
        taxes=rating.taxes,
        per_mile=per_mile_out(rating),
        current_annual_premium=None if charged is None else charged.annual_premium,
        current_monthly_premium=None if charged is None else charged.monthly_premium,
        annual_difference=None if charged is None else rating.annual_premium - charged.annual_premium,
        monthly_difference=None if charged is None else rating.monthly_premium - charged.monthly_premium,
        changed=request.model_dump(mode="json", exclude_none=True),
        relativity=assumed[0],
        confidence=assumed[1],
        plan_version=rating.plan_version,
        plan_basis=plan_basis,
        worksheet=[line_out(line) for line in rating.worksheet],
    )


def comparison_out(premiums: Premiums, traditional: Rating, plan_basis: str) -> ComparisonOut:
    """Return the charged price beside the one without a device."""
    charged, indicated = premiums.charged, premiums.indicated
    savings = traditional.annual_premium - charged.annual_premium
    return ComparisonOut(
        driver_id=charged.driver_id,
        currency=charged.currency,
        effective_date=charged.effective_date,
        plan_version=charged.plan_version,
        plan_basis=plan_basis,
        charged_annual_premium=charged.annual_premium,
        charged_monthly_premium=charged.monthly_premium,
        indicated_annual_premium=None if indicated is None else indicated.annual_premium,
        traditional_annual_premium=traditional.annual_premium,
        traditional_monthly_premium=traditional.monthly_premium,
        annual_savings=savings,
        savings_percent=_percent(savings, traditional.annual_premium),
        note=_COMPARED,
        traditional_worksheet=[line_out(line) for line in traditional.worksheet],
    )


def discount_info_out(charged: Premium, plan: RatingPlan, best: Rating) -> DiscountInfoOut:
    """Return what lowers and raises a charged price; ``best`` is the price at the plan's lowest driving factor."""
    part, sheet = plan.telematics, worksheet_out(charged)
    return DiscountInfoOut(
        driver_id=charged.driver_id,
        currency=charged.currency,
        plan_version=charged.plan_version,
        plan_basis=plan.plan.basis,
        participation=_discount(charged, "participation", "Drives with a device", part.participation),
        driving=_discount(charged, _TELEMATICS, "How the driver drives", part.floor),
        max_change_per_term_percent=_percent(part.max_change_per_term, Decimal(1)),
        worst_driving_percent=_percent(part.ceiling - 1, Decimal(1)),
        best_annual_premium=best.annual_premium,
        discounts=sheet.discounts,
        surcharges=sheet.surcharges,
    )


def quote_out(quote: Quote, rating: Rating, plan_basis: str) -> QuoteOut:
    """Return a quote; ``rating`` has what is not stored with it."""
    return QuoteOut(
        quote_id=quote.quote_id,
        status=QuoteStatus(quote.status),
        driver_id=quote.driver_id,
        start_date=quote.inputs.rating_date,
        annual_premium=quote.annual_premium,
        monthly_premium=quote.monthly_premium,
        currency=quote.currency,
        fees=rating.fees,
        taxes=rating.taxes,
        per_mile=per_mile_out(rating),
        plan_version=quote.plan_version,
        plan_basis=plan_basis,
        worksheet=[line_out(line) for line in quote.worksheet],
        created_at=quote.created_at,
        expires_at=quote.expires_at,
        policy_id=quote.policy_id,
    )


def per_mile_out(rating: Rating) -> PerMileOut | None:
    """Return the rate per mile of a rating that has one."""
    terms = rating.per_mile
    if terms is None:
        return None
    return PerMileOut(
        rate_per_mile=str(terms.rate_per_mile),
        daily_cap_miles=terms.daily_cap_miles,
        base_per_month=terms.base_per_month,
        expected_miles=terms.expected_miles,
        expected_annual_premium=terms.expected_annual,
    )


def _discount(charged: Premium, code: str, label: str, best: Decimal) -> DiscountOut:
    line = next((line for line in charged.worksheet if line.code == code and line.factor is not None), None)
    factor = Decimal(1) if line is None or line.factor is None else line.factor
    return DiscountOut(
        code=code,
        label=label,
        factor=str(factor),
        percent=_percent(factor - 1, Decimal(1)),
        annual_amount=Decimal("0.00") if line is None else to_cents(_change(line)),
        best_percent=_percent(best - 1, Decimal(1)),
    )


def _percent(part: Decimal, whole: Decimal) -> float:
    return round(float(100 * part / whole), 2) if whole else 0.0


def _change(line: Line) -> Decimal:
    return line.amount_after - line.amount_before


def _sum(lines: list[Line]) -> Decimal:
    return to_cents(sum((_change(line) for line in lines), Decimal(0)))


def _adjustment(line: Line) -> AdjustmentOut:
    factor = None if line.factor is None else str(line.factor)
    return AdjustmentOut(code=line.code, label=line.label, factor=factor, amount=to_cents(_change(line)))


def line_out(line: Line) -> LineOut:
    """Return a step of a worksheet."""
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
