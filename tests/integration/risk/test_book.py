"""A whole book at once gives what each driver by itself would get, kept once and told of once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import func, select

from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.risk import repository_models, repository_runs
from auto_insurance.risk.book import BookOptions, BookScoring
from auto_insurance.risk.errors import RunUnderWay
from auto_insurance.risk.models import risk_runs, risk_scores
from auto_insurance.risk.registry import ModelRegistry
from auto_insurance.risk.schemas import ModelStatus, RiskScore
from auto_insurance.risk.service import RiskService
from auto_insurance.trips.service import TripService
from tests.support.scoring import TODAY, World, add_driver, add_trip, published

DRIVERS = [f"DRV{number:03d}" for number in range(1, 8)]


@pytest.fixture
async def driven(world: World) -> World:
    """Seven drivers: 1 to 5 with trips, 6 with old ones only, 7 without any."""
    async with world.db.begin() as uow:
        for driver_id in DRIVERS:
            await add_driver(uow, driver_id)
        for number, driver_id in enumerate(DRIVERS[:5], start=1):
            for day in range(number):
                await add_trip(
                    uow,
                    driver_id,
                    TODAY - timedelta(days=day, hours=2),
                    distance_miles=37.3 * number,
                    duration_s=3600.5,
                    harsh_braking_count=3 * number,
                    harsh_braking_severe_count=number,
                    speeding_s=100.25 * number,
                    speed_limit_known_miles=20.0 if number % 2 else 0.0,
                    phone_usage_s=10.0 * number,
                    phone_known_s=1800.0,
                    night_miles=1.7 * number,
                    moving_s=3000.25,
                    long_drive_s=10.5 * number,
                    speed_known_s=3300.75,
                    speed_mph_s=3300.75 * (20.0 + number + day),
                    speed_mph2_s=3300.75 * (900.0 + 50.0 * number),
                    speed_very_fast_s=5.25 * number,
                    phone_speed_known_s=1700.5,
                    phone_moving_s=7.5 * number,
                    phone_fast_s=2.5 * number,
                    jerk_known_s=3100.0,
                    jerky_s=11.5 * number,
                    jerk_square=700.25 * number,
                    braking_square=(3 * number) ** 2 / (37.3 * number),
                    pace_square=(37.3 * number) ** 2 / 3600.5,
                )
        await add_trip(uow, "DRV006", TODAY - timedelta(days=700), distance_miles=100.0, harsh_braking_count=9)
    return world


def scoring(world: World, chunk: int = 3) -> BookScoring:
    return BookScoring(world.db, TripService(), world.drivers, world.risk, BookOptions(chunk=chunk))


async def scores(world: World) -> dict[str, RiskScore]:
    async with world.db.read() as uow:
        return await world.risk.latest_many(uow, DRIVERS)


def comparable(score: RiskScore) -> dict[str, object]:
    return msgspec.structs.asdict(msgspec.structs.replace(score, score_id=TODAY, calculated_at=TODAY, reason=""))


def known(features: object) -> dict[str, float]:
    """Return features with -1 for unknown."""
    assert isinstance(features, dict)
    return {name: -1.0 if value is None else value for name, value in features.items()}


async def test_the_book_is_what_each_driver_by_itself_gets(driven: World) -> None:
    steps: list[tuple[int, int]] = []
    run = await scoring(driven).run("nightly", progress=lambda done, total: steps.append((done, total)))
    assert (run.scored, run.told, run.finished_at) == (7, 7, TODAY)
    assert steps == [(0, 7), (3, 7), (6, 7), (7, 7), (7, 7)]
    book = await scores(driven)
    async with driven.db.begin() as uow:
        await driven.risk.score_drivers(uow, DRIVERS, "one by one")
    single = await scores(driven)
    assert book["DRV003"].features["licence_years"] == pytest.approx(20.45, abs=0.01)
    assert book["DRV003"].features["vehicle_age_years"] == 4.0
    for driver_id in DRIVERS:
        ours, theirs = comparable(book[driver_id]), comparable(single[driver_id])
        assert known(ours.pop("features")) == pytest.approx(known(theirs.pop("features")), rel=1e-12)
        ours_parts, their_parts = ours.pop("contributions"), theirs.pop("contributions")
        assert [r.feature for r in ours_parts] == [r.feature for r in their_parts]  # type: ignore[attr-defined]
        assert [r.log_effect for r in ours_parts] == pytest.approx([r.log_effect for r in their_parts])  # type: ignore[attr-defined]
        frequency, exactly = (
            ours.pop("expected_claims_per_million_miles"),
            theirs.pop("expected_claims_per_million_miles"),
        )
        assert frequency == pytest.approx(exactly)
        assert ours.pop("relativity") == pytest.approx(theirs.pop("relativity"))
        assert ours == theirs


async def test_a_second_night_tells_of_what_moved_only(driven: World, frozen: FrozenClock) -> None:
    await scoring(driven).run("nightly")
    before = len(await published(driven.db, "risk-scores"))
    frozen.advance(timedelta(hours=1))
    async with driven.db.begin() as uow:
        await add_trip(uow, "DRV002", TODAY, distance_miles=80.0, harsh_braking_count=40)
    run = await scoring(driven).run("nightly")
    assert (run.scored, run.told) == (7, 1)
    news = (await published(driven.db, "risk-scores"))[before:]
    assert [event.key for event in news] == ["DRV002"]
    async with driven.db.read() as uow:
        stored = await uow.conn.scalar(select(func.count()).select_from(risk_scores))
    assert stored == 7 + 5, "those without recent trips keep the score that they have"


async def test_a_run_that_was_cut_off_goes_on(driven: World) -> None:
    done = 0

    def cut(scored: int, _: int) -> None:
        nonlocal done
        done = scored
        if scored == 6:
            raise ConnectionError("cut off")

    with pytest.raises(ConnectionError):
        await scoring(driven).run("nightly", progress=cut)
    assert done == 6
    run = await scoring(driven).run("nightly")
    assert run.scored == 7
    async with driven.db.read() as uow:
        assert await uow.conn.scalar(select(func.count()).select_from(risk_runs)) == 1
        per_driver = select(func.count()).select_from(risk_scores).group_by(risk_scores.c.driver_id)
        assert set(await uow.conn.scalars(per_driver)) == {1}
    again = await scoring(driven).run("asked for", restart=True)
    assert again.run_id != run.run_id


async def test_nightly_is_once_a_day_from_its_hour_on(driven: World, frozen: FrozenClock) -> None:
    book = scoring(driven)
    first = await book.nightly(3)
    assert first is not None, "the run of this night is overdue"
    assert await book.nightly(3) is None
    frozen.set((TODAY + timedelta(days=1)).replace(hour=2, minute=59))
    assert await book.nightly(3) is None
    frozen.advance(timedelta(minutes=1))
    results = await asyncio.gather(book.nightly(3), scoring(driven).nightly(3))
    assert [result is not None for result in results].count(True) == 1
    assert await book.nightly(3) is None


async def test_nightly_goes_on_with_a_run_that_was_cut_off(driven: World) -> None:
    async with driven.db.begin() as uow:
        run = await repository_runs.begin(uow, driven.risk.model.version, "nightly")
        await repository_runs.advance(uow, run, "DRV004", 4, 4)
    finished = await scoring(driven).nightly(3)
    assert finished is not None
    assert (finished.run_id, finished.scored) == (run.run_id, 7)
    assert set(await scores(driven)) == {"DRV005", "DRV006", "DRV007"}


async def test_two_at_once_do_not_score_twice(driven: World, db: Database) -> None:
    results = await asyncio.gather(scoring(driven, 1).run("a"), scoring(driven, 1).run("b"), return_exceptions=True)
    assert all(not isinstance(result, BaseException) or isinstance(result, RunUnderWay) for result in results)
    async with driven.db.read() as uow:
        per_run = select(func.count()).select_from(risk_scores).group_by(risk_scores.c.reason, risk_scores.c.driver_id)
        assert set(await uow.conn.scalars(per_run)) == {1}


async def test_an_empty_book_is_no_error(world: World) -> None:
    run = await scoring(world).run("nightly")
    assert (run.scored, run.told) == (0, 0)


async def test_a_fresh_process_scores_the_book_with_the_champion_and_its_challenger_beside_it(
    driven: World, frozen: FrozenClock
) -> None:
    async with driven.db.begin() as uow:
        for version, status in (("scorecard-1", ModelStatus.CHAMPION), ("driving-2", ModelStatus.SHADOW)):
            await ModelRegistry().activate(uow, version, status, "ada")
    fresh = replace(driven, risk=RiskService(TripService(), driven.drivers, ModelRegistry()))
    run = await scoring(fresh).run("test")
    assert run.model_version == "scorecard-1"
    made = await scores(fresh)
    assert {score.model_version for score in made.values()} == {"scorecard-1"}
    async with driven.db.read() as uow:
        shadows = {row.driver_id: row for row in await repository_models.shadows(uow, "driving-2", "scorecard-1")}
        alone = await driven.risk.preview(uow, DRIVERS[:5], "test", 365)
    assert set(DRIVERS[:5]) <= set(shadows)
    for score in alone:
        beside = shadows[score.driver_id]
        assert beside.challenger_score == score.risk_score
        assert beside.challenger_frequency == pytest.approx(score.expected_claims_per_million_miles, rel=1e-12)
        assert beside.champion_score == made[score.driver_id].risk_score
