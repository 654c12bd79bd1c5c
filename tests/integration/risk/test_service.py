from __future__ import annotations

from datetime import timedelta

import pytest

from auto_insurance.contracts import topics
from auto_insurance.drivers.errors import DriverNotFound
from auto_insurance.infra import metrics
from auto_insurance.kernel import ids
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.risk.schemas import ScoreBasis
from tests.support.scoring import TODAY, World, add_driver, add_trip, published

ROUGH = {"harsh_braking_count": 40, "harsh_braking_severe_count": 12, "night_miles": 40.0}


async def test_without_trips_a_driver_is_the_portfolios_average_and_it_says_so(world: World) -> None:
    async with world.db.begin() as uow:
        score = await world.risk.score_driver(uow, "DRV001", "test")
    assert score.basis == ScoreBasis.NONE
    assert (score.confidence, score.exposure_miles, score.trip_count) == (0.0, 0.0, 0)
    assert score.relativity == 1.0
    assert score.expected_claims_per_million_miles == world.risk.loaded.model.portfolio_frequency
    assert all(reason.value is None for reason in score.contributions)
    async with world.db.read() as uow:
        assert await world.risk.latest(uow, "DRV001") == score
    assert world.risk.expected_claims_per_year(score) is None


async def test_a_score_sums_the_trips_of_the_window_and_is_kept(world: World, frozen: FrozenClock) -> None:
    async with world.db.begin() as uow:
        for days in (400, 60, 20, 1):
            await add_trip(uow, "DRV001", TODAY - timedelta(days=days), distance_miles=250.0, harsh_braking_count=10)
        await add_trip(uow, "DRV001", TODAY - timedelta(days=2), status="in_progress", distance_miles=999.0)
        await add_trip(uow, "DRV002", TODAY - timedelta(days=2), distance_miles=100.0)
        score = await world.risk.score_driver(uow, "DRV001", "test")
    assert score.basis == ScoreBasis.RECENT
    assert (score.trip_count, score.exposure_miles) == (3, 750.0)
    assert score.features["harsh_braking_per_100mi"] == pytest.approx(4.0)
    assert score.features["speeding_s_per_100mi"] is None
    assert score.confidence == pytest.approx(0.4286)
    assert score.trips_until == TODAY - timedelta(days=1) + timedelta(minutes=30)
    mean = world.risk.loaded.model.portfolio_frequency
    assert score.relativity == pytest.approx(score.expected_claims_per_million_miles / mean)
    expected = world.risk.expected_claims_per_year(score)
    assert expected is not None
    assert 0.01 < expected < 0.1
    frozen.advance(timedelta(hours=1))
    async with world.db.begin() as uow:
        again = await world.risk.score_driver(uow, "DRV001", "test")
    assert again.score_id != score.score_id
    async with world.db.read() as uow:
        assert await world.risk.history(uow, "DRV001", days=7) == [again, score]
        assert await world.risk.history(uow, "DRV001", days=7, limit=1) == [again]
        assert await world.risk.latest_many(uow, ["DRV001", "DRV009"]) == {"DRV001": again}


async def test_driving_older_than_the_window_still_counts_if_there_is_no_newer(world: World) -> None:
    old = TODAY - timedelta(days=2000)
    async with world.db.begin() as uow:
        await add_trip(uow, "DRV001", old - timedelta(days=500), distance_miles=77.0)
        await add_trip(uow, "DRV001", old - timedelta(days=300), distance_miles=40.0)
        await add_trip(uow, "DRV001", old, distance_miles=60.0)
        score = await world.risk.score_driver(uow, "DRV001", "test")
    assert score.basis == ScoreBasis.OLDER
    assert score.exposure_miles == 100.0
    assert score.window_to - timedelta(days=365) == score.window_from
    assert score.trips_until == old + timedelta(minutes=30)


async def test_many_drivers_are_scored_in_order_with_one_call_of_the_model(world: World) -> None:
    before = _inferences()
    async with world.db.begin() as uow:
        await add_trip(uow, "DRV002", TODAY - timedelta(days=3), distance_miles=80.0, **ROUGH)
        await add_trip(uow, "DRV003", TODAY - timedelta(days=3), distance_miles=80.0)
        scores = await world.risk.score_drivers(uow, ["DRV003", "DRV001", "DRV002"], "nightly")
        assert await world.risk.score_drivers(uow, [], "nightly") == []
    assert [score.driver_id for score in scores] == ["DRV003", "DRV001", "DRV002"]
    assert scores[0].risk_score < scores[1].risk_score < scores[2].risk_score
    assert _inferences() == before + 1, "for nobody there is no call"
    announced = await published(world.db, topics.RISK_SCORES)
    assert [event.key for event in announced] == ["DRV003", "DRV001", "DRV002"]
    assert announced[2].data["risk_score"] == scores[2].risk_score
    assert announced[2].data["reason"] == "nightly"


async def test_a_trip_is_scored_as_it_is_and_loses_its_score_with_its_existence(world: World) -> None:
    async with world.db.begin() as uow:
        rough = await add_trip(uow, "DRV001", TODAY, distance_miles=10.0, harsh_braking_count=3, revision=2)
        open_trip = await add_trip(uow, "DRV001", TODAY, distance_miles=10.0, status="in_progress")
        score = await world.risk.score_trip(uow, rough)
        assert await world.risk.score_trip(uow, open_trip) is None
        assert await world.risk.score_trip(uow, ids.new_uuid()) is None
    assert score is not None
    assert 0 < score.trip_score < 80
    assert score.risk_level in {"medium", "high"}
    assert score.contributions[0].feature == "harsh_braking_per_100mi"
    async with world.db.read() as uow:
        assert await world.risk.trip_score(uow, rough) == score
        assert await world.risk.trip_score(uow, open_trip) is None


async def test_a_named_driver_must_exist(world: World) -> None:
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001")
        with pytest.raises(DriverNotFound):
            await world.risk.latest_or_first(uow, "DRV404")
        first = await world.risk.latest_or_first(uow, "DRV001")
        assert first.reason == "first_score"
        assert await world.risk.latest_or_first(uow, "DRV001") == first


def _inferences() -> float:
    value = metrics.REGISTRY.get_sample_value("ml_inference_duration_seconds_count", {"model_type": "tables"})
    return value or 0.0
