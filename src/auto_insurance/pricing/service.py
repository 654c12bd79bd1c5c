"""Use cases of the pricing domain; the only writer of its table."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol
from uuid import UUID

import msgspec

from auto_insurance.contracts import topics
from auto_insurance.contracts.pricing import PREMIUM_CHARGED, PREMIUM_INDICATED, PremiumCalculated
from auto_insurance.drivers.schemas import DriverFacts
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock, ids
from auto_insurance.kernel.events import new_event
from auto_insurance.pricing import repository
from auto_insurance.pricing.facts import exact, rating_inputs
from auto_insurance.pricing.plan import RatingPlan, load_plan
from auto_insurance.pricing.rating import ONE, Rating, RatingInputs, Telematics, rate
from auto_insurance.pricing.schemas import Premium, PremiumKind, Premiums, PremiumStatus

_STATUS = {PremiumKind.INDICATED: PremiumStatus.INDICATED, PremiumKind.CHARGED: PremiumStatus.ACTIVE}
_EVENT = {PremiumKind.INDICATED: PREMIUM_INDICATED, PremiumKind.CHARGED: PREMIUM_CHARGED}


class DriverReader(Protocol):
    """What rating needs of the drivers service. ``facts`` raises an error of kind not_found."""

    async def facts(self, uow: UnitOfWork, driver_id: str) -> DriverFacts: ...


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """What rating needs of a risk score."""

    score_id: UUID
    relativity: float
    confidence: float
    model_version: str


class PricingService:
    """Rates drivers and keeps every premium."""

    def __init__(self, drivers: DriverReader, plan: RatingPlan | None = None) -> None:
        self._drivers = drivers
        self._plan = plan or load_plan()

    @property
    def plan(self) -> RatingPlan:
        """The plan in use."""
        return self._plan

    async def charge_initial(self, uow: UnitOfWork, driver_id: str) -> Premium:
        """Return the charged premium; if there is none, charge one from the facts alone (relativity 1)."""
        await repository.lock_driver(uow, driver_id)
        charged = await repository.latest(uow, driver_id, PremiumKind.CHARGED)
        if charged is not None:
            return charged
        inputs = rating_inputs(await self._drivers.facts(uow, driver_id), clock.now().date(), Telematics())
        return await self._store(uow, driver_id, PremiumKind.CHARGED, inputs, None, "enrolment")

    async def indicate(
        self, uow: UnitOfWork, driver_id: str, score: Score, reason: str, *, correction: bool = False
    ) -> Premium | None:
        """Store what a score makes of the premium. None if price, worksheet, plan and model are as they were.

        A ``correction`` is due when what an earlier version rested on has changed: it is a version of its own, whose
        reason names the one that it corrects, and that one stays as it is.
        """
        charged = await self.charge_initial(uow, driver_id)
        inputs = await self._inputs(uow, charged, score.relativity, score.confidence)
        before = await repository.latest(uow, driver_id, PremiumKind.INDICATED)
        if before is not None and before.model_version == score.model_version:
            rating = rate(self._plan, inputs)
            if before.plan_version == rating.plan_version and before.worksheet == rating.worksheet:
                return None
        if correction and before is not None:
            reason = f"correction of version {before.version}: {reason}"
        return await self._store(uow, driver_id, PremiumKind.INDICATED, inputs, score, reason)

    async def current(self, uow: UnitOfWork, driver_id: str) -> Premiums:
        """Return the charged premium, made now if the driver has none yet, and the indicated one."""
        charged = await repository.latest(uow, driver_id, PremiumKind.CHARGED, on=clock.now().date())
        if charged is None:
            charged = await self.charge_initial(uow, driver_id)
        indicated = await repository.latest(uow, driver_id, PremiumKind.INDICATED)
        return Premiums(charged=charged, indicated=indicated)

    async def indicated(self, uow: UnitOfWork, driver_id: str) -> Premium | None:
        """Return the newest indicated premium, None before the first score."""
        return await repository.latest(uow, driver_id, PremiumKind.INDICATED)

    async def latest_many(
        self, uow: UnitOfWork, driver_ids: Sequence[str], kind: PremiumKind = PremiumKind.CHARGED
    ) -> dict[str, Premium]:
        """Return the newest premiums of a kind of those drivers that have one; one statement."""
        return await repository.latest_many(uow, driver_ids, kind)

    async def price_for_relativity(
        self, uow: UnitOfWork, driver_id: str, relativity: float, confidence: float
    ) -> Rating:
        """Return what a frequency relativity at a confidence would make of the premium; nothing is stored."""
        charged = await repository.latest(uow, driver_id, PremiumKind.CHARGED)
        running = ONE if charged is None else charged_relativity(charged)
        facts = await self._drivers.facts(uow, driver_id)
        return rate(self._plan, rating_inputs(facts, clock.now().date(), _telematics(relativity, confidence, running)))

    async def _inputs(self, uow: UnitOfWork, charged: Premium, relativity: float, confidence: float) -> RatingInputs:
        facts = await self._drivers.facts(uow, charged.driver_id)
        telematics = _telematics(relativity, confidence, charged_relativity(charged))
        return rating_inputs(facts, clock.now().date(), telematics)

    async def _store(
        self,
        uow: UnitOfWork,
        driver_id: str,
        kind: PremiumKind,
        inputs: RatingInputs,
        score: Score | None,
        reason: str,
    ) -> Premium:
        rating = rate(self._plan, inputs)
        premium = Premium(
            premium_id=ids.new_uuid(),
            driver_id=driver_id,
            version=await repository.next_version(uow, driver_id),
            kind=kind.value,
            status=_STATUS[kind].value,
            effective_date=inputs.rating_date,
            annual_premium=rating.annual_premium,
            monthly_premium=rating.monthly_premium,
            currency=rating.currency,
            plan_version=rating.plan_version,
            model_version=None if score is None else score.model_version,
            score_id=None if score is None else score.score_id,
            worksheet=rating.worksheet,
            inputs=inputs,
            reason=reason,
            created_at=clock.now(),
        )
        await repository.add_premium(uow, premium)
        uow.publish(topics.PREMIUMS, new_event(_announcement(premium), type=_EVENT[kind], version=1, key=driver_id))
        return premium


def charged_relativity(premium: Premium) -> Decimal:
    """Return the telematics relativity that a premium was charged with, 1 if it had none."""
    return next((line.factor for line in premium.worksheet if line.code == "telematics" and line.factor), ONE)


def _telematics(relativity: float, confidence: float, running: Decimal) -> Telematics:
    return Telematics(relativity=exact(relativity), credibility=exact(confidence), running_relativity=running)


def _announcement(premium: Premium) -> PremiumCalculated:
    return PremiumCalculated(
        premium_id=premium.premium_id,
        driver_id=premium.driver_id,
        version=premium.version,
        kind=premium.kind,
        annual_premium=str(premium.annual_premium),
        monthly_premium=str(premium.monthly_premium),
        plan_version=premium.plan_version,
        score_id=premium.score_id,
        calculated_at=premium.created_at,
        reason=premium.reason,
    )
