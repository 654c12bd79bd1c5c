"""Which rating plan is in force on which day: plans that ship with the program, plans of the operator, activations.

A plan is never changed and an activation is never dated back: what was rated keeps its plan.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import msgspec
import structlog

from auto_insurance.infra.db.locks import lock
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock, ids
from auto_insurance.pricing import repository_plans
from auto_insurance.pricing.errors import (
    DislocationMissing,
    InvalidActivation,
    InvalidPlan,
    PlanNotFound,
    PlanVersionTaken,
    UnusablePlan,
)
from auto_insurance.pricing.plan import (
    DEFAULT_PLAN,
    RatingPlan,
    fingerprint,
    parse_plan,
    shipped_document,
    shipped_plans,
)
from auto_insurance.pricing.repository_plans import Activation, DislocationRow, StoredPlan

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """``look_every_s``: how old what a process knows of activations may be. ``report_days``: how old the dislocation
    report may be on which an activation rests."""

    look_every_s: float = 5.0
    report_days: int = 7
    default: str = DEFAULT_PLAN


class PlanItem(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that may be put in force. ``in_force_since`` is the first day of the activation that holds today."""

    version: str
    fingerprint: str
    shipped: bool
    in_force: bool
    in_force_since: date | None
    effective_from: date
    currency: str
    products: tuple[str, ...]
    basis: str
    created_at: datetime | None
    created_by: str | None


class PlanRegistry:
    """The plans, and which of them rates on a day."""

    def __init__(self, options: PlanOptions | None = None) -> None:
        self._options = options or PlanOptions()
        self._plans: dict[str, RatingPlan] = {}
        self._timeline: Sequence[Activation] = ()
        self._looked_at = float("-inf")

    async def active(self, uow: UnitOfWork, on: date) -> RatingPlan:
        """Return the plan that rates what takes effect on that day; before any activation the shipped default.

        Costs no query for most calls: activations are looked at every few seconds, a plan is read once.
        """
        activation = _holding(await self._activations(uow), on)
        return await self.get(uow, self._options.default if activation is None else activation.version)

    async def get(self, uow: UnitOfWork, version: str) -> RatingPlan:
        """Return a plan by its version, in force or not. Raises ``PlanNotFound``."""
        if version not in self._plans:
            self._plans[version] = parse_plan((await self._document(uow, version)), version)
        return self._plans[version]

    async def document(self, uow: UnitOfWork, version: str) -> str:
        """Return a plan as it was written, TOML. Raises ``PlanNotFound``."""
        return await self._document(uow, version)

    async def list_plans(self, uow: UnitOfWork) -> list[PlanItem]:
        """Return all plans: those kept in the database, newest first, then those that ship and were never used."""
        kept = {row.version: row for row in await repository_plans.stored_plans(uow)}
        versions = [*kept, *(version for version in shipped_plans() if version not in kept)]
        holding = _holding(await repository_plans.activations(uow), clock.now().date())
        return [self._item(await self.get(uow, version), kept.get(version), holding) for version in versions]

    async def item(self, uow: UnitOfWork, version: str) -> PlanItem:
        """Return what the list says of one plan. Raises ``PlanNotFound``."""
        holding = _holding(await repository_plans.activations(uow), clock.now().date())
        plan = await self.get(uow, version)
        return self._item(plan, await repository_plans.stored_plan(uow, version), holding)

    async def activations(self, uow: UnitOfWork) -> list[Activation]:
        """Return who put which plan in force, the latest day first."""
        return list(reversed(await repository_plans.activations(uow)))

    async def add(self, uow: UnitOfWork, document: str, by: str) -> PlanItem:
        """Keep a plan of the operator; the same plan again changes nothing.

        Raises ``UnusablePlan`` naming every place that is wrong, ``PlanVersionTaken`` if another plan has the version.
        """
        try:
            plan = parse_plan(document, "plan")
        except InvalidPlan as error:
            raise UnusablePlan(error.detail) from error
        if plan.version in shipped_plans():
            raise PlanVersionTaken(plan.version)
        await self._keep(uow, plan, document, shipped=False, by=by)
        uow.note("plan", plan.version, added=fingerprint(plan))
        # Not through the plans that are remembered: this one may be rolled back yet.
        holding = _holding(await repository_plans.activations(uow), clock.now().date())
        return self._item(plan, await repository_plans.stored_plan(uow, plan.version), holding)

    async def dislocations(self, uow: UnitOfWork, version: str) -> list[DislocationRow]:
        """Return the reports on who moves if this plan comes, newest first. Raises ``PlanNotFound``."""
        await self.get(uow, version)
        return await repository_plans.dislocations(uow, version)

    async def activate(
        self, uow: UnitOfWork, version: str, *, effective_from: date, by: str, reason: str
    ) -> Activation:
        """Put a plan in force from a day on. Stored premiums stay as they are.

        Raises ``PlanNotFound``, ``InvalidActivation`` for a day before today or before the plan's own first day, for
        the plan that is in force then and without a reason, and ``DislocationMissing`` without a fresh report on the
        book against the plan that is in force up to then.
        """
        await lock(uow, "plan_activations")
        plan = await self.get(uow, version)
        timeline = await repository_plans.activations(uow)
        holding = _holding(timeline, effective_from)
        current = await self.get(uow, self._options.default if holding is None else holding.version)
        _check(plan, current, effective_from, reason)
        report = await self._report(uow, current, plan)
        await self._keep(uow, plan, await self._document(uow, version), shipped=version in shipped_plans(), by=by)
        activation = Activation(
            activation_id=ids.new_uuid(),
            version=version,
            effective_from=effective_from,
            activated_at=clock.now(),
            activated_by=by,
            reason=reason.strip(),
            dislocation_id=report.dislocation_id,
        )
        await repository_plans.add_activation(uow, activation)
        uow.note(
            "plan",
            version,
            private={"reason": activation.reason},
            effective_from=effective_from,
            in_place_of=current.version,
            dislocation=report.dislocation_id,
        )

        async def look_again() -> None:
            self.forget()

        uow.after_commit(look_again)
        log.info("rating_plan_activated", version=version, effective_from=effective_from.isoformat())
        return activation

    def forget(self) -> None:
        """Look at the activations again at the next chance."""
        self._looked_at = float("-inf")

    async def _activations(self, uow: UnitOfWork) -> Sequence[Activation]:
        now = time.monotonic()
        if now - self._looked_at >= self._options.look_every_s:
            self._timeline = await repository_plans.activations(uow)
            self._looked_at = now
        return self._timeline

    async def _document(self, uow: UnitOfWork, version: str) -> str:
        kept = await repository_plans.stored_plan(uow, version)
        if kept is not None:
            return kept.document
        if version not in shipped_plans():
            raise PlanNotFound(version)
        return shipped_document(version)

    async def _keep(self, uow: UnitOfWork, plan: RatingPlan, document: str, *, shipped: bool, by: str) -> None:
        row = StoredPlan(
            version=plan.version,
            document=document,
            fingerprint=fingerprint(plan),
            shipped=shipped,
            created_at=clock.now(),
            created_by=by,
        )
        if await repository_plans.keep_plan(uow, row):
            return
        there = await repository_plans.stored_plan(uow, plan.version)
        if there is None or there.fingerprint != row.fingerprint:
            raise PlanVersionTaken(plan.version)

    async def _report(self, uow: UnitOfWork, old: RatingPlan, new: RatingPlan) -> DislocationRow:
        """Return the newest report that fits. Raises ``DislocationMissing`` with what is wrong with those there are."""
        oldest = clock.now() - timedelta(days=self._options.report_days)
        wanted = (fingerprint(old), fingerprint(new), "book")
        for row in await repository_plans.dislocations(uow, new.version):
            if (row.old_fingerprint, row.new_fingerprint, row.source) != wanted:
                continue
            if row.created_at < oldest:
                raise DislocationMissing(
                    old.version, new.version, f"the newest is of {row.created_at:%Y-%m-%d}, older than "
                    f"{self._options.report_days} days"
                )  # fmt: skip
            return row
        raise DislocationMissing(old.version, new.version, "there is none on the book")

    def _item(self, plan: RatingPlan, kept: StoredPlan | None, holding: Activation | None) -> PlanItem:
        in_force = plan.version == (self._options.default if holding is None else holding.version)
        return PlanItem(
            version=plan.version,
            fingerprint=fingerprint(plan),
            shipped=plan.version in shipped_plans(),
            in_force=in_force,
            in_force_since=holding.effective_from if in_force and holding is not None else None,
            effective_from=plan.plan.effective_from,
            currency=plan.plan.currency,
            products=plan.product_codes,
            basis=plan.plan.basis,
            created_at=None if kept is None else kept.created_at,
            created_by=None if kept is None else kept.created_by,
        )


def _holding(timeline: Sequence[Activation], on: date) -> Activation | None:
    return next((activation for activation in reversed(timeline) if activation.effective_from <= on), None)


def _check(plan: RatingPlan, current: RatingPlan, effective_from: date, reason: str) -> None:
    today = clock.now().date()
    if effective_from < today:
        raise InvalidActivation("effective_from", f"{effective_from} lies before today, {today}: nothing is dated back")
    if effective_from < plan.plan.effective_from:
        raise InvalidActivation(
            "effective_from", f"the plan says itself that it holds from {plan.plan.effective_from} on"
        )
    if plan.version == current.version:
        raise InvalidActivation("version", f"{plan.version} is in force on {effective_from} already")
    if not reason.strip():
        raise InvalidActivation("reason", "say why, for the record")
