"""From a quote to a policy, once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec

from auto_insurance.drivers.schemas import DriverFacts
from auto_insurance.infra.db.locks import lock
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock, ids
from auto_insurance.kernel.errors import AppError
from auto_insurance.policies import repository, repository_lists
from auto_insurance.policies.days import midnight
from auto_insurance.policies.desk import Desk
from auto_insurance.policies.earning import new_term
from auto_insurance.policies.errors import AlreadyInsured, InvalidChange, NotYourChange, QuoteNotBindable
from auto_insurance.policies.lifecycle import Action, Status, after
from auto_insurance.policies.postings import InstalmentPlan
from auto_insurance.policies.rates import facts_at_bind
from auto_insurance.policies.records import Actor, Kind, Policy, Snapshot, TermRow
from auto_insurance.policies.stretches import Rate, first
from auto_insurance.policies.writer import Change, transaction_id
from auto_insurance.pricing.service import Quote

BOUND = "quote_already_bound"
"""Code of pricing's error for a quote that was bound before."""


class BindOrder(msgspec.Struct, frozen=True, kw_only=True):
    """How a quote is to be bound; ``driver_id`` is needed for a quote of somebody unknown."""

    months: int = 12
    driver_id: str | None = None
    vehicle_id: str | None = None
    instalments: InstalmentPlan | None = None


async def bind(desk: Desk, uow: UnitOfWork, quote_id: str, order: BindOrder, actor: Actor, own: str | None) -> Policy:
    """Make a policy of a quote; of a quote that is bound already, return its policy.

    ``own`` is the driver of the caller. Whoever comes at the same time waits and gets the same policy. Raises
    ``QuoteNotBindable``, ``AlreadyInsured``, ``InvalidChange``, ``NotYourChange``, and what pricing says of an
    unknown or expired quote.
    """
    quote = await _taken(desk, uow, quote_id)
    driver_id = _driver(quote, order, actor, own)
    if quote.policy_id is not None:
        found = await repository.get_policy(uow, quote.policy_id)
        if found is None:
            raise QuoteNotBindable("The quote is bound to a policy that is not there.")
        return found
    driver = await desk.drivers.facts(uow, driver_id)
    facts = await _facts(desk, uow, driver, quote, order)
    policy = _policy(ids.readable("POL-", await repository.next_number(uow), 6), driver, quote, facts)
    row = _row(policy, quote, order.months)
    await _alone(uow, policy, row, facts.get("vehicle_id"))
    rate = await desk.rates.charge_quote(uow, quote, driver_id, row.starts_on, policy.policy_id)
    written = await desk.writer.write(uow, _change(policy, row, facts, rate, order, actor))
    await desk.rates.bound(uow, quote_id, policy.policy_id, driver_id)
    if row.starts_at <= clock.now():
        written = await activate(desk, uow, written, actor)
    return written.policy


async def preview(
    desk: Desk, uow: UnitOfWork, quote_id: str, order: BindOrder, actor: Actor, own: str | None
) -> Change:
    """Return what :func:`bind` would write; nothing is stored."""
    quote = await desk.rates.look(uow, quote_id)
    driver = await desk.drivers.facts(uow, _driver(quote, order, actor, own))
    facts = await _facts(desk, uow, driver, quote, order)
    policy = _policy("POL-preview", driver, quote, facts)
    row = _row(policy, quote, order.months)
    return _change(policy, row, facts, await desk.rates.of_quote(uow, quote), order, actor)


async def activate(desk: Desk, uow: UnitOfWork, snapshot: Snapshot, actor: Actor) -> Snapshot:
    """Let a bound term begin; its policy runs in it from now on."""
    row = msgspec.structs.replace(snapshot.row, status=after(Status(snapshot.row.status), Action.ACTIVATE).value)
    policy = msgspec.structs.replace(snapshot.policy, status=row.status, term=row.term)
    change = Change(
        kind=Kind.ACTIVATED,
        policy=policy,
        before=snapshot.row,
        after=row,
        old=snapshot.stretches,
        new=snapshot.stretches,
        effective_on=row.starts_on,
        actor=actor,
        reason="the term begins",
    )
    return await desk.writer.write(uow, change)


async def _taken(desk: Desk, uow: UnitOfWork, quote_id: str) -> Quote:
    try:
        return await desk.rates.take(uow, quote_id)
    except AppError as error:
        if error.code != BOUND:
            raise
        return await desk.rates.look(uow, quote_id)


def _driver(quote: Quote, order: BindOrder, actor: Actor, own: str | None) -> str:
    wanted = order.driver_id or quote.driver_id or own
    if wanted is None:
        raise InvalidChange("driver_id", "the quote is of nobody we know; name the driver who is to be insured")
    if quote.driver_id is not None and wanted != quote.driver_id:
        raise QuoteNotBindable("The quote is another driver's.")
    if not actor.is_staff and wanted != own:
        raise NotYourChange("Only staff may insure somebody else.")
    return wanted


async def _facts(desk: Desk, uow: UnitOfWork, driver: DriverFacts, quote: Quote, order: BindOrder) -> dict[str, Any]:
    vehicle_id = None if driver.vehicle is None else driver.vehicle.vehicle_id
    if order.vehicle_id is not None:
        vehicle_id = (await desk.vehicle(uow, driver.driver_id, order.vehicle_id)).vehicle_id
    return facts_at_bind(driver, quote, vehicle_id)


def _policy(policy_id: str, driver: DriverFacts, quote: Quote, facts: Mapping[str, Any]) -> Policy:
    now = clock.now()
    return Policy(
        policy_id=policy_id,
        driver_id=driver.driver_id,
        quote_id=quote.quote_id,
        product=quote.inputs.product,
        currency=quote.currency,
        state=str(facts["state"]),
        time_zone=driver.time_zone,
        anchor_day=_start(quote, driver.time_zone).day,
        status=Status.QUOTED.value,
        term=1,
        revision=0,
        created_at=now,
        changed_at=now,
    )


def _start(quote: Quote, time_zone: str) -> date:
    """Return the quote's first day; today, if that has gone by."""
    return max(quote.inputs.rating_date, clock.local_date(clock.now(), time_zone))


def _row(policy: Policy, quote: Quote, months: int) -> TermRow:
    try:
        term = new_term(_start(quote, policy.time_zone), months)
    except ValueError as error:
        raise InvalidChange("months", str(error)) from error
    return TermRow(
        policy_id=policy.policy_id,
        term=1,
        status=Status.QUOTED.value,
        starts_on=term.starts_on,
        ends_on=term.ends_on,
        months=term.months,
        # Nobody is covered for what happened before they had the policy.
        starts_at=max(midnight(term.starts_on, policy.time_zone), clock.now()),
        ends_at=midnight(term.ends_on, policy.time_zone),
    )


async def _alone(uow: UnitOfWork, policy: Policy, row: TermRow, vehicle_id: str | None) -> None:
    await lock(uow, f"policies:{policy.driver_id}")
    other = await repository_lists.overlapping(uow, policy.driver_id, vehicle_id, row.starts_at, row.ends_at)
    if other is not None:
        raise AlreadyInsured(other)


def _change(
    policy: Policy, row: TermRow, facts: Mapping[str, Any], rate: Rate, order: BindOrder, actor: Actor
) -> Change:
    bound = msgspec.structs.replace(row, status=after(Status.QUOTED, Action.BIND).value)
    return Change(
        kind=Kind.BOUND,
        policy=msgspec.structs.replace(policy, status=bound.status),
        before=row,
        after=bound,
        old=(),
        new=first(row.period, transaction_id(policy.policy_id, policy.revision + 1), facts, rate),
        effective_on=row.starts_on,
        actor=actor,
        reason="quote bound",
        premium_id=rate.premium_id,
        instalments=order.instalments,
    )
