"""Several trips of a driver in a moment lead to one score, and no crash loses or repeats it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from auto_insurance.contracts import topics
from auto_insurance.contracts.trips import TRIP_AMENDED, TRIP_COMPLETED, TRIP_WITHDRAWN
from auto_insurance.infra.bus.events import Subscription
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.risk.due import DueOptions, DueScores, heavier, weightiest
from auto_insurance.risk.errors import InvalidFeatures
from auto_insurance.risk.handlers import subscription
from auto_insurance.risk.schemas import RiskScore
from tests.support.scoring import TODAY, World, add_trip, deliver, published, trip_event

MOMENT = timedelta(seconds=5)
LATER = timedelta(seconds=6)


def debounced(world: World, options: DueOptions | None = None) -> Subscription:
    return subscription(world.risk, DueScores(world.risk, options or DueOptions(MOMENT)))


async def tick(world: World, wanted: Subscription) -> None:
    assert wanted.tick is not None
    async with world.db.begin() as uow:
        await wanted.tick(uow)


async def trip(world: World, driver_id: str = "DRV001", miles: float = 10.0) -> UUID:
    async with world.db.begin() as uow:
        return await add_trip(uow, driver_id, TODAY, distance_miles=miles)


async def history(world: World, driver_id: str = "DRV001") -> list[RiskScore]:
    async with world.db.read() as uow:
        return await world.risk.history(uow, driver_id, days=1)


async def test_trips_of_a_moment_in_several_batches_lead_to_one_score(world: World, frozen: FrozenClock) -> None:
    group = debounced(world)
    for number, kind in enumerate((TRIP_COMPLETED, TRIP_AMENDED, TRIP_COMPLETED)):
        await deliver(world.db, group, [trip_event(kind, await trip(world, miles=5.0 + number), "DRV001")])
        frozen.advance(timedelta(seconds=1))
        await tick(world, group)
    assert await history(world) == []
    frozen.advance(LATER)
    await tick(world, group)
    await tick(world, group)
    (score,) = await history(world)
    assert (score.trip_count, score.exposure_miles) == (3, 18.0)
    assert score.reason == TRIP_AMENDED, "a correction is not hidden by a new trip"
    assert len(await published(world.db, topics.RISK_SCORES)) == 1


async def test_trips_that_go_on_coming_do_not_put_the_score_off(world: World, frozen: FrozenClock) -> None:
    group = debounced(world)
    for _ in range(4):
        await deliver(world.db, group, [trip_event(TRIP_COMPLETED, await trip(world), "DRV001")])
        frozen.advance(timedelta(seconds=2))
        await tick(world, group)
    (score,) = await history(world)
    assert score.trip_count == 3
    frozen.advance(LATER)
    await tick(world, group)
    assert [one.trip_count for one in await history(world)] == [4, 3]


async def test_a_crash_before_the_commit_loses_no_score_and_repeats_none(world: World, frozen: FrozenClock) -> None:
    group = debounced(world)
    event = trip_event(TRIP_COMPLETED, await trip(world), "DRV001")
    await deliver(world.db, group, [event])
    frozen.advance(LATER)
    assert group.tick is not None
    with pytest.raises(ConnectionError):
        async with world.db.begin() as uow:
            await group.tick(uow)
            raise ConnectionError("the process dies")
    assert await history(world) == []
    await tick(world, group)
    await deliver(world.db, group, [event])  # and the log hands the event out again
    frozen.advance(LATER)
    await tick(world, group)
    assert len(await history(world)) == 1


async def test_two_consumers_do_not_score_the_same_driver(world: World, frozen: FrozenClock) -> None:
    group = debounced(world)
    await deliver(world.db, group, [trip_event(TRIP_COMPLETED, await trip(world), "DRV001")])
    frozen.advance(LATER)
    assert group.tick is not None
    async with world.db.begin() as first, world.db.begin() as second:
        await group.tick(first)
        await group.tick(second)
    assert len(await history(world)) == 1


async def test_a_change_while_the_score_is_made_leads_to_another(world: World, frozen: FrozenClock) -> None:
    group = debounced(world)
    await deliver(world.db, group, [trip_event(TRIP_COMPLETED, await trip(world), "DRV001")])
    frozen.advance(LATER)
    await tick(world, group)
    await deliver(world.db, group, [trip_event(TRIP_COMPLETED, await trip(world), "DRV001")])
    frozen.advance(LATER)
    await tick(world, group)
    assert [score.trip_count for score in await history(world)] == [2, 1]


async def test_who_waits_is_scored_at_once_when_the_moment_is_set_to_nothing(world: World, frozen: FrozenClock) -> None:
    await deliver(world.db, debounced(world), [trip_event(TRIP_WITHDRAWN, await trip(world), "DRV001")])
    at_once = debounced(world, DueOptions())
    await deliver(world.db, at_once, [trip_event(TRIP_COMPLETED, await trip(world), "DRV001")])
    frozen.advance(LATER)
    await tick(world, at_once)
    (score,) = await history(world)
    assert score.reason == TRIP_WITHDRAWN


async def test_one_who_cannot_be_scored_keeps_nobody_waiting_and_is_tried_again(
    world: World, frozen: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = debounced(world)
    for driver_id in ("DRV001", "DRV002"):
        await deliver(world.db, group, [trip_event(TRIP_COMPLETED, await trip(world, driver_id), driver_id)])
    frozen.advance(LATER)
    sound = world.risk.score_drivers

    async def broken(uow: UnitOfWork, driver_ids: Sequence[str], reason: str) -> list[RiskScore]:
        if "DRV001" in driver_ids:
            raise InvalidFeatures("harsh_braking_per_100mi is not finite")
        return await sound(uow, driver_ids, reason)

    monkeypatch.setattr(world.risk, "score_drivers", broken)
    await tick(world, group)
    assert [len(await history(world, driver)) for driver in ("DRV001", "DRV002")] == [0, 1]
    monkeypatch.setattr(world.risk, "score_drivers", sound)
    await tick(world, group)
    assert await history(world, "DRV001") == [], "it waits for its next try"
    frozen.advance(DueOptions().retry_first)
    await tick(world, group)
    assert [len(await history(world, driver)) for driver in ("DRV001", "DRV002")] == [1, 1]


def test_the_weightiest_reason_is_given() -> None:
    kinds = (TRIP_COMPLETED, TRIP_WITHDRAWN, TRIP_AMENDED, TRIP_COMPLETED)
    assert weightiest([("A", kind) for kind in kinds]) == {"A": TRIP_WITHDRAWN}
    assert weightiest([("A", TRIP_COMPLETED), ("B", TRIP_AMENDED)]) == {"A": TRIP_COMPLETED, "B": TRIP_AMENDED}
    assert heavier("asked for", TRIP_COMPLETED) == TRIP_COMPLETED
