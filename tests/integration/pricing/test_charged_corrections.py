"""A trip of a charged time that comes to light corrects what was charged: once, with its reason, from the first day."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import select

from auto_insurance.contracts import topics
from auto_insurance.contracts.trips import TRIP_AMENDED, TRIP_COMPLETED, TRIP_WITHDRAWN, TripChanged
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.kernel.events import Envelope, new_event
from auto_insurance.kernel.outcome import Drop, Ok
from auto_insurance.pricing.corrections import Corrections
from auto_insurance.pricing.handlers import CORRECTIONS_GROUP, corrections_subscription
from auto_insurance.pricing.models import premiums
from auto_insurance.pricing.plan import RatingPlan, load_plan
from auto_insurance.pricing.plan_parts import Jurisdiction
from auto_insurance.pricing.schemas import Premium
from auto_insurance.pricing.service import RiskChanges
from auto_insurance.pricing.service_rater import OnePlan
from auto_insurance.trips.service import TripService
from tests.support.scoring import TODAY, World, add_driver, add_trip, change_trip, deliver, published, trip_event

DAY = TODAY.date()
LAST_MONTH = TODAY - timedelta(days=20)


@pytest.fixture
async def charged(world: World, frozen: FrozenClock) -> Premium:
    """DRV001 drove calmly and was charged for it; 15 days went by."""
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001")
        for days in (50, 30):
            await add_trip(uow, "DRV001", TODAY - timedelta(days=days), distance_miles=700.0, harsh_braking_count=20)
        await world.risk.score_driver(uow, "DRV001", "test")
        premium = await world.pricing.charge(
            uow, "DRV001", reason="month_end", effective_date=DAY, policy_id="POL-7", segment=3
        )
    frozen.advance(timedelta(days=15))
    return premium


def _corrections(world: World, plan: RatingPlan | None = None) -> Corrections:
    return Corrections(OnePlan(plan), TripService(), world.risk)


def _event(kind: str, world_event: Envelope, start: object) -> Envelope:
    payload = msgspec.convert({**world_event.data, "start_time": start}, TripChanged)
    return new_event(payload, type=kind, version=1, key=world_event.key)


async def _late_trip(world: World, **sums: object) -> Envelope:
    async with world.db.begin() as uow:
        trip_id = await add_trip(
            uow, "DRV001", LAST_MONTH, **({"distance_miles": 300.0, "harsh_braking_count": 300} | sums)
        )
    told = trip_event(TRIP_COMPLETED, trip_id, "DRV001")
    return _event(TRIP_COMPLETED, told, LAST_MONTH.isoformat())


async def _charged_rows(world: World) -> list[Premium]:
    async with world.db.read() as uow:
        query = select(premiums.c.premium_id).where(premiums.c.kind == "charged").order_by(premiums.c.version)
        return [await world.pricing.get(uow, one) for one in (await uow.conn.execute(query)).scalars()]


async def test_a_late_trip_ends_as_one_correction(world: World, charged: Premium) -> None:
    late = await _late_trip(world)
    subscription = corrections_subscription(_corrections(world))
    assert subscription.group == CORRECTIONS_GROUP
    assert await deliver(world.db, subscription, [late]) == [Ok(None)]
    assert await deliver(world.db, subscription, [late]) == [Drop()]
    again = _event(TRIP_AMENDED, late, LAST_MONTH.isoformat())
    assert await deliver(world.db, subscription, [again]) == [Ok(None)], "told again in another way: nothing new"
    before, made = await _charged_rows(world)
    assert before == charged, "what was charged stays as it was"
    assert (made.corrects, made.reason) == (charged.version, f"correction of version {charged.version}: trip.completed")
    assert (made.effective_date, made.policy_id, made.segment) == (charged.effective_date, "POL-7", 3)
    assert made.annual_premium > charged.annual_premium
    assert made.inputs.telematics.running_relativity == charged.inputs.telematics.running_relativity
    async with world.db.read() as uow:
        assert await world.pricing.charged_on(uow, "DRV001", DAY) == made
    told = [event for event in await published(world.db, topics.PREMIUMS) if event.type == "premium.corrected"]
    assert len(told) == 1
    data = told[0].data
    assert (data["corrects"], data["version"], data["policy_id"], data["segment"]) == (1, 2, "POL-7", 3)
    assert (data["annual_premium_before"], data["annual_premium"]) == (
        str(charged.annual_premium),
        str(made.annual_premium),
    )
    assert (data["cause"], data["effective_date"]) == (TRIP_COMPLETED, DAY.isoformat())


async def test_a_trip_that_is_withdrawn_gives_the_old_price_back(world: World, charged: Premium) -> None:
    late = await _late_trip(world)
    subscription = corrections_subscription(_corrections(world))
    await deliver(world.db, subscription, [late])
    async with world.db.begin() as uow:
        await change_trip(uow, UUID(late.data["trip_id"]), status="withdrawn")
    await deliver(world.db, subscription, [_event(TRIP_WITHDRAWN, late, LAST_MONTH.isoformat())])
    rows = await _charged_rows(world)
    assert [row.annual_premium for row in rows] == [
        charged.annual_premium,
        rows[1].annual_premium,
        charged.annual_premium,
    ]
    assert [row.corrects for row in rows] == [None, 1, 2]


async def test_newer_driving_corrects_nothing(world: World, charged: Premium, frozen: FrozenClock) -> None:
    async with world.db.begin() as uow:
        trip_id = await add_trip(
            uow, "DRV001", TODAY + timedelta(days=3), distance_miles=900.0, harsh_braking_count=900
        )
        await world.risk.score_driver(uow, "DRV001", "trip.completed")
    told = _event(
        TRIP_COMPLETED, trip_event(TRIP_COMPLETED, trip_id, "DRV001"), (TODAY + timedelta(days=3)).isoformat()
    )
    await deliver(world.db, corrections_subscription(_corrections(world)), [told])
    assert await _charged_rows(world) == [charged]
    late = await _late_trip(world, distance_miles=1.0, harsh_braking_count=1)
    async with world.db.begin() as uow:
        made = await _corrections(world).trip_changed(uow, "DRV001", LAST_MONTH, TRIP_COMPLETED)
    assert late.data["trip_id"]
    assert all(one.driving is not None and one.driving.miles == pytest.approx(1401.0) for one in made), "not the 900"


async def test_a_trip_still_under_way_at_the_charge_is_not_part_of_it(world: World, charged: Premium) -> None:
    start = TODAY - timedelta(minutes=10)
    async with world.db.begin() as uow:
        await add_trip(uow, "DRV001", start, distance_miles=300.0, harsh_braking_count=300)
        assert await _corrections(world).trip_changed(uow, "DRV001", start, TRIP_COMPLETED) == []
    assert await _charged_rows(world) == [charged]


async def test_each_part_of_the_term_is_corrected(world: World, charged: Premium) -> None:
    async with world.db.begin() as uow:
        endorsed = await world.pricing.charge(
            uow, "DRV001", reason="endorsement", effective_date=DAY + timedelta(days=10), policy_id="POL-7", segment=4,
            risk_changes=RiskChanges(coverage="full"),
        )  # fmt: skip
    await deliver(world.db, corrections_subscription(_corrections(world)), [await _late_trip(world)])
    rows = await _charged_rows(world)
    assert [(row.corrects, row.segment, row.effective_date) for row in rows[2:]] == [
        (charged.version, 3, charged.effective_date),
        (endorsed.version, 4, endorsed.effective_date),
    ]
    assert rows[3].inputs.coverage == "full"


async def test_where_no_running_term_may_change_a_late_trip_waits_for_the_next(world: World, charged: Premium) -> None:
    fixed = msgspec.structs.replace(load_plan(), jurisdictions={"CA": Jurisdiction(mid_term_change=False)})
    await deliver(world.db, corrections_subscription(_corrections(world, fixed)), [await _late_trip(world)])
    assert await _charged_rows(world) == [charged]


async def test_a_price_of_the_facts_alone_is_never_corrected(world: World) -> None:
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001")
        first = await world.pricing.charge_initial(uow, "DRV001")
    await deliver(world.db, corrections_subscription(_corrections(world)), [await _late_trip(world)])
    assert await _charged_rows(world) == [first]
    assert first.annual_premium == Decimal("1140.00")
