"""Brings together what a price is made of: facts, driving, the running term and the plan of the day. Stores nothing."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

import msgspec

from auto_insurance.drivers.schemas import DriverFacts
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.pricing.facts import DEFAULT_PRODUCT, RiskChanges, changed, exact, rating_inputs
from auto_insurance.pricing.plan import RatingPlan, load_plan
from auto_insurance.pricing.plan_parts import Jurisdiction
from auto_insurance.pricing.rating import ONE, RatingInputs, Telematics
from auto_insurance.pricing.schemas import ChargeReason, Driving, Premium
from auto_insurance.risk.schemas import RiskScore

HELD: frozenset[ChargeReason] = frozenset({"endorsement"})
"""The risk changes in the middle of a term: driving and plan stay as they were when the term was priced."""
SAME_TERM: frozenset[ChargeReason] = frozenset({"month_end", "recalculation", "correction"})
"""The running term is priced again: the limit of change counts from the term before it, as it did the first time."""
MIN_OBSERVED_DAYS, DAYS_PER_YEAR = 30.0, 365.25
"""Fewer days of driving are not made into a year."""


class DriverReader(Protocol):
    """What rating needs of the drivers service. ``facts`` raises an error of kind not_found."""

    async def facts(self, uow: UnitOfWork, driver_id: str) -> DriverFacts: ...


class ScoreReader(Protocol):
    """What rating needs of the risk service."""

    async def latest(self, uow: UnitOfWork, driver_id: str) -> RiskScore | None: ...

    async def get(self, uow: UnitOfWork, score_id: UUID) -> RiskScore | None: ...

    def relativity_at(self, risk_score: float) -> float: ...


class Plans(Protocol):
    """Which plan rates on a day, and any plan by its version."""

    async def active(self, uow: UnitOfWork, on: date) -> RatingPlan: ...

    async def get(self, uow: UnitOfWork, version: str) -> RatingPlan: ...


class OnePlan:
    """The same plan on every day; others that ship with the program by their version."""

    def __init__(self, plan: RatingPlan | None = None) -> None:
        self._plan = plan or load_plan()

    async def active(self, uow: UnitOfWork, on: date) -> RatingPlan:
        """Return the plan."""
        return self._plan

    async def get(self, uow: UnitOfWork, version: str) -> RatingPlan:
        """Return a plan by its version. Raises ``InvalidPlan`` if it does not ship."""
        return self._plan if version == self._plan.version else load_plan(version)


class Basis(msgspec.Struct, frozen=True, kw_only=True):
    """What a premium's telematics part rests on."""

    telematics: Telematics = Telematics()
    score_id: UUID | None = None
    model_version: str | None = None
    driving: Driving | None = None


NO_DRIVING = Basis()


class Case(NamedTuple):
    """All that a price is made of."""

    plan: RatingPlan
    inputs: RatingInputs
    basis: Basis


class Rater:
    """Rates drivers; the only place that puts the parts of a price together."""

    def __init__(self, drivers: DriverReader, scores: ScoreReader | None, plans: Plans) -> None:
        self._drivers = drivers
        self._scores = scores
        self.plans = plans

    async def case(
        self,
        uow: UnitOfWork,
        driver_id: str,
        on: date,
        running: Premium | None,
        reason: ChargeReason,
        changes: RiskChanges,
    ) -> Case:
        """Return what a new charged premium is rated from. Raises an error of kind not_found."""
        facts = changed(await self._drivers.facts(uow, driver_id), changes)
        plan = await self._plan(uow, on, running, reason)
        basis = await self._basis(uow, driver_id, running, reason, plan.rules(facts.state))
        return Case(plan, _inputs(plan, facts, on, basis, changes), basis)

    async def case_of(
        self, uow: UnitOfWork, driver_id: str, on: date, telematics: Telematics, changes: RiskChanges
    ) -> Case:
        """Return what a driver is rated from with given driving. Raises an error of kind not_found."""
        facts = await self._drivers.facts(uow, driver_id)
        plan, basis = await self.plans.active(uow, on), Basis(telematics=telematics)
        return Case(plan, _inputs(plan, facts, on, basis, changes), basis)

    async def time_zone(self, uow: UnitOfWork, driver_id: str) -> str:
        """Return where a driver's days begin (IANA). Raises an error of kind not_found."""
        return (await self._drivers.facts(uow, driver_id)).time_zone

    async def score(self, uow: UnitOfWork, score_id: UUID | None) -> RiskScore | None:
        """Return a stored score, None if there is none."""
        return None if self._scores is None or score_id is None else await self._scores.get(uow, score_id)

    async def latest_score(self, uow: UnitOfWork, driver_id: str) -> RiskScore | None:
        """Return the driver's newest score, None before the first."""
        return None if self._scores is None else await self._scores.latest(uow, driver_id)

    def relativity_at(self, risk_score: float) -> float:
        """Return the claim frequency of a risk score over the portfolio's; 1 where there is no model."""
        return 1.0 if self._scores is None else self._scores.relativity_at(risk_score)

    async def _basis(
        self, uow: UnitOfWork, driver_id: str, running: Premium | None, reason: ChargeReason, rules: Jurisdiction
    ) -> Basis:
        if running is not None and (reason in HELD or (reason in SAME_TERM and not rules.mid_term_change)):
            return held(running)
        score = await self.latest_score(uow, driver_id)
        # A score of no trips says nothing of the driver: a nightly run before the first mile must not decide whether
        # trips that come later correct what was charged.
        if score is None or score.trip_count == 0:
            return NO_DRIVING
        return of_score(score, running_relativity(running, reason))

    async def _plan(self, uow: UnitOfWork, on: date, running: Premium | None, reason: ChargeReason) -> RatingPlan:
        if reason in HELD and running is not None:
            return await self.plans.get(uow, running.plan_version)
        return await self.plans.active(uow, on)


def _inputs(plan: RatingPlan, facts: DriverFacts, on: date, basis: Basis, changes: RiskChanges) -> RatingInputs:
    product = plan.offered.get(changes.product or DEFAULT_PRODUCT)
    counts = product is not None and product.distance != "declared"
    return rating_inputs(facts, on, basis.telematics, changes, yearly_miles(basis.driving) if counts else None)


def yearly_miles(driving: Driving | None) -> int | None:
    """Return the miles of a year like the one that was observed, None under a month of driving."""
    days = 0.0 if driving is None else driving.features.get("observed_days") or 0.0
    if driving is None or days < MIN_OBSERVED_DAYS:
        return None
    return round(driving.miles * DAYS_PER_YEAR / days)


def held(running: Premium) -> Basis:
    """Return what the running term rests on, unchanged."""
    return Basis(
        telematics=running.inputs.telematics,
        score_id=running.score_id,
        model_version=running.model_version,
        driving=running.driving,
    )


def of_score(score: RiskScore, running: Decimal) -> Basis:
    """Return a stored score as the basis of a premium."""
    return Basis(
        telematics=telematics_of(score.relativity, score.confidence, running),
        score_id=score.score_id,
        model_version=score.model_version,
        driving=driving_of(score),
    )


def driving_of(score: RiskScore) -> Driving:
    """Return a stored score in the form in which premiums speak of driving."""
    return Driving(
        model_version=score.model_version,
        features=score.features,
        miles=score.exposure_miles,
        trip_count=score.trip_count,
        window_from=score.window_from,
        window_to=score.window_to,
        trips_until=score.trips_until,
        known_at=score.calculated_at,
        relativity=score.relativity,
        confidence=score.confidence,
    )


def of_driving(driving: Driving, running: Decimal) -> Basis:
    """Return driving that no stored score stands for as the basis of a premium."""
    return Basis(
        telematics=telematics_of(driving.relativity, driving.confidence, running),
        model_version=driving.model_version,
        driving=driving,
    )


def running_relativity(running: Premium | None, reason: ChargeReason) -> Decimal:
    """Return the telematics relativity from which the plan limits the change of a new charged premium."""
    if running is None:
        return ONE
    return running.inputs.telematics.running_relativity if reason in SAME_TERM else charged_relativity(running)


def charged_relativity(premium: Premium) -> Decimal:
    """Return the telematics relativity that a premium was charged with, 1 if it had none."""
    return next((line.factor for line in premium.worksheet if line.code == "telematics" and line.factor), ONE)


def telematics_of(relativity: float, confidence: float, running: Decimal) -> Telematics:
    """Return what the plan rates of a model's numbers, to six decimals."""
    return Telematics(relativity=exact(relativity), credibility=exact(confidence), running_relativity=running)
