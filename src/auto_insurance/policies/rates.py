"""What policies ask of pricing: rates, for a preview or charged and stored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Literal
from uuid import UUID

import msgspec

from auto_insurance.drivers.schemas import DriverFacts
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.money import to_cents
from auto_insurance.policies.stretches import CoverPart, PerMile, Rate
from auto_insurance.pricing.schemas import Premium
from auto_insurance.pricing.service import PricingService, Quote, RiskChanges

Purpose = Literal["bind", "renewal", "endorsement", "recalculation"]
COVERS: Mapping[str, tuple[str, ...]] = {
    "liability": ("liability",),
    "standard": ("liability", "collision"),
    "full": ("liability", "collision", "comprehensive"),
}
"""What the packages cover where the rating plan prices them as a whole and names no covers."""
LIMITED = frozenset({"liability", "bodily_injury", "property_damage"})
"""Covers whose option is a limit, where the plan does not say which it is; other options are deductibles."""
_NOTES = {
    "bind": "policy bound",
    "renewal": "renewal offer",
    "endorsement": "endorsement",
    "recalculation": "newest score",
}


class Rates:
    """Gives rates for the stretches of a term."""

    def __init__(self, pricing: PricingService) -> None:
        self._pricing = pricing

    async def take(self, uow: UnitOfWork, quote_id: str) -> Quote:
        """Hold an open quote until the transaction ends. Raises what pricing says of an unknown, old or bound one."""
        return await self._pricing.take_quote(uow, quote_id)

    async def look(self, uow: UnitOfWork, quote_id: str) -> Quote:
        """Return a quote as it stands. Raises ``QuoteNotFound``."""
        return await self._pricing.get_quote(uow, quote_id)

    async def bound(self, uow: UnitOfWork, quote_id: str, policy_id: str, driver_id: str) -> None:
        """Note what came of a quote."""
        await self._pricing.quote_bound(uow, quote_id, policy_id=policy_id, driver_id=driver_id)

    async def of_quote(self, uow: UnitOfWork, quote: Quote) -> Rate:
        """Return a quote's price; nothing is stored."""
        rating = await self._pricing.rating_of(uow, quote)
        return self._rate(rating, quote.inputs.coverage, None, None, None)

    async def charge_quote(self, uow: UnitOfWork, quote: Quote, driver_id: str, on: date, policy_id: str) -> Rate:
        """Charge what a quote says, to the cent."""
        premium = await self._pricing.charge(
            uow, driver_id, reason="bind", effective_date=on, policy_id=policy_id, segment=1, quote=quote,
            note=_NOTES["bind"],
        )  # fmt: skip
        return await self._of(uow, premium)

    async def rate(self, uow: UnitOfWork, driver_id: str, on: date, facts: Mapping[str, Any], purpose: Purpose) -> Rate:
        """Return what :meth:`charge` would; nothing is stored."""
        changes = changes_of(facts)
        rating = await self._pricing.rate_at(uow, driver_id, on, changes, reason=purpose)
        return self._rate(rating, str(facts.get("coverage", "")), None, None, None)

    async def charge(
        self,
        uow: UnitOfWork,
        driver_id: str,
        on: date,
        facts: Mapping[str, Any],
        purpose: Purpose,
        *,
        policy_id: str,
        segment: int,
    ) -> Rate:
        """Charge a version for a stretch that begins on a day."""
        premium = await self._pricing.charge(
            uow, driver_id, reason=purpose, effective_date=on, risk_changes=changes_of(facts), policy_id=policy_id,
            segment=segment, note=_NOTES[purpose],
        )  # fmt: skip
        return await self._of(uow, premium)

    async def worksheet(self, uow: UnitOfWork, premium_id: str) -> Premium:
        """Return the stored version that a stretch rests on. Raises ``PremiumNotFound``."""
        return await self._pricing.get(uow, UUID(premium_id))

    async def stored(self, uow: UnitOfWork, premium_id: str) -> Rate:
        """Return the rate of a stored version. Raises ``PremiumNotFound``."""
        return await self._of(uow, await self.worksheet(uow, premium_id))

    async def fixed_term(self, uow: UnitOfWork, plan_version: str, state: str) -> bool:
        """Return whether a state forbids that a running term is priced anew."""
        plan = await self._pricing.plan_of(uow, plan_version)
        return not plan.rules(state).mid_term_change

    async def _of(self, uow: UnitOfWork, premium: Premium) -> Rate:
        rating = await self._pricing.rating_of(uow, premium)
        plain = await self._pricing.traditional(uow, premium)
        return self._rate(
            rating, premium.inputs.coverage, str(premium.premium_id), premium.model_version, plain.expected_annual
        )

    def _rate(
        self, rating: Any, package: str, premium_id: str | None, model: str | None, plain: Decimal | None
    ) -> Rate:
        per_mile = rating.per_mile
        return Rate(
            annual_premium=rating.annual_premium,
            tax_rate=rating.tax_rate,
            fees=rating.fees,
            fee_taxes=rating.taxes - to_cents(rating.annual_premium * rating.tax_rate),
            product=rating.product,
            currency=rating.currency,
            plan_version=rating.plan_version,
            model_version=model,
            premium_id=premium_id,
            per_mile=None if per_mile is None else PerMile(per_mile.rate_per_mile, Decimal(per_mile.daily_cap_miles)),
            coverages=parts(rating.covers, package),
            annual_without_telematics=plain,
            telematics_relativity=rating.telematics_relativity,
        )


def parts(covers: Any, package: str) -> tuple[CoverPart, ...]:
    """Return what is covered, of the plan's covers or, where it names none, of the package."""
    if not covers:
        return tuple(CoverPart(name) for name in COVERS.get(package, ()))
    return tuple(_part(cover) for cover in covers)


def _part(cover: Any) -> CoverPart:
    kind = cover.kind
    if kind == "included":
        kind = "limit" if cover.code in LIMITED else "deductible"
    return CoverPart(
        cover.code,
        limit=_limit(cover.option) if kind == "limit" else None,
        deductible=_amount(cover.option) if kind == "deductible" else None,
        option=cover.option,
    )


def changes_of(facts: Mapping[str, Any]) -> RiskChanges:
    """Return the facts of a stretch as pricing takes them."""
    known = set(RiskChanges.__struct_fields__)
    return msgspec.convert({name: value for name, value in facts.items() if name in known}, RiskChanges)


def facts_at_bind(driver: DriverFacts, quote: Quote, vehicle_id: str | None) -> dict[str, Any]:
    """Return what a policy insures and rates on its first day: what is known of the driver, and the quote's own facts.

    They are kept with the policy: whatever changes in the driver's record later, the policy changes by an endorsement.
    """
    vehicle = driver.vehicle
    known: dict[str, Any] = {
        "state": driver.state,
        "postcode": driver.postcode,
        "coverage": driver.coverage,
        "annual_mileage": driver.declared_annual_mileage,
        "prior_claims": driver.prior_claims,
        "vehicle_year": None if vehicle is None else vehicle.year,
        "vehicle_use": None if vehicle is None else vehicle.use,
    }
    known |= msgspec.to_builtins(changes_of(quote.request))
    if "telematics" in quote.request:
        known["participating"] = quote.request["telematics"]
    known["vehicle_id"] = vehicle_id
    return {name: value for name, value in known.items() if value is not None}


def _limit(option: str) -> Decimal | None:
    """Return a limit in money: plans word limits in thousands, a person / an accident; the accident's counts."""
    amount = _amount(option.rsplit("/", 1)[-1])
    return None if amount is None else amount * 1000


def _amount(option: str) -> Decimal | None:
    try:
        return Decimal(option)
    except InvalidOperation:
        return None
