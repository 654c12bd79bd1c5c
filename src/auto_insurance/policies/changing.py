"""Endorsements: changes of a term that take effect on any of its days, in any order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.policies.desk import Desk, today
from auto_insurance.policies.errors import InvalidChange, NoMidTermChange, NotYourChange
from auto_insurance.policies.lifecycle import Action, Status, after
from auto_insurance.policies.rates import Purpose
from auto_insurance.policies.records import Actor, Kind, Policy, Snapshot
from auto_insurance.policies.renewing import offer
from auto_insurance.policies.stretches import Rate, Step, endorsed, lines, steps
from auto_insurance.policies.writer import Change, transaction_id

STAFF_ONLY = frozenset({"prior_claims", "date_of_birth", "licence_date", "product", "participating"})
"""Facts that a driver may not change alone: somebody has to look at a document."""


class EndorseOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is to change from a day on; ``newest_score`` prices the rest of the term with the newest score as well."""

    effective_on: date
    changes: Mapping[str, Any]
    reason: str
    newest_score: bool = False
    revision: int | None = None


async def endorse(
    desk: Desk, uow: UnitOfWork, policy: Policy, order: EndorseOrder, actor: Actor, *, store: bool = True
) -> Change:
    """Change a term from a day on. The policy is locked. With ``store`` false nothing is written: a preview.

    Later changes are applied again on top of an earlier one, each as lines of its own; the difference of the written
    premium is booked once. A next term that is bound already changes with it from its first day on, an offer of one
    is made anew. Raises ``InvalidChange``, ``IllegalTransition``, ``NotYourChange``, ``NoMidTermChange``.
    """
    _allowed(order, policy, actor)
    term = await desk.term_on(uow, policy, order.effective_on)
    await _may_be_priced_anew(desk, uow, term, order)
    changes = await _complete(desk, uow, policy, order.changes)
    change = await _change(desk, uow, term, order, changes, actor, store=store)
    if not store:
        return change
    written = await desk.writer.write(uow, change)
    await _carry_over(desk, uow, written, changes, order, actor)
    return change


async def _change(
    desk: Desk,
    uow: UnitOfWork,
    term: Snapshot,
    order: EndorseOrder,
    changes: Mapping[str, Any],
    actor: Actor,
    *,
    store: bool,
) -> Change:
    policy, row = term.policy, term.row
    status = after(Status(row.status), Action.ENDORSE)
    number = transaction_id(policy.policy_id, policy.revision + 1)
    kept, wanted = steps(term.stretches, order.effective_on, number, changes)
    purpose: Purpose = "recalculation" if order.newest_score else "endorsement"
    rated = await _rated(desk, uow, policy, wanted, kept, purpose, store=store)
    new = endorsed(term.stretches, kept, rated, row.period)
    state = str(new[-1].facts.get("state", policy.state))
    return Change(
        kind=Kind.ENDORSED,
        policy=msgspec.structs.replace(policy, state=state),
        before=row,
        after=msgspec.structs.replace(row, status=status.value),
        old=term.stretches,
        new=new,
        effective_on=order.effective_on,
        actor=actor,
        reason=order.reason,
        changes=changes,
        lines=lines(term.stretches, new, kept, row.period),
        details={"newest_score": True} if order.newest_score else {},
        premium_id=rated[0][1].premium_id,
    )


async def _rated(
    desk: Desk, uow: UnitOfWork, policy: Policy, wanted: Sequence[Step], kept: int, purpose: Purpose, *, store: bool
) -> list[tuple[Step, Rate]]:
    rated = []
    for number, step in enumerate(wanted, kept + 1):
        if store:
            rate = await desk.rates.charge(
                uow, policy.driver_id, step.from_on, step.facts, purpose, policy_id=policy.policy_id, segment=number
            )
        else:
            rate = await desk.rates.rate(uow, policy.driver_id, step.from_on, step.facts, purpose)
        rated.append((step, rate))
    return rated


def _allowed(order: EndorseOrder, policy: Policy, actor: Actor) -> None:
    if not order.changes and not order.newest_score:
        raise InvalidChange("changes", "nothing is to change")
    if actor.is_staff:
        return
    if forbidden := sorted(STAFF_ONLY & set(order.changes)):
        raise NotYourChange(f"Staff must look at a change of {', '.join(forbidden)}.")
    if order.newest_score:
        raise NotYourChange("Only staff may have a running term priced with the newest score.")
    if order.effective_on < today(policy):
        raise InvalidChange("effective_on", "a change in the past is for staff to make")


async def _may_be_priced_anew(desk: Desk, uow: UnitOfWork, term: Snapshot, order: EndorseOrder) -> None:
    if not order.newest_score or not term.stretches:
        return
    rate = term.stretches[0].rate
    if await desk.rates.fixed_term(uow, rate.plan_version, term.policy.state):
        raise NoMidTermChange(term.policy.state)


async def _complete(desk: Desk, uow: UnitOfWork, policy: Policy, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes with what follows from them: another vehicle has another year and perhaps another use."""
    found = dict(changes)
    if "vehicle_id" in found:
        vehicle = await desk.vehicle(uow, policy.driver_id, found["vehicle_id"])
        found = {"vehicle_year": vehicle.year, "vehicle_use": vehicle.use.value, **found}
    return found


async def _carry_over(
    desk: Desk, uow: UnitOfWork, written: Snapshot, changes: Mapping[str, Any], order: EndorseOrder, actor: Actor
) -> None:
    """Bring a next term in line: it was priced for a risk that has changed since."""
    following = await desk.next_term(uow, written.policy, written.row)
    if following is None or not changes:
        return
    if following.row.status == Status.QUOTED:
        await offer(desk, uow, written, actor)
    elif following.row.status == Status.BOUND:
        start = following.row.starts_on
        again = msgspec.structs.replace(
            order, effective_on=start, newest_score=False, reason=f"{order.reason} (carried over)"
        )
        await desk.writer.write(uow, await _change(desk, uow, following, again, changes, actor, store=True))
