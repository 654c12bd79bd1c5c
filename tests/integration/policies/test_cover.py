"""What covered a vehicle when."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.policies.service import CancelOrder, Cover
from tests.support.policies import STAFF, PolicyWorld
from tests.support.scoring import TODAY

VEHICLE = "VEH-DRV001"


async def cover(world: PolicyWorld, at: datetime, vehicle_id: str | None = VEHICLE) -> Cover | None:
    async with world.db.read() as uow:
        return await world.service.cover_at(uow, "DRV001", vehicle_id, at)


async def test_cover_begins_with_the_bind_and_ends_at_midnight_of_the_place(world: PolicyWorld) -> None:
    policy = await world.bound()
    end = datetime(2027, 6, 15, 7, tzinfo=UTC)
    assert await cover(world, TODAY - timedelta(seconds=1)) is None
    found = await cover(world, TODAY)
    assert found is not None
    assert (found.policy_id, found.term, found.vehicle_id, found.currency) == (policy.policy_id, 1, VEHICLE, "USD")
    parts = {part.coverage: part for part in found.coverages}
    assert parts["bodily_injury"].limit == 100_000
    assert parts["collision"].deductible == 500
    assert await cover(world, end - timedelta(seconds=1)) is not None
    assert await cover(world, end) is None


async def test_cover_is_that_of_the_day(world: PolicyWorld) -> None:
    policy = await world.bound()
    await world.endorse(policy.policy_id, date(2026, 8, 1), {"coverage": "full"})
    before = await cover(world, datetime(2026, 8, 1, 6, 59, tzinfo=UTC))
    after = await cover(world, datetime(2026, 8, 1, 7, tzinfo=UTC))
    assert before is not None
    assert after is not None
    assert [part.deductible for part in before.coverages if part.coverage == "collision"] == [500]
    assert [part.deductible for part in after.coverages if part.coverage == "collision"] == [250]


async def test_another_vehicle_is_not_covered_and_any_is_found(world: PolicyWorld) -> None:
    await world.bound()
    assert await cover(world, TODAY, "VEH-OTHER") is None
    assert await cover(world, TODAY, None) is not None


async def test_no_cover_after_a_cancellation_nor_by_an_offer(world: PolicyWorld, frozen: FrozenClock) -> None:
    policy = await world.bound()
    frozen.advance(timedelta(days=340))
    async with world.db.begin() as uow:
        await world.service.step(uow, policy.policy_id)
    offered = datetime(2027, 6, 16, tzinfo=UTC)
    assert len(await world.terms(policy.policy_id)) == 2
    assert await cover(world, offered) is None
    async with world.db.begin() as uow:
        order = CancelOrder(reason="sold the car", effective_on=date(2027, 6, 1))
        await world.service.cancel(uow, policy.policy_id, order, STAFF)
    assert await cover(world, datetime(2027, 5, 31, 12, tzinfo=UTC)) is not None
    assert await cover(world, datetime(2027, 6, 1, 12, tzinfo=UTC)) is None
