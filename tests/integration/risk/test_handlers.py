from __future__ import annotations

from datetime import timedelta

from auto_insurance.contracts import topics
from auto_insurance.contracts.trips import TRIP_AMENDED, TRIP_COMPLETED, TRIP_WITHDRAWN
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.kernel.outcome import Drop, Ok
from auto_insurance.risk.handlers import GROUP, subscription
from tests.support.scoring import TODAY, World, add_trip, change_trip, deliver, published, trip_event


async def test_a_completed_trip_scores_the_trip_and_its_driver_once(world: World) -> None:
    async with world.db.begin() as uow:
        trip_id = await add_trip(uow, "DRV001", TODAY, distance_miles=20.0, harsh_braking_count=1)
    event = trip_event(TRIP_COMPLETED, trip_id, "DRV001")
    assert await deliver(world.db, subscription(world.risk), [event]) == [Ok(None)]
    assert await deliver(world.db, subscription(world.risk), [event]) == [Drop()]
    async with world.db.read() as uow:
        (score,) = await world.risk.history(uow, "DRV001", days=1)
        trip = await world.risk.trip_score(uow, trip_id)
    assert score.reason == TRIP_COMPLETED
    assert trip is not None
    assert [e.data["score_id"] for e in await published(world.db, topics.RISK_SCORES)] == [str(score.score_id)]
    assert subscription(world.risk).group == GROUP == "risk-scoring"


async def test_late_events_correct_score_and_trip_score_without_overwriting_the_score(
    world: World, frozen: FrozenClock
) -> None:
    async with world.db.begin() as uow:
        trip_id = await add_trip(uow, "DRV001", TODAY, distance_miles=20.0)
    await deliver(world.db, subscription(world.risk), [trip_event(TRIP_COMPLETED, trip_id, "DRV001")])
    async with world.db.begin() as uow:
        before = await world.risk.trip_score(uow, trip_id)
        await change_trip(uow, trip_id, harsh_braking_count=4, revision=2)
    frozen.advance(timedelta(seconds=1))
    await deliver(world.db, subscription(world.risk), [trip_event(TRIP_AMENDED, trip_id, "DRV001")])
    async with world.db.read() as uow:
        after = await world.risk.trip_score(uow, trip_id)
        newest, first = await world.risk.history(uow, "DRV001", days=1)
    assert before is not None
    assert after is not None
    assert (before.revision, after.revision) == (1, 2)
    assert after.trip_score < before.trip_score == 100.0
    assert newest.risk_score > first.risk_score


async def test_a_withdrawn_trip_counts_no_longer(world: World, frozen: FrozenClock) -> None:
    async with world.db.begin() as uow:
        trip_id = await add_trip(uow, "DRV001", TODAY, distance_miles=20.0)
    await deliver(world.db, subscription(world.risk), [trip_event(TRIP_COMPLETED, trip_id, "DRV001")])
    async with world.db.begin() as uow:
        await change_trip(uow, trip_id, status="withdrawn")
    frozen.advance(timedelta(seconds=1))
    await deliver(world.db, subscription(world.risk), [trip_event(TRIP_WITHDRAWN, trip_id, "DRV001")])
    async with world.db.read() as uow:
        assert await world.risk.trip_score(uow, trip_id) is None
        latest = await world.risk.latest(uow, "DRV001")
    assert latest is not None
    assert latest.trip_count == 0


async def test_several_trips_of_a_driver_in_one_batch_lead_to_one_score(world: World) -> None:
    async with world.db.begin() as uow:
        trips = [await add_trip(uow, "DRV001", TODAY, distance_miles=float(n)) for n in (5, 10, 15)]
    batch = [trip_event(TRIP_COMPLETED, trip_id, "DRV001") for trip_id in trips]
    assert await deliver(world.db, subscription(world.risk), batch) == [Ok(None)] * 3
    async with world.db.read() as uow:
        (latest,) = await world.risk.history(uow, "DRV001", days=1)
        assert [await world.risk.trip_score(uow, trip_id) is not None for trip_id in trips] == [True] * 3
    assert latest.exposure_miles == 30.0


async def test_an_older_revision_does_not_replace_a_newer_score(world: World) -> None:
    async with world.db.begin() as uow:
        trip_id = await add_trip(uow, "DRV001", TODAY, distance_miles=20.0, revision=3)
        newer = await world.risk.score_trip(uow, trip_id)
        await change_trip(uow, trip_id, revision=2, harsh_braking_count=5)
        await world.risk.score_trip(uow, trip_id)
        assert await world.risk.trip_score(uow, trip_id) == newer
