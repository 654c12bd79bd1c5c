"""Plans and inputs by chance: sound ones, with numbers that lie on ties as often as beside them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import strategies as st

from auto_insurance.pricing.plan import RatingPlan, load_plan
from auto_insurance.pricing.plan_parts import PACKAGES
from auto_insurance.pricing.plan_rules import faults
from auto_insurance.pricing.rating import USES, RatingInputs, Telematics

SHIPPED = tuple(load_plan(name) for name in ("standard-1", "standard-2", "legacy-smooth-1"))
DAY = date(2026, 5, 1)
STATES = ("CA", "NY", "TX", "FL", "WA", "")


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    """Decimals of at most so many places."""
    scale = 10**places
    return st.integers(int(Decimal(low) * scale), int(Decimal(high) * scale)).map(lambda n: Decimal(n).scaleb(-places))


factors = decimals("0.50", "2.00", 2)
amounts = decimals("1.00", "3000.00", 2)


@st.composite
def inputs(draw: st.DrawFn, plan: RatingPlan | None = None) -> RatingInputs:
    """Facts that a driver may have, unknowns included; with a plan only what it rates."""
    rated = SHIPPED[0] if plan is None else plan
    package = draw(st.sampled_from(PACKAGES))
    held = [code for code in rated.packages.get(package, {}) if code in rated.coverages]
    chosen = draw(st.sets(st.sampled_from(held))) if held else set()
    return RatingInputs(
        rating_date=DAY,
        state=draw(st.sampled_from(STATES)),
        coverage=package,
        product=draw(st.sampled_from(rated.product_codes)),
        choices={code: draw(st.sampled_from(sorted(rated.coverages[code].options))) for code in sorted(chosen)},
        driver_age=draw(st.none() | st.integers(0, 110)),
        licence_years=draw(st.none() | st.integers(0, 90)),
        vehicle_age=draw(st.none() | st.integers(0, 60)),
        vehicle_use=draw(st.none() | st.sampled_from((*USES, "racing"))),
        annual_mileage=draw(st.none() | st.integers(0, 200_000)),
        driven_miles=draw(st.none() | st.integers(0, 60_000)),
        prior_claims=draw(st.integers(0, 20)),
        postcode=draw(st.none() | st.sampled_from(["10001", "606", "99999", "9"])),
        participating=draw(st.booleans()),
        mid_term=draw(st.booleans()),
        telematics=Telematics(
            relativity=draw(decimals("0.1", "20", 6) | decimals("0.1", "3", 2)),
            credibility=draw(decimals("0", "1", 6) | decimals("0", "1", 1)),
            running_relativity=draw(decimals("0.70", "1.50", 4)),
            uses_location=draw(st.booleans()),
        ),
    )


@st.composite
def plans(draw: st.DrawFn) -> RatingPlan:
    """A shipped plan with other numbers, some of which make ties on purpose."""
    content: dict[str, Any] = msgspec.to_builtins(draw(st.sampled_from(SHIPPED)), builtin_types=(Decimal, date))
    content["rounding"] = {
        "factor_places": draw(st.integers(0, 8)),
        "minimum_annual_premium": draw(decimals("0", "900", 2)),
    }
    content["base"] = {state: {key: draw(amounts) for key in row} for state, row in content["base"].items()}
    for name in ("driver_age", "vehicle_age", "licence_years"):
        content[name] = draw(_tables())
    telematics = content["telematics"]
    telematics["participation"] = draw(decimals("0.80", "1", 3))
    telematics["floor"] = draw(decimals("0.50", "1", 3))
    telematics["ceiling"] = draw(decimals("1", "2", 3))
    telematics["max_change_per_term"] = draw(decimals("0", "0.5", 3))
    content["jurisdictions"] = {state: draw(_rules) for state in draw(st.sets(st.sampled_from(STATES[:5])))}
    if draw(st.booleans()):
        content["maximum_discount"] = {
            "total": draw(decimals("0", "1", 3)),
            "of": draw(st.sampled_from(["base", "factors"])),
        }
    content["taxes"] = {"CA": draw(decimals("0", "0.1", 4)), "other": draw(decimals("0", "0.1", 4))}
    content["fees"] = [
        {"code": "a", "label": "A", "amount": draw(decimals("0", "50", 2)), "taxed": draw(st.booleans())}
    ]
    plan = msgspec.convert(content, RatingPlan)
    assert not list(faults(plan))
    return plan


@st.composite
def _tables(draw: st.DrawFn) -> dict[str, Any]:
    bounds = sorted(draw(st.sets(st.integers(0, 90), min_size=1, max_size=5)))
    unknown = draw(factors)
    if draw(st.booleans()) and len(bounds) > 1:
        return {"unknown": unknown, "points": [(Decimal(bound), draw(factors)) for bound in bounds]}
    bands = [{"below": bound, "factor": draw(factors)} for bound in bounds]
    return {"unknown": unknown, "bands": [*bands, {"factor": draw(factors)}]}


_rules = st.fixed_dictionaries(
    {name: st.booleans() for name in ("discount_only", "behaviour", "location", "mid_term_change")}
)
