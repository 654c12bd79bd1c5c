from __future__ import annotations

from datetime import timedelta

import pytest

from auto_insurance.contracts import topics
from auto_insurance.kernel import ids
from tests.support.scoring import TODAY, World, add_trip, published


async def test_the_score_without_a_trip_is_that_of_the_other_trips(world: World) -> None:
    async with world.db.begin() as uow:
        await add_trip(uow, "DRV001", TODAY - timedelta(days=9), distance_miles=100.0, harsh_braking_count=1)
        alone = await world.risk.score_driver(uow, "DRV001", "before")
        rough = await add_trip(uow, "DRV001", TODAY - timedelta(days=1), distance_miles=50.0, harsh_braking_count=9)
        whole = await world.risk.score_driver(uow, "DRV001", "after")
    async with world.db.read() as uow:
        pair = await world.risk.with_and_without(uow, "DRV001", rough)
    assert pair is not None
    now, without = pair
    assert now.relativity == pytest.approx(whole.relativity)
    assert without.relativity == pytest.approx(alone.relativity)
    assert without.confidence == pytest.approx(alone.confidence)
    assert len(await published(world.db, topics.RISK_SCORES)) == 2


async def test_without_the_only_trip_it_is_the_portfolios_average(world: World) -> None:
    async with world.db.begin() as uow:
        only = await add_trip(uow, "DRV001", TODAY - timedelta(days=1), distance_miles=12.3, harsh_braking_count=9)
        pair = await world.risk.with_and_without(uow, "DRV001", only)
    assert pair is not None
    assert (pair[1].relativity, pair[1].confidence) == (1.0, 0.0)


async def test_a_trip_that_does_not_count_makes_no_difference(world: World) -> None:
    async with world.db.begin() as uow:
        await add_trip(uow, "DRV001", TODAY - timedelta(days=1), distance_miles=10.0)
        old = await add_trip(uow, "DRV001", TODAY - timedelta(days=700), distance_miles=10.0)
        open_trip = await add_trip(uow, "DRV001", TODAY, distance_miles=10.0, status="in_progress")
        foreign = await add_trip(uow, "DRV002", TODAY, distance_miles=10.0)
        for trip_id in (old, open_trip, foreign, ids.new_uuid()):
            assert await world.risk.with_and_without(uow, "DRV001", trip_id) is None
