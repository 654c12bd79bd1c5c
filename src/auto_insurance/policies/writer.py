"""Writes what happens to a term: rows, ledger and event, in the caller's transaction. The one place that does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec
import structlog

from auto_insurance.contracts import policies as contract
from auto_insurance.contracts import topics
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.kernel.events import new_event
from auto_insurance.kernel.money import to_cents
from auto_insurance.policies import repository
from auto_insurance.policies.days import midnight
from auto_insurance.policies.lifecycle import Status
from auto_insurance.policies.postings import Booking, InstalmentPlan, MileRate
from auto_insurance.policies.records import Actor, Kind, Policy, Snapshot, TermRow, Transaction
from auto_insurance.policies.stretches import Money, Stretch, TransactionLine, money, segments

log = structlog.get_logger(__name__)
EVENTS: Mapping[Kind, str] = {
    Kind.BOUND: contract.POLICY_BOUND,
    Kind.ACTIVATED: contract.POLICY_ACTIVATED,
    Kind.ENDORSED: contract.POLICY_ENDORSED,
    Kind.CANCELLED: contract.POLICY_CANCELLED,
    Kind.LAPSED: contract.POLICY_LAPSED,
    Kind.REINSTATED: contract.POLICY_REINSTATED,
    Kind.RENEWED: contract.POLICY_RENEWED,
    Kind.EXPIRED: contract.POLICY_EXPIRED,
}
"""Offers and their withdrawal are nobody else's news: nothing is insured by them."""
UNBOOKED = frozenset({Kind.ACTIVATED, Kind.OFFERED, Kind.WITHDRAWN, Kind.RENEWED, Kind.EXPIRED})
"""They move no money and change no earning pattern."""


class Books(Protocol):
    """The ledger, as far as policies write to it."""

    async def book(self, uow: UnitOfWork, booking: Booking) -> None: ...


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction before it has a number: what it makes of a term. Stored by :meth:`Writer.write` alone."""

    kind: Kind
    policy: Policy
    """As it was before; ``status`` and ``term`` as they are to be."""
    before: TermRow
    after: TermRow
    """Without money and revision: they follow from the stretches."""
    old: tuple[Stretch, ...]
    new: tuple[Stretch, ...]
    effective_on: date
    actor: Actor
    reason: str
    changes: Mapping[str, Any] = {}
    lines: tuple[TransactionLine, ...] = ()
    details: Mapping[str, Any] = {}
    premium_id: str | None = None
    instalments: InstalmentPlan | None = None

    @property
    def cost(self) -> Money:
        """What it changes, in money. An offer is owed by nobody until it is bound."""
        if self.kind in UNBOOKED:
            return Money()
        before = Money() if self.before.status == Status.QUOTED else self.before.money
        return money(self.new, self.after.period).less(before)

    @property
    def row(self) -> TermRow:
        """The term as it stands after the change."""
        total = money(self.new, self.after.period)
        return msgspec.structs.replace(
            self.after, written=total.written, fees=total.fees, taxes=total.taxes, revision=self.revision
        )

    @property
    def revision(self) -> int:
        """The policy's revision after it."""
        return self.policy.revision + 1

    @property
    def transaction_id(self) -> str:
        """The readable id of the transaction."""
        return transaction_id(self.policy.policy_id, self.revision)


def transaction_id(policy_id: str, revision: int) -> str:
    """Return the readable id of a policy's transaction."""
    return f"{policy_id}-{revision:04d}"


class Writer:
    """Stores changes."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def write(self, uow: UnitOfWork, change: Change) -> Snapshot:
        """Store a change: policy, term, stretches, transaction, ledger, event. Returns how the term stands then."""
        now, cost = clock.now(), change.cost
        policy, row = msgspec.structs.replace(change.policy, revision=change.revision, changed_at=now), change.row
        await repository.put_policy(uow, policy)
        await repository.put_term(uow, row)
        if change.new != change.old:
            await repository.replace_stretches(uow, policy, row, change.new, instants(policy, row, change.new))
        await repository.add_transaction(uow, _transaction(change, row, cost, now))
        if change.kind not in UNBOOKED:
            await self._books.book(uow, booking(change, policy, cost))
        snapshot = Snapshot(policy=policy, row=row, stretches=change.new)
        if change.kind in EVENTS:
            event = announcement(change, snapshot, now)
            uow.publish(topics.POLICIES, new_event(event, type=EVENTS[change.kind], version=1, key=policy.driver_id))
        uow.note(
            "policy",
            policy.policy_id,
            private={"reason": change.reason},
            change=change.kind.value,
            transaction=change.transaction_id,
            status=[change.before.status, row.status],
            effective_on=change.effective_on,
            changed=sorted(change.changes),
        )
        uow.note("driver", policy.driver_id)
        log.info("policy_changed", policy_id=policy.policy_id, kind=change.kind.value, term=row.term)
        return snapshot


def booking(change: Change, policy: Policy, cost: Money) -> Booking:
    """Return a change as the ledger books it."""
    row = change.after
    return Booking(
        policy_id=policy.policy_id,
        term=row.term,
        transaction_id=change.transaction_id,
        kind=change.kind.value,
        # The ledger's days are UTC: it closes them.
        booked_on=clock.now().date(),
        effective_on=change.effective_on,
        term_start=row.starts_on,
        term_end=row.ends_on,
        written=cost.written,
        fees=cost.fees,
        taxes=cost.taxes,
        segments=segments(change.new),
        currency=policy.currency,
        reason=change.reason,
        driver_id=policy.driver_id,
        per_mile=mile_rates(change.new),
        instalments=change.instalments,
    )


def mile_rates(cut: Sequence[Stretch]) -> tuple[MileRate, ...]:
    """Return what a mile costs over a term, nothing for a product that charges none."""
    return tuple(
        MileRate(one.from_on, one.rate.per_mile.rate_per_mile, one.rate.per_mile.daily_cap_miles)
        for one in cut
        if one.rate.per_mile is not None and one.from_on < one.to_on
    )


def instants(policy: Policy, row: TermRow, cut: Sequence[Stretch]) -> list[tuple[datetime, datetime]]:
    """Return the instants between which each stretch covers; nothing before the term was bound."""
    zone = policy.time_zone
    return [
        (max(row.starts_at, midnight(one.from_on, zone)), max(row.starts_at, midnight(one.to_on, zone))) for one in cut
    ]


def announcement(change: Change, snapshot: Snapshot, at: datetime) -> contract.PolicyChanged:
    """Return the event of a change: how the term stands after it."""
    policy, row = snapshot.policy, snapshot.row
    vehicles = dict.fromkeys(str(one.facts["vehicle_id"]) for one in snapshot.stretches if "vehicle_id" in one.facts)
    return contract.PolicyChanged(
        policy_id=policy.policy_id,
        driver_id=policy.driver_id,
        term=row.term,
        revision=policy.revision,
        transaction_id=change.transaction_id,
        status=row.status,
        effective_at=max(row.starts_at, midnight(change.effective_on, policy.time_zone)),
        term_start=row.starts_at,
        term_end=row.ends_at,
        in_force=in_force(instants(policy, row, snapshot.stretches)),
        vehicle_ids=tuple(vehicles),
        product=policy.product,
        currency=policy.currency,
        written_premium=str(to_cents(row.written)),
        reason=change.reason,
        changed_at=at,
    )


def in_force(spans: Sequence[tuple[datetime, datetime]]) -> tuple[contract.InForce, ...]:
    """Return the stretches of cover, those that meet put together, without those that have no time."""
    found: list[tuple[datetime, datetime]] = []
    for start, end in spans:
        if start >= end:
            continue
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return tuple(contract.InForce(start, end) for start, end in found)


def _transaction(change: Change, row: TermRow, cost: Money, now: datetime) -> Transaction:
    return Transaction(
        transaction_id=change.transaction_id,
        policy_id=change.policy.policy_id,
        term=row.term,
        revision=change.revision,
        kind=change.kind.value,
        status=row.status,
        made_by=change.actor.id,
        role=change.actor.role,
        made_at=now,
        effective_on=change.effective_on,
        money=cost,
        written_after=row.written,
        changes=change.changes,
        lines=change.lines,
        details=change.details,
        premium_id=None if change.premium_id is None else str(UUID(change.premium_id)),
        reason=change.reason,
    )
