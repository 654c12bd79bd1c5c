"""Use cases of the pricing domain; the only writer of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from auto_insurance.drivers.schemas import Purpose
from auto_insurance.drivers.service import ConsentService
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.pricing import repository, service_store
from auto_insurance.pricing.errors import PremiumNotFound
from auto_insurance.pricing.facts import DEFAULT_PRODUCT, NO_CHANGES, RiskChanges, together
from auto_insurance.pricing.plan import RatingPlan
from auto_insurance.pricing.quotes import QuoteDesk, QuoteDoor, QuoteOptions, changes_quoted
from auto_insurance.pricing.rating import ONE, Rating, Telematics, rate
from auto_insurance.pricing.schemas import ChargeReason, Premium, PremiumKind, Premiums
from auto_insurance.pricing.schemas_quotes import Quote, QuoteRequest
from auto_insurance.pricing.schemas_reports import SimulationRequest
from auto_insurance.pricing.service_rater import (
    NO_DRIVING,
    Basis,
    DriverReader,
    OnePlan,
    Plans,
    Rater,
    ScoreReader,
    charged_relativity,
    telematics_of,
)
from auto_insurance.pricing.service_store import Version

__all__ = [
    "NO_CHANGES",
    "PricingService",
    "Quote",
    "QuoteDoor",
    "QuoteOptions",
    "QuoteRequest",
    "RiskChanges",
    "Score",
    "charged_relativity",
]

ZERO = Decimal(0)


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """What rating needs of a risk score."""

    score_id: UUID
    relativity: float
    confidence: float
    model_version: str


class PricingService:
    """Rates drivers and keeps every premium and quote."""

    def __init__(
        self,
        drivers: DriverReader,
        scores: ScoreReader | None = None,
        plans: Plans | None = None,
        quotes: QuoteOptions | None = None,
    ) -> None:
        self._rater = Rater(drivers, scores, plans or OnePlan())
        self._desk = QuoteDesk(self._rater, quotes or QuoteOptions())
        self._consents = ConsentService()

    @property
    def rater(self) -> Rater:
        """What puts the parts of a price together; stores nothing."""
        return self._rater

    async def plan_of(self, uow: UnitOfWork, version: str) -> RatingPlan:
        """Return a plan by its version."""
        return await self._rater.plans.get(uow, version)

    async def basis_of(self, uow: UnitOfWork, priced: Premium | Quote) -> str:
        """Return what the rates behind a price rest on, in a sentence."""
        return (await self.plan_of(uow, priced.plan_version)).plan.basis

    # --- charged premiums ---

    async def charge(
        self,
        uow: UnitOfWork,
        driver_id: str,
        *,
        reason: ChargeReason,
        effective_date: date,
        risk_changes: RiskChanges | None = None,
        policy_id: str | None = None,
        segment: int | None = None,
        quote: Quote | None = None,
        note: str = "",
    ) -> Premium:
        """Store a new charged version; the only way to one after enrolment. The caller says why, and from which day.

        Facts are those known of the driver with ``risk_changes`` in their place; without any, those of the running
        version hold on, except at bind. Bind and renewal take the newest score; month's end and recalculation do so
        within the running term, where the state allows that, and an endorsement keeps driving and plan of the term.
        With a ``quote`` the price is that of the quote, to the cent. Concurrent calls for a driver wait for each
        other, so that versions have no gap. Raises an error of kind not_found for an unknown driver, and
        ``InvalidRatingInputs`` for what the plan does not rate.
        """
        await repository.lock_driver(uow, driver_id)
        running = await repository.charged_on(uow, driver_id, effective_date)
        changes = changes_of(running, reason, risk_changes)
        if quote is not None:
            case, changes = await self._desk.case(uow, quote), together(changes_quoted(quote), changes)
        else:
            case = await self._rater.case(uow, driver_id, effective_date, running, reason, changes)
        version = Version(
            driver_id=driver_id,
            kind=PremiumKind.CHARGED,
            effective_date=effective_date,
            inputs=case.inputs,
            basis=case.basis,
            reason=f"{reason}: {note}" if note else reason,
            policy_id=policy_id,
            segment=segment,
            changes=None if changes == NO_CHANGES else changes,
        )
        return await service_store.store(uow, case.plan, version)

    async def charge_initial(self, uow: UnitOfWork, driver_id: str) -> Premium:
        """Return the charged premium; if there is none, charge one from the facts alone (relativity 1)."""
        await repository.lock_driver(uow, driver_id)
        charged = await repository.latest(uow, driver_id, PremiumKind.CHARGED)
        if charged is not None:
            return charged
        today = clock.now().date()
        case = await self._rater.case_of(uow, driver_id, today, Telematics(), NO_CHANGES)
        version = Version(
            driver_id=driver_id,
            kind=PremiumKind.CHARGED,
            effective_date=today,
            inputs=case.inputs,
            basis=NO_DRIVING,
            reason="enrolment",
        )
        return await service_store.store(uow, case.plan, version)

    async def rate_at(
        self,
        uow: UnitOfWork,
        driver_id: str,
        on: date,
        changes: RiskChanges | None = None,
        *,
        reason: ChargeReason = "renewal",
    ) -> Rating:
        """Return what :meth:`charge` would make of the premium on a day, for the same reason; nothing is stored."""
        running = await repository.charged_on(uow, driver_id, on)
        case = await self._rater.case(uow, driver_id, on, running, reason, changes_of(running, reason, changes))
        return rate(case.plan, case.inputs)

    async def rating_of(self, uow: UnitOfWork, priced: Premium | Quote) -> Rating:
        """Return the rating behind a stored price again, with what is not stored: fees, taxes, the rate per mile."""
        return rate(await self._rater.plans.get(uow, priced.plan_version), priced.inputs)

    # --- indicated premiums ---

    async def indicate(
        self, uow: UnitOfWork, driver_id: str, score: Score | None, reason: str, *, correction: bool = False
    ) -> Premium | None:
        """Store what a score makes of the premium. None if price, worksheet, plan and model are as they were.

        Without a score, or where the driver does not allow that driving moves the price, it is what the facts alone
        make of it.

        A ``correction`` is due when what an earlier version rested on has changed: it is a version of its own, whose
        reason names the one that it corrects, and that one stays as it is.
        """
        first = await self.charge_initial(uow, driver_id)
        today = clock.now().date()
        charged = await repository.charged_on(uow, driver_id, today) or first
        basis = NO_DRIVING
        if score is not None and await self._consents.allowed(uow, driver_id, Purpose.TELEMATICS_PRICING):
            telematics = telematics_of(score.relativity, score.confidence, charged_relativity(charged))
            basis = Basis(telematics=telematics, score_id=score.score_id, model_version=score.model_version)
        case = await self._rater.case_of(uow, driver_id, today, basis.telematics, charged.changes or NO_CHANGES)
        before = await repository.latest(uow, driver_id, PremiumKind.INDICATED)
        if before is not None and before.model_version == basis.model_version:
            rating = rate(case.plan, case.inputs)
            if before.plan_version == rating.plan_version and before.worksheet == rating.worksheet:
                return None
        if correction and before is not None:
            reason = f"correction of version {before.version}: {reason}"
        version = Version(
            driver_id=driver_id,
            kind=PremiumKind.INDICATED,
            effective_date=today,
            inputs=case.inputs,
            basis=basis,
            reason=reason,
        )
        return await service_store.store(uow, case.plan, version)

    async def indicate_anew(self, uow: UnitOfWork, driver_id: str, reason: str) -> Premium | None:
        """Store what the newest score, as far as it may price, makes of the premium now; None before the first score.

        Raises an error of kind not_found for an unknown driver.
        """
        shown = await repository.latest(uow, driver_id, PremiumKind.INDICATED)
        score = await self._rater.latest_score(uow, driver_id)
        if shown is None and score is None:
            return None
        known = None
        if score is not None:
            known = Score(
                score_id=score.score_id,
                relativity=score.relativity,
                confidence=score.confidence,
                model_version=score.model_version,
            )
        return await self.indicate(uow, driver_id, known, reason)

    # --- reads ---

    async def current(self, uow: UnitOfWork, driver_id: str) -> Premiums:
        """Return the charged premium, made now if the driver has none yet, and the indicated one."""
        charged = await self.charged_on(uow, driver_id, clock.now().date())
        if charged is None:
            charged = await self.charge_initial(uow, driver_id)
        return Premiums(charged=charged, indicated=await self.indicated(uow, driver_id))

    async def current_many(self, uow: UnitOfWork, driver_ids: Sequence[str]) -> dict[str, Premiums]:
        """Return both premiums of those drivers that have a charged one; nothing is made."""
        charged = await self.latest_many(uow, driver_ids)
        indicated = await self.latest_many(uow, driver_ids, PremiumKind.INDICATED)
        return {d: Premiums(charged=one, indicated=indicated.get(d)) for d, one in charged.items()}

    async def charged_on(self, uow: UnitOfWork, driver_id: str, on: date) -> Premium | None:
        """Return the charged version that is the price on a day, None before the first."""
        return await repository.charged_on(uow, driver_id, on)

    async def charged_today(self, uow: UnitOfWork, driver_id: str) -> Premium | None:
        """Return today's price, None before the first."""
        return await repository.charged_on(uow, driver_id, clock.now().date())

    async def indicated(self, uow: UnitOfWork, driver_id: str) -> Premium | None:
        """Return the newest indicated premium, None before the first score."""
        return await repository.latest(uow, driver_id, PremiumKind.INDICATED)

    async def get(self, uow: UnitOfWork, premium_id: UUID) -> Premium:
        """Return one version. Raises ``PremiumNotFound``."""
        found = await repository.get_premium(uow, premium_id)
        if found is None:
            raise PremiumNotFound
        return found

    async def history(
        self, uow: UnitOfWork, driver_id: str, since: datetime, *, limit: int, offset: int = 0
    ) -> tuple[list[Premium], int]:
        """Return a page of the versions made since an instant, the newest first, and how many there are."""
        return await repository.history(uow, driver_id, since, limit=limit, offset=offset)

    async def latest_many(
        self, uow: UnitOfWork, driver_ids: Sequence[str], kind: PremiumKind = PremiumKind.CHARGED
    ) -> dict[str, Premium]:
        """Return today's price, or the newest indicated premium, of those drivers that have one; one statement."""
        if kind is PremiumKind.CHARGED:
            return await repository.charged_on_many(uow, driver_ids, clock.now().date())
        return await repository.latest_many(uow, driver_ids, kind)

    async def price_for_relativity(
        self,
        uow: UnitOfWork,
        driver_id: str,
        relativity: float,
        confidence: float,
        changes: RiskChanges = NO_CHANGES,
    ) -> Rating:
        """Return what a frequency relativity at a confidence would make of the premium today; nothing is stored."""
        today = clock.now().date()
        charged = await repository.charged_on(uow, driver_id, today)
        running, known = (ONE, None) if charged is None else (charged_relativity(charged), charged.changes)
        telematics = telematics_of(relativity, confidence, running)
        case = await self._rater.case_of(uow, driver_id, today, telematics, together(known, changes))
        return rate(case.plan, case.inputs)

    async def simulate(
        self, uow: UnitOfWork, driver_id: str, request: SimulationRequest
    ) -> tuple[Rating, float, float]:
        """Return a price with other facts or another score, and the relativity and confidence that were assumed.

        Nothing is stored. Raises an error of kind not_found, and ``InvalidRatingInputs``.
        """
        score = await self._rater.latest_score(uow, driver_id)
        relativity, confidence = (1.0, 0.0) if score is None else (score.relativity, score.confidence)
        if request.risk_score is not None:
            relativity = self._rater.relativity_at(request.risk_score)
            confidence = 1.0 if score is None else confidence
        confidence = confidence if request.confidence is None else request.confidence
        changes = changes_in_simulation(request)
        rating = await self.price_for_relativity(uow, driver_id, relativity, confidence, changes)
        return rating, relativity, confidence

    async def best(self, uow: UnitOfWork, premium: Premium) -> Rating:
        """Return what a premium would be at the plan's lowest driving factor, however many terms away."""
        plan = await self._rater.plans.get(uow, premium.plan_version)
        at_best = Telematics(relativity=ZERO, credibility=ONE, running_relativity=plan.telematics.floor)
        return rate(plan, msgspec.structs.replace(premium.inputs, participating=True, telematics=at_best))

    async def traditional(self, uow: UnitOfWork, premium: Premium) -> Rating:
        """Return the price of the same facts, on the same day and plan, for somebody who drives without a device."""
        plan, inputs = await self._rater.plans.get(uow, premium.plan_version), premium.inputs
        allowed = plan.rules(inputs.state).products
        plain = DEFAULT_PRODUCT in plan.offered and (not allowed or DEFAULT_PRODUCT in allowed)
        bare = msgspec.structs.replace(
            inputs,
            participating=False,
            telematics=Telematics(),
            product=DEFAULT_PRODUCT if plain else inputs.product,
            driven_miles=None,
        )
        return rate(plan, bare)

    # --- quotes ---

    async def quote(self, uow: UnitOfWork, request: QuoteRequest, *, driver_id: str | None = None) -> Quote:
        """Price and store a quote; for a driver of ours with what is known of it. Raises ``InvalidQuote``."""
        return await self._desk.quote(uow, request, driver_id=driver_id)

    async def get_quote(self, uow: UnitOfWork, quote_id: str) -> Quote:
        """Return a quote. Raises ``QuoteNotFound``."""
        return await self._desk.get(uow, quote_id)

    async def take_quote(self, uow: UnitOfWork, quote_id: str) -> Quote:
        """Return an open quote and hold it until the transaction ends: it can be bound once.

        Follow it with :meth:`quote_bound`. Raises ``QuoteNotFound``, ``QuoteExpired`` and ``QuoteBound``.
        """
        return await self._desk.take(uow, quote_id)

    async def quote_bound(self, uow: UnitOfWork, quote_id: str, *, policy_id: str, driver_id: str) -> Quote:
        """Note the policy that came of a quote that this transaction took."""
        return await self._desk.bound(uow, quote_id, policy_id=policy_id, driver_id=driver_id)

    async def forget_expired_quotes(self, uow: UnitOfWork) -> int:
        """Delete quotes that expired a month ago; returns how many."""
        return await self._desk.forget_expired(uow)


def changes_of(running: Premium | None, reason: ChargeReason, given: RiskChanges | None) -> RiskChanges:
    """Return the changes that hold in a new version: those given, else those of the running one, except at bind."""
    if given is not None:
        return given
    return NO_CHANGES if running is None or reason == "bind" else running.changes or NO_CHANGES


def changes_in_simulation(request: SimulationRequest) -> RiskChanges:
    """Return what a what-if says of the risk."""
    return RiskChanges(
        state=request.state,
        coverage=None if request.coverage is None else request.coverage.value,
        vehicle_year=request.vehicle_year,
        vehicle_use=None if request.vehicle_use is None else request.vehicle_use.value,
        annual_mileage=request.annual_mileage,
        prior_claims=request.prior_claims,
        participating=request.telematics,
        product=request.product,
        choices=request.choices,
        driven_miles=request.driven_miles,
    )
