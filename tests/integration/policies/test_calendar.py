"""What time does: terms begin, are offered again, renewed, and end."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from auto_insurance.contracts import topics
from auto_insurance.kernel import ids
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.policies.calendar import PolicyCalendar
from auto_insurance.policies.errors import IllegalTransition
from auto_insurance.policies.service import CancelOrder, PolicyOptions
from auto_insurance.policies.writer import Change
from auto_insurance.pricing.service import Score
from tests.support.policies import DRIVER, STAFF, PolicyWorld, make_policy_world
from tests.support.scoring import TODAY, published

FULL = {"coverage": "full"}


async def run(world: PolicyWorld) -> int:
    options = world.service.options
    return await PolicyCalendar(world.db, world.service.step, offer_days=options.offer_days).run()


async def renew(world: PolicyWorld, policy_id: str, *, preview: bool = False, months: int | None = None) -> Change:
    async with world.db.begin() as uow:
        return await world.service.renew(uow, policy_id, STAFF, months=months, preview=preview)


async def kinds(world: PolicyWorld, policy_id: str) -> list[str]:
    async with world.db.read() as uow:
        found, _ = await world.service.transactions(uow, policy_id, limit=100)
    return [f"{one.term}:{one.kind}" for one in reversed(found)]


async def test_a_bound_policy_begins_on_its_day(world: PolicyWorld, frozen: FrozenClock) -> None:
    policy = await world.bound(start_date=date(2026, 7, 1))
    assert await run(world) == 0
    # 00:00 in Los Angeles.
    frozen.set(datetime(2026, 7, 1, 6, 59, tzinfo=UTC))
    assert await run(world) == 0
    frozen.set(datetime(2026, 7, 1, 7, 0, tzinfo=UTC))
    assert await run(world) == 1
    assert await run(world) == 0, "what has been done is not due"
    assert (await world.running(policy.policy_id)).row.status == "active"


async def test_a_year_of_a_policy(world: PolicyWorld, frozen: FrozenClock) -> None:
    policy = await world.bound()
    frozen.set(TODAY + timedelta(days=365 - 46))
    assert await run(world) == 0
    frozen.advance(timedelta(days=2))
    assert await run(world) == 1
    offered = (await world.terms(policy.policy_id))[1]
    assert (offered.row.status, offered.row.starts_on, offered.row.ends_on) == (
        "quoted",
        date(2027, 6, 15),
        date(2028, 6, 15),
    )
    assert len(world.books.bookings) == 1, "an offer is owed by nobody"
    frozen.set(datetime(2027, 6, 15, 7, tzinfo=UTC))
    assert await run(world) == 1
    first, second = await world.terms(policy.policy_id)
    assert (first.row.status, second.row.status, second.policy.term) == ("renewed", "active", 2)
    assert second.row.money == offered.row.money, "what was offered is what is bound"
    assert second.stretches == offered.stretches
    assert world.books.totals[policy.policy_id, 2] == second.row.written
    assert await kinds(world, policy.policy_id) == [
        "1:bound",
        "1:activated",
        "2:offered",
        "2:bound",
        "1:renewed",
        "2:activated",
    ]
    told = [event.type for event in await published(world.db, topics.POLICIES)]
    assert told == ["policy.bound", "policy.activated", "policy.bound", "policy.renewed", "policy.activated"]


async def test_the_plan_limits_what_driving_changes_in_a_term(world: PolicyWorld, frozen: FrozenClock) -> None:
    policy = await world.bound()
    frozen.advance(timedelta(days=330))
    score = Score(score_id=ids.new_uuid(), relativity=3.0, confidence=1.0, model_version="scorecard-1")
    async with world.db.begin() as uow:
        await world.world.pricing.indicate(uow, "DRV001", score, "trip.completed")
    change = await renew(world, policy.policy_id, preview=True)
    plan_limit = Decimal("1.25")
    assert change.new[0].rate.telematics_relativity <= plan_limit


async def test_without_automatic_renewal_an_offer_ends_with_the_term(world: PolicyWorld, frozen: FrozenClock) -> None:
    strict = make_policy_world(world.db, PolicyOptions(auto_renew=False))
    policy = await strict.bound()
    frozen.advance(timedelta(days=330))
    await run(strict)
    frozen.advance(timedelta(days=40))
    assert await run(strict) == 1
    assert await kinds(strict, policy.policy_id) == [
        "1:bound",
        "1:activated",
        "2:offered",
        "2:withdrawn",
        "1:expired",
    ]
    assert (await strict.running(policy.policy_id)).policy.status == "expired"
    assert await run(strict) == 0


async def test_renewed_in_advance_for_half_a_year(world: PolicyWorld, frozen: FrozenClock) -> None:
    policy = await world.bound()
    asked = await renew(world, policy.policy_id, preview=True, months=6)
    assert (await world.running(policy.policy_id)).policy.revision == policy.revision
    done = await renew(world, policy.policy_id, months=6)
    assert asked.row.money == done.row.money
    first, second = await world.terms(policy.policy_id)
    assert (first.row.status, second.row.status, second.row.months) == ("active", "bound", 6)
    assert world.books.totals[policy.policy_id, 2] == second.row.written
    with pytest.raises(IllegalTransition):
        await renew(world, policy.policy_id)
    frozen.advance(timedelta(days=365))
    assert await run(world) == 1
    assert (await world.running(policy.policy_id)).row.term == 2


async def test_a_change_of_the_running_term_reaches_the_next(world: PolicyWorld, frozen: FrozenClock) -> None:
    offered, bound = await world.bound(), await world.bound("DRV002")
    frozen.advance(timedelta(days=330))
    await run(world)
    await renew(world, bound.policy_id)
    before = (await world.terms(offered.policy_id))[1].row.written
    for policy in (offered, bound):
        await world.endorse(policy.policy_id, date(2027, 6, 1), FULL)
        following = (await world.terms(policy.policy_id))[1]
        assert following.stretches[-1].facts["coverage"] == "full"
        assert following.row.written > before
    assert await kinds(world, offered.policy_id) == [
        "1:bound", "1:activated", "2:offered", "1:endorsed", "2:offered",
    ]  # fmt: skip
    assert (await kinds(world, bound.policy_id))[-3:] == ["2:bound", "1:endorsed", "2:endorsed"]
    following = (await world.terms(bound.policy_id))[1]
    assert world.books.totals[bound.policy_id, 2] == following.row.written


async def test_a_cancellation_takes_the_next_term_with_it_and_a_reinstatement_offers_it_again(
    world: PolicyWorld, frozen: FrozenClock
) -> None:
    offered, bound = await world.bound(), await world.bound("DRV002")
    frozen.advance(timedelta(days=330))
    await run(world)
    await renew(world, bound.policy_id)
    for policy in (offered, bound):
        async with world.db.begin() as uow:
            await world.service.cancel(uow, policy.policy_id, CancelOrder(reason="moves away"), STAFF)
        assert [one.row.status for one in await world.terms(policy.policy_id)] == ["cancelled", "cancelled"]
    assert world.books.totals[bound.policy_id, 2] == 0
    assert await run(world) == 0
    async with world.db.begin() as uow:
        await world.service.reinstate(uow, bound.policy_id, STAFF, "stays after all", no_losses=True)
    assert [one.row.status for one in await world.terms(bound.policy_id)] == ["active", "quoted"]
    assert await run(world) == 0
    await renew(world, bound.policy_id)
    assert world.books.totals[bound.policy_id, 2] == (await world.terms(bound.policy_id))[1].row.written


async def test_a_declined_renewal_is_not_offered_again(world: PolicyWorld, frozen: FrozenClock) -> None:
    policy = await world.bound()
    async with world.db.begin() as uow:
        with pytest.raises(IllegalTransition, match="renewal declined"):
            await world.service.decline(uow, policy.policy_id, DRIVER, "too dear")
    frozen.advance(timedelta(days=330))
    await run(world)
    async with world.db.begin() as uow:
        await world.service.decline(uow, policy.policy_id, DRIVER, "too dear")
    assert await run(world) == 0
    frozen.advance(timedelta(days=40))
    assert await run(world) == 1
    assert (await kinds(world, policy.policy_id))[-3:] == ["2:offered", "2:withdrawn", "1:expired"]


async def test_a_lapsed_term_ends_without_a_next_one(world: PolicyWorld, frozen: FrozenClock) -> None:
    policy = await world.bound()
    await renew(world, policy.policy_id)
    async with world.db.begin() as uow:
        await world.service.lapse(uow, policy.policy_id, date(2027, 6, 1), "unpaid")
    frozen.advance(timedelta(days=366))
    assert await run(world) == 1
    assert [one.row.status for one in await world.terms(policy.policy_id)] == ["expired", "cancelled"]
    assert world.books.totals[policy.policy_id, 2] == 0
    assert await run(world) == 0


async def test_one_policy_that_fails_stops_no_other(world: PolicyWorld, frozen: FrozenClock) -> None:
    bad = await world.bound(start_date=date(2026, 7, 1))
    good = await world.bound("DRV002", start_date=date(2026, 7, 1))
    frozen.set(datetime(2026, 7, 2, tzinfo=UTC))

    async def step(uow: object, policy_id: str) -> int:
        if policy_id == bad.policy_id:
            raise IllegalTransition("bound", "begin", [])
        return await world.service.step(uow, policy_id)  # type: ignore[arg-type]

    assert await PolicyCalendar(world.db, step, offer_days=45).run() == 1
    assert (await world.running(good.policy_id)).row.status == "active"
    assert (await world.running(bad.policy_id)).row.status == "bound"


async def test_a_run_is_bounded(world: PolicyWorld, frozen: FrozenClock) -> None:
    for driver_id in ("DRV001", "DRV002"):
        await world.bound(driver_id, start_date=date(2026, 7, 1))
    frozen.set(datetime(2026, 7, 2, tzinfo=UTC))
    calendar = PolicyCalendar(world.db, world.service.step, offer_days=45, most=1)
    assert [await calendar.run() for _ in range(3)] == [1, 1, 0]
