"""Endorsements, cancellation, lapse and reinstatement on real rows."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert, text, update
from sqlalchemy.exc import DBAPIError

from auto_insurance.drivers.models import vehicles
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.kernel.errors import AppError
from auto_insurance.kernel.money import to_cents
from auto_insurance.policies.errors import (
    IllegalTransition,
    InvalidChange,
    NoMidTermChange,
    NotReinstated,
    NotYourChange,
    PolicyChangedMeanwhile,
    PolicyNotFound,
)
from auto_insurance.policies.models import policy_transactions
from auto_insurance.policies.records import Policy
from auto_insurance.policies.service import CancelOrder, Initiator, Method
from auto_insurance.policies.stretches import Money
from auto_insurance.policies.writer import Change
from auto_insurance.pricing.plan import load_plan
from auto_insurance.pricing.plan_parts import Jurisdiction
from tests.support.policies import DRIVER, STAFF, PolicyWorld, make_policy_world
from tests.support.scoring import TODAY

FULL = {"coverage": "full"}


@pytest.fixture
async def policy(world: PolicyWorld) -> Policy:
    """A policy of a year from 15 June 2026."""
    return await world.bound()


async def cancel(world: PolicyWorld, policy_id: str, by: Any = STAFF, *, preview: bool = False, **order: Any) -> Change:
    async with world.db.begin() as uow:
        wanted = CancelOrder(**{"reason": "sold the car", **order})
        return await world.service.cancel(uow, policy_id, wanted, by, preview=preview)


async def reinstate(world: PolicyWorld, policy_id: str, by: Any = STAFF, *, no_losses: bool = True) -> Change:
    async with world.db.begin() as uow:
        return await world.service.reinstate(uow, policy_id, by, "paid after all", no_losses=no_losses)


async def test_an_endorsement_costs_the_days_that_are_left(world: PolicyWorld, policy: Policy) -> None:
    before = await world.running(policy.policy_id)
    change = await world.endorse(policy.policy_id, date(2026, 12, 15), FULL)
    after = await world.running(policy.policy_id)
    old, new = (one.rate.annual_premium for one in after.stretches)
    # 15 June to 15 December are 183 of 365 days.
    assert after.row.written == to_cents((old * 183 + new * 182) / 365)
    assert change.cost.written == after.row.written - before.row.written == world.books.bookings[-1].written
    assert after.stretches[1].facts == {**after.stretches[0].facts, **FULL}
    assert after.stretches[1].rate.premium_id != after.stretches[0].rate.premium_id
    assert (after.policy.revision, after.row.status) == (3, "active")


async def test_out_of_sequence_later_changes_are_applied_again(world: PolicyWorld, policy: Policy) -> None:
    later = await world.endorse(policy.policy_id, date(2027, 1, 15), FULL)
    earlier = await world.endorse(policy.policy_id, date(2026, 9, 15), {"annual_mileage": 20_000})
    term = await world.running(policy.policy_id)
    assert [one.from_on for one in term.stretches] == [date(2026, 6, 15), date(2026, 9, 15), date(2027, 1, 15)]
    assert [one.facts.get("annual_mileage") for one in term.stretches] == [10_000, 20_000, 20_000]
    assert [one.facts["coverage"] for one in term.stretches] == ["standard", "standard", "full"]
    told = [(line.kind.value, line.transaction_id) for line in earlier.lines]
    assert told == [
        ("reverse", later.transaction_id),
        ("apply", earlier.transaction_id),
        ("reapply", later.transaction_id),
    ]
    assert sum(line.money.written for line in earlier.lines) == earlier.cost.written
    assert len(world.books.bookings) == 3, "the difference is booked once"
    assert sum(one.written for one in world.books.bookings) == term.row.written


async def test_the_order_of_booking_does_not_matter(world: PolicyWorld, policy: Policy) -> None:
    other = await world.bound("DRV002")
    changes: list[tuple[date, dict[str, Any]]] = [
        (date(2026, 8, 1), {"annual_mileage": 15_000}),
        (date(2026, 10, 1), {"state": "NY", "postcode": "10001"}),
        (date(2026, 10, 1), FULL),
        (date(2027, 2, 1), {"vehicle_use": "commute"}),
    ]
    for on, what in changes:
        await world.endorse(policy.policy_id, on, what)
    for number in (3, 1, 0, 2):
        await world.endorse(other.policy_id, *changes[number])
    found = [await world.running(one) for one in (policy.policy_id, other.policy_id)]
    assert found[0].row.written == found[1].row.written
    # Of two changes on one day each is a stretch; the first to be booked has no days.
    days = [[(one.from_on, one.rate.annual_premium) for one in term.stretches if one.to_on > one.from_on]
            for term in found]  # fmt: skip
    assert days[0] == days[1]
    assert found[0].policy.state == "NY"


async def test_another_vehicle_brings_its_year(world: PolicyWorld, policy: Policy) -> None:
    row = {"vehicle_id": "VEH900", "driver_id": "DRV001", "make": "M", "model": "N", "year": 2026, "use": "commute"}
    async with world.db.begin() as uow:
        await uow.conn.execute(insert(vehicles).values(**row, created_at=TODAY))
    await world.endorse(policy.policy_id, date(2026, 7, 1), {"vehicle_id": "VEH900"}, by=DRIVER)
    last = (await world.running(policy.policy_id)).stretches[-1]
    assert (last.facts["vehicle_id"], last.facts["vehicle_year"], last.facts["vehicle_use"]) == (
        "VEH900",
        2026,
        "commute",
    )
    with pytest.raises(InvalidChange, match="vehicle_id"):
        await world.endorse(policy.policy_id, date(2026, 7, 1), {"vehicle_id": "VEH-DRV002"})


async def test_a_preview_says_the_same_and_stores_nothing(world: PolicyWorld, policy: Policy) -> None:
    asked = await world.endorse(policy.policy_id, date(2026, 12, 15), FULL, preview=True)
    assert (await world.running(policy.policy_id)).policy.revision == policy.revision
    done = await world.endorse(policy.policy_id, date(2026, 12, 15), FULL)
    assert (asked.cost, [line.money for line in asked.lines]) == (done.cost, [line.money for line in done.lines])


@pytest.mark.parametrize(
    ("on", "changes", "error"),
    [
        (date(2026, 6, 14), FULL, InvalidChange),
        (date(2026, 7, 1), {"prior_claims": 0}, NotYourChange),
        (date(2026, 7, 1), {}, InvalidChange),
        (date(2027, 6, 15), FULL, InvalidChange),
    ],
)
async def test_what_a_driver_may_not_change(
    world: PolicyWorld, policy: Policy, on: date, changes: dict[str, Any], error: type[AppError]
) -> None:
    with pytest.raises(error):
        await world.endorse(policy.policy_id, on, changes, by=DRIVER)


async def test_a_change_in_the_past_is_for_staff(world: PolicyWorld, policy: Policy, frozen: FrozenClock) -> None:
    frozen.advance(timedelta(days=30))
    with pytest.raises(InvalidChange, match="past"):
        await world.endorse(policy.policy_id, date(2026, 6, 20), FULL, by=DRIVER)
    await world.endorse(policy.policy_id, date(2026, 6, 20), FULL)
    assert (await world.running(policy.policy_id)).stretches[1].from_on == date(2026, 6, 20)


async def test_whoever_looked_too_early_is_told(world: PolicyWorld, policy: Policy) -> None:
    await world.endorse(policy.policy_id, date(2026, 7, 1), FULL, revision=2)
    with pytest.raises(PolicyChangedMeanwhile, match="revision 3"):
        await world.endorse(policy.policy_id, date(2026, 7, 1), {"vehicle_use": "commute"}, revision=2)
    with pytest.raises(PolicyNotFound):
        await world.endorse("POL-000404", date(2026, 7, 1), FULL)


async def test_the_newest_score_prices_the_rest_where_the_state_allows_it(world: PolicyWorld, policy: Policy) -> None:
    change = await world.endorse(policy.policy_id, date(2026, 7, 1), {}, newest_score=True)
    assert change.details == {"newest_score": True}
    with pytest.raises(NotYourChange):
        await world.endorse(policy.policy_id, date(2026, 7, 1), {}, by=DRIVER, newest_score=True)


async def test_a_state_may_forbid_that_a_running_term_is_priced_anew(world: PolicyWorld) -> None:
    plan = load_plan()
    fixed = msgspec.structs.replace(plan, jurisdictions={"CA": Jurisdiction(mid_term_change=False)})
    strict = make_policy_world(world.db, plan=fixed)
    policy = await strict.bound()
    with pytest.raises(NoMidTermChange, match="In CA"):
        await strict.endorse(policy.policy_id, date(2026, 7, 1), {}, newest_score=True)
    await strict.endorse(policy.policy_id, date(2026, 7, 1), FULL)


async def test_a_policyholder_cancels_by_the_days(world: PolicyWorld, policy: Policy) -> None:
    whole = (await world.running(policy.policy_id)).row.written
    asked = await cancel(world, policy.policy_id, DRIVER, effective_on=date(2026, 9, 15), preview=True)
    done = await cancel(world, policy.policy_id, DRIVER, effective_on=date(2026, 9, 15))
    assert asked.cost == done.cost
    term = await world.running(policy.policy_id)
    assert term.row.written == to_cents(whole * 92 / 365)
    assert (term.row.status, term.policy.status, term.row.method) == ("cancelled", "cancelled", "pro_rata")
    assert term.row.stopped_on == date(2026, 9, 15)
    with pytest.raises(IllegalTransition):
        await cancel(world, policy.policy_id)


async def test_short_rate_and_flat(world: PolicyWorld, policy: Policy) -> None:
    other = await world.bound("DRV002")
    whole = (await world.running(policy.policy_id)).row.written
    await cancel(world, policy.policy_id, effective_on=date(2026, 9, 15), method=Method.SHORT_RATE)
    # 92 days: 36 %.
    assert (await world.running(policy.policy_id)).row.written == to_cents(whole * Decimal("0.36"))
    await cancel(world, other.policy_id, method=Method.FLAT)
    term = await world.running(other.policy_id)
    assert term.row.money == Money()
    assert not term.stretches
    assert world.books.totals[other.policy_id, 1] == 0


@pytest.mark.parametrize(
    ("order", "by", "error", "message"),
    [
        ({"initiator": Initiator.INSURER, "effective_on": date(2026, 7, 14)}, STAFF, InvalidChange, "2026-07-15"),
        ({"initiator": Initiator.NONPAYMENT, "effective_on": date(2026, 6, 24)}, STAFF, InvalidChange, "2026-06-25"),
        ({"initiator": Initiator.INSURER}, DRIVER, NotYourChange, "insurer"),
        ({"method": Method.FLAT}, DRIVER, NotYourChange, "policyholder"),
        ({"effective_on": date(2026, 6, 14)}, STAFF, InvalidChange, "no term"),
    ],
)
async def test_cancellations_that_are_refused(
    world: PolicyWorld, policy: Policy, order: dict[str, Any], by: Any, error: type[AppError], message: str
) -> None:
    with pytest.raises(error, match=message):
        await cancel(world, policy.policy_id, by, **order)


async def test_an_insurer_without_a_day_keeps_its_notice(world: PolicyWorld, policy: Policy) -> None:
    change = await cancel(world, policy.policy_id, initiator=Initiator.NONPAYMENT)
    assert change.effective_on == date(2026, 6, 25)
    assert change.details["notice_on"] == "2026-06-15"


async def test_a_cancellation_in_the_past_is_for_staff(world: PolicyWorld, policy: Policy, frozen: FrozenClock) -> None:
    frozen.advance(timedelta(days=30))
    with pytest.raises(InvalidChange, match="past"):
        await cancel(world, policy.policy_id, DRIVER, effective_on=date(2026, 6, 20))
    await cancel(world, policy.policy_id, effective_on=date(2026, 6, 20))


async def test_reinstated_as_if_cover_had_never_stopped(
    world: PolicyWorld, policy: Policy, frozen: FrozenClock
) -> None:
    await world.endorse(policy.policy_id, date(2026, 12, 15), FULL)
    before = await world.running(policy.policy_id)
    await cancel(world, policy.policy_id, effective_on=date(2026, 7, 1))
    frozen.advance(timedelta(days=20))
    with pytest.raises(NotYourChange):
        await reinstate(world, policy.policy_id, DRIVER)
    with pytest.raises(NotReinstated, match="without a gap"):
        await reinstate(world, policy.policy_id, no_losses=False)
    await reinstate(world, policy.policy_id)
    after = await world.running(policy.policy_id)
    assert after.stretches == before.stretches
    assert (after.row.written, after.row.status, after.row.stopped_on) == (before.row.written, "active", None)
    assert world.books.totals[policy.policy_id, 1] == before.row.written


async def test_too_late_for_a_reinstatement(world: PolicyWorld, policy: Policy, frozen: FrozenClock) -> None:
    await cancel(world, policy.policy_id, effective_on=date(2026, 7, 1))
    frozen.advance(timedelta(days=47))
    with pytest.raises(NotReinstated, match="until 2026-07-31"):
        await reinstate(world, policy.policy_id)


async def test_a_policy_that_has_not_begun_comes_back_bound(world: PolicyWorld) -> None:
    policy = await world.bound("DRV002", start_date=date(2026, 8, 1))
    await cancel(world, policy.policy_id)
    assert (await world.running(policy.policy_id)).row.written == 0
    change = await reinstate(world, policy.policy_id, no_losses=False)
    assert change.row.status == "bound"


async def test_a_lapse_and_what_may_follow(world: PolicyWorld, policy: Policy, frozen: FrozenClock) -> None:
    before = await world.running(policy.policy_id)
    async with world.db.begin() as uow:
        await world.service.lapse(uow, policy.policy_id, date(2026, 7, 1), "unpaid")
    lapsed = await world.running(policy.policy_id)
    assert (lapsed.row.status, lapsed.row.written) == ("lapsed", to_cents(before.row.written * 16 / 365))
    frozen.advance(timedelta(days=18))
    await cancel(world, policy.policy_id, initiator=Initiator.NONPAYMENT)
    ended = await world.running(policy.policy_id)
    assert (ended.row.status, ended.row.written, ended.row.stopped_on) == (
        "cancelled",
        lapsed.row.written,
        date(2026, 7, 1),
    )
    await reinstate(world, policy.policy_id)
    assert (await world.running(policy.policy_id)).stretches == before.stretches
    async with world.db.begin() as uow:
        with pytest.raises(InvalidChange):
            await world.service.lapse(uow, policy.policy_id, date(2027, 7, 1), "unpaid")


async def test_transactions_say_who_when_how_much_and_why_and_stay(world: PolicyWorld, policy: Policy) -> None:
    await world.endorse(policy.policy_id, date(2026, 12, 15), FULL, by=DRIVER)
    await cancel(world, policy.policy_id, effective_on=date(2027, 1, 1))
    async with world.db.read() as uow:
        found, total = await world.service.transactions(uow, policy.policy_id, limit=3)
    assert (total, [one.kind for one in found]) == (4, ["cancelled", "endorsed", "activated"])
    assert (found[1].made_by, found[1].role, found[1].made_at) == (DRIVER.id, "driver", TODAY)
    assert found[1].changes == FULL
    assert found[1].premium_id is not None
    assert found[0].reason == "sold the car"
    written = [one.money.written for one in found]
    assert found[0].written_after == found[1].written_after + written[0]
    for statement in (update(policy_transactions).values(reason="x"), text("DELETE FROM policy_transactions")):
        async with world.db.engine.connect() as conn:
            with pytest.raises(DBAPIError, match="append-only"):
                await conn.execute(statement)
