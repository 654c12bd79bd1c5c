"""How cover ends early and comes back: cancellation, lapse, reinstatement."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.policies import repository
from auto_insurance.policies.desk import Desk, moved, today
from auto_insurance.policies.errors import InvalidChange, NotReinstated, NotYourChange
from auto_insurance.policies.lifecycle import Action, Status, after
from auto_insurance.policies.records import Actor, Kind, Policy, Snapshot
from auto_insurance.policies.stretches import Method, cancelled
from auto_insurance.policies.writer import Change


class Initiator(StrEnum):
    """Who ends a policy."""

    INSURED = "insured"
    INSURER = "insurer"
    NONPAYMENT = "nonpayment"
    """The insurer, since the premium was not paid."""


class CancelOrder(msgspec.Struct, frozen=True, kw_only=True):
    """How a policy is to end. Without a day: as early as the notice allows. Without a method: by the rules."""

    reason: str
    initiator: Initiator = Initiator.INSURED
    effective_on: date | None = None
    method: Method | None = None
    revision: int | None = None


async def cancel(
    desk: Desk, uow: UnitOfWork, policy: Policy, order: CancelOrder, actor: Actor, *, store: bool = True
) -> Change:
    """End a policy early; a next term that is bound or offered goes with it. The policy is locked.

    The insurer keeps its notice period, counted from today where the risk is. With ``store`` false nothing is written.
    Raises ``InvalidChange``, ``IllegalTransition``, ``NotYourChange``.
    """
    _allowed(order, actor)
    term = await _term(desk, uow, policy, order.effective_on)
    change = _cancellation(desk, term, order, actor)
    if store:
        written = await desk.writer.write(uow, change)
        await drop_next(desk, uow, written, actor, order.reason)
    return change


async def lapse(desk: Desk, uow: UnitOfWork, policy: Policy, on: date, actor: Actor, reason: str) -> Change:
    """Let cover stop for want of payment; it may be reinstated. Raises ``InvalidChange``, ``IllegalTransition``."""
    term = await desk.term_on(uow, policy, None)
    row = term.row
    status = after(Status(row.status), Action.LAPSE)
    if not row.starts_on <= on < row.ends_on:
        raise InvalidChange("effective_on", "the day is not within the term")
    new = cancelled(term.stretches, row.period, on, Method.PRO_RATA)
    change = _stopped(term, Kind.LAPSED, status, new, on, actor, reason, {"initiator": Initiator.NONPAYMENT.value})
    await desk.writer.write(uow, change)
    return change


async def reinstate(
    desk: Desk,
    uow: UnitOfWork,
    policy: Policy,
    actor: Actor,
    reason: str,
    *,
    no_losses: bool,
    store: bool = True,
) -> Change:
    """Bring back a cancelled or lapsed term as if cover had never stopped, or refuse. The policy is locked.

    Raises ``NotYourChange``, ``IllegalTransition``, ``NotReinstated``.
    """
    if not actor.is_staff:
        raise NotYourChange("Only staff may reinstate a policy.")
    term = await desk.term_on(uow, policy, None)
    row, now = term.row, today(policy)
    begun = row.starts_on <= now
    status = after(Status(row.status), Action.REINSTATE if begun else Action.REBIND)
    _without_gap(desk, term, now, no_losses=no_losses)
    stopped_revision = row.stopped_revision or 0
    before = await repository.stretches(uow, policy.policy_id, row.term, revision=stopped_revision - 1)
    whole = msgspec.structs.replace(row, status=status.value, stopped_on=None, stopped_revision=None, method=None)
    change = Change(
        kind=Kind.REINSTATED,
        policy=moved(policy, whole),
        before=row,
        after=whole,
        old=term.stretches,
        new=before,
        effective_on=row.stopped_on or row.starts_on,
        actor=actor,
        reason=reason,
        details={"no_losses": no_losses},
    )
    if store:
        await desk.writer.write(uow, change)
    return change


async def drop_next(desk: Desk, uow: UnitOfWork, written: Snapshot, actor: Actor, reason: str) -> Change | None:
    """Cancel a next term that is bound, withdraw one that is only offered; None if there is neither."""
    following = await desk.next_term(uow, written.policy, written.row)
    if following is None:
        return None
    row = following.row
    if row.status == Status.BOUND:
        status, kind, method = after(Status.BOUND, Action.CANCEL), Kind.CANCELLED, Method.FLAT
        change = _stopped(
            following, kind, status, (), row.starts_on, actor, reason, {"initiator": Initiator.INSURED.value}, method
        )
    elif row.status == Status.QUOTED:
        status = after(Status.QUOTED, Action.WITHDRAW)
        change = _stopped(following, Kind.WITHDRAWN, status, (), row.starts_on, actor, reason, {})
    else:
        return None
    await desk.writer.write(uow, change)
    return change


def _allowed(order: CancelOrder, actor: Actor) -> None:
    if actor.is_staff:
        return
    if order.initiator is not Initiator.INSURED:
        raise NotYourChange("Only staff may cancel for the insurer.")
    if order.method is not None:
        raise NotYourChange("How the term is paid for is not for the policyholder to choose.")


async def _term(desk: Desk, uow: UnitOfWork, policy: Policy, on: date | None) -> Snapshot:
    """Return the term that ends; a lapsed one has ended before the day."""
    running = await desk.term_on(uow, policy, None)
    if on is None or running.row.status == Status.LAPSED:
        return running
    return await desk.term_on(uow, policy, on)


def _cancellation(desk: Desk, term: Snapshot, order: CancelOrder, actor: Actor) -> Change:
    row, options = term.row, desk.options
    status = after(Status(row.status), Action.CANCEL)
    method = order.method or (options.insured_method if order.initiator is Initiator.INSURED else Method.PRO_RATA)
    now = today(term.policy)
    on = _day(desk, term, order, method, now)
    if not actor.is_staff and on < now:
        raise InvalidChange("effective_on", "a cancellation in the past is for staff to make")
    if row.status == Status.LAPSED:
        new = () if method is Method.FLAT else term.stretches
    else:
        new = cancelled(term.stretches, row.period, on, method)
    details = {"initiator": order.initiator.value, "method": method.value, "notice_on": now.isoformat()}
    return _stopped(term, Kind.CANCELLED, status, new, on, actor, order.reason, details, method)


def _day(desk: Desk, term: Snapshot, order: CancelOrder, method: Method, now: date) -> date:
    row = term.row
    if method is Method.FLAT:
        return row.starts_on
    if row.status == Status.LAPSED and row.stopped_on is not None:
        return row.stopped_on
    earliest = now + timedelta(days=notice(desk, order.initiator))
    on = order.effective_on or max(earliest, row.starts_on)
    if not row.starts_on <= on < row.ends_on:
        raise InvalidChange("effective_on", "the day is not within the term")
    if order.initiator is not Initiator.INSURED and on < earliest:
        raise InvalidChange("effective_on", f"the notice period ends on {earliest}")
    return on


def notice(desk: Desk, initiator: Initiator) -> int:
    """Return the days of notice that somebody who ends a policy has to give."""
    if initiator is Initiator.NONPAYMENT:
        return desk.options.notice_nonpayment_days
    return desk.options.notice_days if initiator is Initiator.INSURER else 0


def _stopped(
    term: Snapshot,
    kind: Kind,
    status: Status,
    new: tuple[Any, ...],
    on: date,
    actor: Actor,
    reason: str,
    details: Mapping[str, Any],
    method: Method | None = None,
) -> Change:
    policy, row = term.policy, term.row
    # What a lapse stopped stays stopped by it: a reinstatement goes back to before that.
    stopped_by = row.stopped_revision or policy.revision + 1
    ended = msgspec.structs.replace(
        row,
        status=status.value,
        stopped_on=row.stopped_on or on,
        stopped_revision=stopped_by,
        method=None if method is None else method.value,
    )
    return Change(
        kind=kind,
        policy=moved(policy, ended),
        before=row,
        after=ended,
        old=term.stretches,
        new=new,
        effective_on=on,
        actor=actor,
        reason=reason,
        details=details,
    )


def _without_gap(desk: Desk, term: Snapshot, now: date, *, no_losses: bool) -> None:
    row = term.row
    if row.stopped_on is None:
        return
    last = row.stopped_on + timedelta(days=desk.options.reinstate_days)
    if now > last:
        raise NotReinstated(f"Cover stopped on {row.stopped_on}; it could be reinstated until {last}.")
    if now >= row.ends_on:
        raise NotReinstated("The term is over.")
    if now > row.stopped_on and not no_losses:
        raise NotReinstated(
            "Cover has stopped already: without a statement that nothing happened since, it can't be closed without "
            "a gap."
        )
