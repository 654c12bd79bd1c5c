"""From the model's frequency relativity to the one that multiplies the price. Pure, decimal."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Decimal

from auto_insurance.pricing.plan_parts import ANYTHING, Jurisdiction, Product, RatingPlan
from auto_insurance.pricing.rating_factors import interpolate, unit
from auto_insurance.pricing.rating_inputs import ONE, RatingInputs, Telematics

_SIX = Decimal("0.000001")


def telematics_relativity(
    plan: RatingPlan, telematics: Telematics, rules: Jurisdiction = ANYTHING, *, mid_term: bool = False
) -> tuple[Decimal, dict[str, str]]:
    """Return the relativity that multiplies the price, and the way to it.

    Credibility-weighted, through the plan's curve, limited against the running term, within floor and ceiling, and at
    most 1 where a state allows only discounts. Where no running term may be changed it stays as it runs.
    """
    part = plan.telematics
    places = unit(plan.rounding.factor_places)
    weighted = ONE + telematics.credibility * (telematics.relativity - ONE)
    curve = interpolate(part.curve, weighted).quantize(places, ROUND_HALF_UP)
    running = telematics.running_relativity
    detail = {
        "frequency_relativity": str(telematics.relativity),
        "credibility": str(telematics.credibility),
        "weighted": str(weighted.quantize(_SIX, ROUND_HALF_UP)),
        "curve": str(curve),
        "running_relativity": str(running.quantize(places, ROUND_HALF_UP)),
    }
    if mid_term and not rules.mid_term_change:
        limited = running.quantize(places, ROUND_HALF_UP)
        detail["kept_in_mid_term"] = str(limited)
    else:
        lowest = (running * (ONE - part.max_change_per_term)).quantize(places, ROUND_UP)
        highest = (running * (ONE + part.max_change_per_term)).quantize(places, ROUND_DOWN)
        limited = min(max(curve, lowest), highest)
        detail["after_change_limit"] = str(limited)
    capped = min(max(limited, part.floor), part.ceiling)
    detail["after_floor_and_ceiling"] = str(capped)
    if rules.discount_only:
        capped = min(capped, ONE)
        detail["discount_only"] = str(capped)
    return capped, detail


def not_used(plan: RatingPlan, product: Product, inputs: RatingInputs) -> tuple[str, str] | None:
    """Return why the driving does not set the price, and the row of the plan that says so; None if it does."""
    rules = plan.rules(inputs.state)
    if not product.behaviour:
        return f"products.{inputs.product}.behaviour", "the product does not ask how somebody drives"
    if not rules.behaviour:
        return f"jurisdictions.{inputs.state}.behaviour", "the state lets no driving set a price"
    if not rules.location and inputs.telematics.uses_location:
        return (
            f"jurisdictions.{inputs.state}.location",
            "the score knows where somebody drove; the state does not allow it",
        )
    return None
