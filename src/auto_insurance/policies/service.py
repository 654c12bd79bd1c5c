"""The door of the domain: use cases of policies, and what others need of the ledger.

One transaction is the caller's; see ``writer`` for what a change writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from auto_insurance.contracts.pricing import PremiumCorrected
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.policies import (
    billing_corrections,
    binding,
    changing,
    renewing,
    repository,
    repository_lists,
    stopping,
)
from auto_insurance.policies.binding import BindOrder
from auto_insurance.policies.changing import EndorseOrder
from auto_insurance.policies.desk import Desk, Drivers, PolicyOptions, today
from auto_insurance.policies.errors import PolicyNotFound
from auto_insurance.policies.rates import Rates
from auto_insurance.policies.records import THE_SYSTEM, Actor, BookFigures, Cover, Policy, Snapshot, Transaction
from auto_insurance.policies.repository_lists import Listed
from auto_insurance.policies.stopping import CancelOrder, Initiator
from auto_insurance.policies.stretches import Method
from auto_insurance.policies.writer import Books, Change, Writer
from auto_insurance.pricing.schemas import Premium
from auto_insurance.pricing.service import PricingService

__all__ = [
    "Actor",
    "BindOrder",
    "CancelOrder",
    "Cover",
    "EndorseOrder",
    "Initiator",
    "Method",
    "PolicyOptions",
    "PolicyService",
]


class PolicyService:
    """Use cases of policies; the only writer of their tables. Every change says who makes it and why."""

    def __init__(
        self, pricing: PricingService, drivers: Drivers, books: Books, options: PolicyOptions | None = None
    ) -> None:
        self._desk = Desk(Rates(pricing), drivers, Writer(books), options or PolicyOptions())

    @property
    def options(self) -> PolicyOptions:
        """Periods and rules."""
        return self._desk.options

    # --- for other domains ---

    async def cover_at(self, uow: UnitOfWork, driver_id: str, vehicle_id: str | None, at: datetime) -> Cover | None:
        """Return what covered a vehicle of a driver (None: any of them) at an instant, None if nothing did."""
        return await repository.cover_at(uow, driver_id, vehicle_id, at)

    async def lapse(self, uow: UnitOfWork, policy_id: str, on: date, reason: str) -> Change:
        """Let cover stop on a day for want of payment. Raises ``PolicyNotFound``, ``IllegalTransition``."""
        return await stopping.lapse(self._desk, uow, await self._desk.load(uow, policy_id), on, THE_SYSTEM, reason)

    async def correct(self, uow: UnitOfWork, told: PremiumCorrected) -> Change | None:
        """Put a corrected price in the place of the one that it corrects; None if no stretch rests on that."""
        return await billing_corrections.correct(self._desk, uow, told)

    # --- reads ---

    async def get(self, uow: UnitOfWork, policy_id: str) -> Policy:
        """Return a policy. Raises ``PolicyNotFound``."""
        policy = await repository.get_policy(uow, policy_id)
        if policy is None:
            raise PolicyNotFound
        return policy

    def today(self, policy: Policy) -> date:
        """Return the date where the policy's risk is."""
        return today(policy)

    async def snapshot(self, uow: UnitOfWork, policy: Policy, term: int | None = None) -> Snapshot:
        """Return a term, by default the one that runs, with its stretches. Raises ``PolicyNotFound``."""
        return await self._desk.snapshot(uow, policy, policy.term if term is None else term)

    async def terms(self, uow: UnitOfWork, policy: Policy) -> list[Snapshot]:
        """Return all terms, in order, with their stretches."""
        rows = await repository.list_terms(uow, policy.policy_id)
        return [await self._desk.snapshot(uow, policy, row.term) for row in rows]

    async def list(
        self,
        uow: UnitOfWork,
        *,
        driver_id: str | None = None,
        status: str | None = None,
        search: str | None = None,
        limit: int = 20,
        offset: int = 0,
    ) -> tuple[Sequence[Listed], int]:
        """Return policies, the newest first, and how many there are; ``search`` is the beginning of an id."""
        return await repository_lists.page(
            uow, driver_id=driver_id, status=status, search=search, limit=limit, offset=offset
        )

    async def transactions(
        self, uow: UnitOfWork, policy_id: str, *, limit: int = 20, offset: int = 0
    ) -> tuple[Sequence[Transaction], int]:
        """Return what happened to a policy, the newest first, and how much that is."""
        return await repository_lists.transactions(uow, policy_id, limit=limit, offset=offset)

    async def transaction(self, uow: UnitOfWork, policy_id: str, revision: int) -> Transaction | None:
        """Return one transaction by its number."""
        return await repository.get_transaction(uow, policy_id, revision)

    async def figures(self, uow: UnitOfWork) -> BookFigures:
        """Return the figures of the whole book, now."""
        by_status = await repository_lists.count_by_status(uow)
        annual, savings = await repository_lists.premium_of_book(uow, clock.now())
        return BookFigures(
            total=sum(by_status.values()), by_status=by_status, annual_premium=annual, annual_savings=savings
        )

    async def worksheet(self, uow: UnitOfWork, premium_id: str) -> Premium:
        """Return the price that a stretch rests on, with its worksheet. Raises ``PremiumNotFound``."""
        return await self._desk.rates.worksheet(uow, premium_id)

    # --- changes and their previews: the same steps, nothing stored ---

    async def bind(
        self, uow: UnitOfWork, quote_id: str, order: BindOrder, actor: Actor, own: str | None = None
    ) -> Policy:
        """Make a policy of a quote, once: whoever asks again gets the same. ``own``: the caller's driver."""
        return await binding.bind(self._desk, uow, quote_id, order, actor, own)

    async def preview_bind(
        self, uow: UnitOfWork, quote_id: str, order: BindOrder, actor: Actor, own: str | None = None
    ) -> Change:
        """Return what :meth:`bind` would do."""
        return await binding.preview(self._desk, uow, quote_id, order, actor, own)

    async def endorse(
        self, uow: UnitOfWork, policy_id: str, order: EndorseOrder, actor: Actor, *, preview: bool = False
    ) -> Change:
        """Change a term from a day on, in any order of days."""
        policy = await self._desk.load(uow, policy_id, revision=order.revision)
        return await changing.endorse(self._desk, uow, policy, order, actor, store=not preview)

    async def cancel(
        self, uow: UnitOfWork, policy_id: str, order: CancelOrder, actor: Actor, *, preview: bool = False
    ) -> Change:
        """End a policy early."""
        policy = await self._desk.load(uow, policy_id, revision=order.revision)
        return await stopping.cancel(self._desk, uow, policy, order, actor, store=not preview)

    async def reinstate(
        self,
        uow: UnitOfWork,
        policy_id: str,
        actor: Actor,
        reason: str,
        *,
        no_losses: bool = False,
        revision: int | None = None,
        preview: bool = False,
    ) -> Change:
        """Bring a cancelled or lapsed policy back without a gap, or refuse."""
        policy = await self._desk.load(uow, policy_id, revision=revision)
        change = await stopping.reinstate(
            self._desk, uow, policy, actor, reason, no_losses=no_losses, store=not preview
        )
        if not preview:
            await renewing.offer_again(self._desk, uow, policy_id, actor)
        return change

    async def renew(
        self,
        uow: UnitOfWork,
        policy_id: str,
        actor: Actor,
        *,
        months: int | None = None,
        revision: int | None = None,
        preview: bool = False,
    ) -> Change:
        """Bind the next term, as offered or at an offer made now."""
        policy = await self._desk.load(uow, policy_id, revision=revision)
        return await renewing.renew(self._desk, uow, policy, actor, months=months, store=not preview)

    async def decline(self, uow: UnitOfWork, policy_id: str, actor: Actor, reason: str) -> Change:
        """Decline the next term, offered or bound."""
        return await renewing.decline(self._desk, uow, await self._desk.load(uow, policy_id), actor, reason)

    async def step(self, uow: UnitOfWork, policy_id: str) -> int:
        """Do what is due of a policy by now; returns how much that was. For the scheduler, may be repeated."""
        return await renewing.step(self._desk, uow, await self._desk.load(uow, policy_id))
