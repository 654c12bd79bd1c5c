"""The next term: offered in time, taken, begun; and terms that end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.policies import repository
from auto_insurance.policies.binding import activate
from auto_insurance.policies.days import midnight
from auto_insurance.policies.desk import Desk, moved
from auto_insurance.policies.earning import new_term
from auto_insurance.policies.errors import IllegalTransition, InvalidChange
from auto_insurance.policies.lifecycle import Action, Status, after
from auto_insurance.policies.records import THE_SYSTEM, Actor, Kind, Policy, Snapshot, TermRow
from auto_insurance.policies.stopping import drop_next
from auto_insurance.policies.stretches import Rate, first
from auto_insurance.policies.writer import Change, transaction_id


async def offer(
    desk: Desk, uow: UnitOfWork, term: Snapshot, actor: Actor, *, months: int | None = None, store: bool = True
) -> Change:
    """Offer the term after another, or offer it anew: with the facts, the newest score and the plan's limits of change.

    The price holds: what is offered is what is bound. Raises ``IllegalTransition`` for a term that does not run.
    """
    policy, row = term.policy, term.row
    if Status(row.status) not in {Status.ACTIVE, Status.BOUND}:
        raise IllegalTransition(row.status, "offer a renewal of", [])
    before = await desk.next_term(uow, policy, row)
    if before is not None and before.row.status != Status.QUOTED:
        after(Status(before.row.status), Action.REOFFER)
    following = _following(policy, row, months or (row.months if before is None else before.row.months))
    facts = term.stretches[-1].facts
    if store:
        rate = await desk.rates.charge(
            uow, policy.driver_id, following.starts_on, facts, "renewal", policy_id=policy.policy_id, segment=1
        )
    else:
        rate = await desk.rates.rate(uow, policy.driver_id, following.starts_on, facts, "renewal")
    change = _offer(policy, term, before, following, rate, actor)
    if store:
        await desk.writer.write(uow, change)
    return change


def _offer(
    policy: Policy, term: Snapshot, before: Snapshot | None, following: TermRow, rate: Rate, actor: Actor
) -> Change:
    last = term.stretches[-1]
    new = first(following.period, transaction_id(policy.policy_id, policy.revision + 1), last.facts, rate)
    changed = rate.annual_premium - last.rate.annual_premium
    details: dict[str, Any] = {
        "annual_premium": str(rate.annual_premium),
        "annual_premium_before": str(last.rate.annual_premium),
        "annual_change": str(changed),
        "telematics_relativity": str(rate.telematics_relativity),
        "telematics_relativity_before": str(last.rate.telematics_relativity),
    }
    return Change(
        kind=Kind.OFFERED,
        policy=policy,
        before=following if before is None else before.row,
        after=following,
        old=() if before is None else before.stretches,
        new=new,
        effective_on=following.starts_on,
        actor=actor,
        reason="renewal offer" if before is None else "renewal offer, made anew",
        details=details,
        premium_id=rate.premium_id,
    )


def _following(policy: Policy, row: TermRow, months: int) -> TermRow:
    try:
        term = new_term(row.ends_on, months, policy.anchor_day)
    except ValueError as error:
        raise InvalidChange("months", str(error)) from error
    return TermRow(
        policy_id=policy.policy_id,
        term=row.term + 1,
        status=Status.QUOTED.value,
        starts_on=term.starts_on,
        ends_on=term.ends_on,
        months=months,
        starts_at=midnight(term.starts_on, policy.time_zone),
        ends_at=midnight(term.ends_on, policy.time_zone),
    )


async def renew(
    desk: Desk,
    uow: UnitOfWork,
    policy: Policy,
    actor: Actor,
    *,
    months: int | None = None,
    store: bool = True,
) -> Change:
    """Bind the next term, offered before or now. The policy is locked. Raises ``IllegalTransition``."""
    running = await desk.term_on(uow, policy, None)
    following = await desk.next_term(uow, policy, running.row)
    stale = following is None or following.row.status == Status.CANCELLED
    stale = stale or (following is not None and months not in {None, following.row.months})
    if stale and not store:
        return await offer(desk, uow, running, actor, months=months, store=False)
    if stale:
        await offer(desk, uow, running, actor, months=months)
        policy = await desk.load(uow, policy.policy_id)
        following = await desk.next_term(uow, policy, running.row)
    if following is None:
        raise IllegalTransition(running.row.status, "renew", [])
    change = _bound(following, actor)
    if store:
        await desk.writer.write(uow, change)
    return change


def _bound(following: Snapshot, actor: Actor) -> Change:
    row = following.row
    bound = msgspec.structs.replace(row, status=after(Status(row.status), Action.BIND).value)
    return Change(
        kind=Kind.BOUND,
        policy=moved(following.policy, bound),
        before=row,
        after=bound,
        old=following.stretches,
        new=following.stretches,
        effective_on=row.starts_on,
        actor=actor,
        reason="renewal",
        premium_id=following.stretches[0].rate.premium_id,
    )


async def step(desk: Desk, uow: UnitOfWork, policy: Policy) -> int:
    """Do what is due of a policy now: end its term, take or begin the next one, offer one. Returns how much that was.

    The policy is locked. May be repeated: what has been done is not due any more.
    """
    now = clock.now()
    running = await desk.term_on(uow, policy, None)
    if running.row.status == Status.BOUND and running.row.starts_at <= now:
        await activate(desk, uow, running, THE_SYSTEM)
        return 1
    ends = running.row.ends_at
    if running.row.status in {Status.ACTIVE, Status.LAPSED} and ends <= now:
        return await _end(desk, uow, running)
    if running.row.status != Status.ACTIVE or ends > now + timedelta(days=desk.options.offer_days):
        return 0
    if await desk.next_term(uow, policy, running.row) is not None:
        return 0
    await offer(desk, uow, running, THE_SYSTEM)
    return 1


async def offer_again(desk: Desk, uow: UnitOfWork, policy_id: str, actor: Actor) -> None:
    """Offer a next term again that went with a cancellation, when the running one has come back."""
    policy = await desk.load(uow, policy_id)
    running = await desk.term_on(uow, policy, None)
    following = await desk.next_term(uow, policy, running.row)
    if following is not None and following.row.status == Status.CANCELLED:
        await offer(desk, uow, running, actor)


async def decline(desk: Desk, uow: UnitOfWork, policy: Policy, actor: Actor, reason: str) -> Change:
    """Decline the next term, offered or bound: the policy ends with the running one. The policy is locked.

    Raises ``IllegalTransition`` if there is nothing to decline.
    """
    running = await desk.term_on(uow, policy, None)
    change = await drop_next(desk, uow, running, actor, reason)
    if change is None:
        raise IllegalTransition(running.row.status, "have its renewal declined", [])
    return change


async def _end(desk: Desk, uow: UnitOfWork, running: Snapshot) -> int:
    following = await desk.next_term(uow, running.policy, running.row)
    active = running.row.status == Status.ACTIVE
    if following is not None and following.row.status == Status.QUOTED:
        if active and desk.options.auto_renew:
            await desk.writer.write(uow, _bound(following, THE_SYSTEM))
        else:
            await drop_next(desk, uow, running, THE_SYSTEM, "nobody took the offer")
    elif not active:
        await drop_next(desk, uow, running, THE_SYSTEM, "the term before it lapsed")
    policy = await desk.load(uow, running.policy.policy_id)
    following = await desk.next_term(uow, policy, running.row)
    renewed = active and following is not None and following.row.status == Status.BOUND
    ended = msgspec.structs.replace(
        running.row, status=after(Status(running.row.status), Action.RENEW if renewed else Action.EXPIRE).value
    )
    await desk.writer.write(uow, _ended(policy, running, ended, renewed=renewed))
    if renewed:
        begun = await repository.get_policy(uow, policy.policy_id)
        if begun is not None and following is not None:
            await activate(desk, uow, msgspec.structs.replace(following, policy=begun), THE_SYSTEM)
    return 1


def _ended(policy: Policy, running: Snapshot, ended: TermRow, *, renewed: bool) -> Change:
    return Change(
        kind=Kind.RENEWED if renewed else Kind.EXPIRED,
        policy=moved(policy, ended),
        before=running.row,
        after=ended,
        old=running.stretches,
        new=running.stretches,
        effective_on=ended.ends_on,
        actor=THE_SYSTEM,
        reason="the next term begins" if renewed else "the term is over",
    )
