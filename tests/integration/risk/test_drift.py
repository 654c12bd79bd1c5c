"""After each nightly run: how far the book is from what the model learned from, kept once and shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from math import isnan

import numpy as np
import pytest

from auto_insurance.contracts.claims import CLAIM_REPORTED
from auto_insurance.contracts.policies import POLICY_BOUND
from auto_insurance.infra import metrics
from auto_insurance.infra.metrics import REGISTRY
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.kernel.events import new_event
from auto_insurance.risk import drift
from auto_insurance.risk.api import router
from auto_insurance.risk.book import BookScoring
from auto_insurance.risk.claims_handlers import claims_subscription, policies_subscription
from auto_insurance.risk.drift import DriftOptions, DriftWatch
from auto_insurance.risk.registry import ModelRegistry, RegistryOptions
from auto_insurance.risk.schemas_models import poisson_interval
from auto_insurance.risk.scoring import load_model
from auto_insurance.risk.service import RiskService
from auto_insurance.trips.service import TripService
from tests.support.exposure import claim, policy
from tests.support.scoring import TODAY, World, add_driver, add_trip, deliver

DRIVERS = 12
TRAINED = "driving-2"


def watch_of(world: World, chunk: int = 5) -> DriftWatch:
    return DriftWatch(world.db, world.drivers, world.risk, DriftOptions(chunk=chunk, least_drivers=DRIVERS))


@pytest.fixture
async def driven(world: World, frozen: FrozenClock) -> World:
    """A book that a trained model scores: the same habits for all, and one driver who never drove."""
    async with world.db.begin() as uow:
        for number in range(DRIVERS):
            await add_driver(uow, f"DRV{number:03}")
            sums = {"distance_miles": 1000.0, "harsh_braking_count": 5 * number, "night_miles": 900.0}
            await add_trip(uow, f"DRV{number:03}", TODAY - timedelta(days=1), **sums)
        await add_driver(uow, "DRV900")
    models = ModelRegistry(RegistryOptions(look_every_s=0.0, default=TRAINED))
    return replace(world, risk=RiskService(TripService(), world.drivers, models))


async def run(world: World, frozen: FrozenClock) -> None:
    frozen.advance(timedelta(days=1))
    finished = await BookScoring(world.db, TripService(), world.drivers, world.risk).nightly(0)
    assert finished is not None


async def test_a_night_is_measured_once_and_shown(driven: World, frozen: FrozenClock) -> None:
    watch = watch_of(driven)
    assert await watch.nightly() is None, "no run, no measurement"
    assert isnan(REGISTRY.get_sample_value("ml_score_drift") or 0.0), "which is not the same as no drift"
    await run(driven, frozen)
    night = await watch.nightly()
    assert night is not None
    assert (night.drivers, night.model_version) == (DRIVERS, TRAINED)
    assert night.score_drift is not None
    assert night.score_drift > 0.25, "everybody drives at night: the scores are not the portfolio's"
    assert night.feature_drift["night_share"] is not None
    assert night.feature_drift["night_share"] > 0.25
    assert night.feature_drift["phone_s_per_hour"] is None, "phone use was never observed"
    assert await watch.nightly() is None
    assert REGISTRY.get_sample_value("ml_score_drift") == night.score_drift
    shown = REGISTRY.get_sample_value("ml_feature_drift", {"feature": "night_share"})
    assert shown == night.feature_drift["night_share"]
    unknown = REGISTRY.get_sample_value("ml_feature_drift", {"feature": "phone_s_per_hour"})
    assert unknown is not None
    assert isnan(unknown)


async def test_another_scheduler_shows_what_is_kept(driven: World, frozen: FrozenClock) -> None:
    await run(driven, frozen)
    night = await watch_of(driven).nightly()
    metrics.ML_SCORE_DRIFT.set(0.0)
    assert await watch_of(driven).nightly() is None
    assert night is not None
    assert REGISTRY.get_sample_value("ml_score_drift") == night.score_drift


async def test_claims_are_held_against_the_expectation_where_there_is_cover(driven: World, frozen: FrozenClock) -> None:
    start = TODAY - timedelta(days=200)
    bound = [policy(f"POL-{n}", f"DRV{n:03}", start, start + timedelta(days=365)) for n in range(2)]
    told = [
        claim("CLM-1", "DRV000", TODAY - timedelta(days=20)),
        claim("CLM-2", "DRV005", TODAY - timedelta(days=20)),  # nobody insured: no exposure, no claim
        claim("CLM-3", "DRV001", TODAY - timedelta(days=300)),  # before the cover
    ]
    await deliver(
        driven.db,
        policies_subscription(),
        [new_event(one, type=POLICY_BOUND, version=1, key=one.driver_id) for one in bound],
    )
    await deliver(
        driven.db,
        claims_subscription(),
        [new_event(one, type=CLAIM_REPORTED, version=1, key=one.driver_id) for one in told],
    )
    await run(driven, frozen)
    night = await watch_of(driven).nightly()
    assert night is not None
    assert night.actual_claims == 1
    assert night.insured_years == pytest.approx(2 * 201 / 365.25, abs=1e-3)
    async with driven.db.read() as uow:
        scores = await driven.risk.latest_many(uow, ["DRV000", "DRV001"])
    yearly = [
        driven.risk.loaded.exposure.claims_per_year(one.expected_claims_per_million_miles, 1000.0 * 365.25 / 365)
        for one in scores.values()
    ]
    assert night.expected_claims == pytest.approx(sum(yearly) * 201 / 365.25, abs=1e-3)
    assert REGISTRY.get_sample_value("ml_actual_to_expected_claims") == pytest.approx(1 / night.expected_claims)


async def test_few_drivers_make_no_index(driven: World, frozen: FrozenClock) -> None:
    await run(driven, frozen)
    night = await DriftWatch(driven.db, driven.drivers, driven.risk).nightly()
    assert night is not None
    assert (night.score_drift, set(night.feature_drift.values())) == (None, {None})


async def test_a_scorecard_has_a_drift_of_the_score_alone(world: World, driven: World, frozen: FrozenClock) -> None:
    models = ModelRegistry(RegistryOptions(default="scorecard-1"))
    by_card = replace(driven, risk=RiskService(TripService(), world.drivers, models))
    await run(by_card, frozen)
    night = await watch_of(by_card).nightly()
    assert night is not None
    assert night.score_drift is not None
    assert set(night.feature_drift.values()) == {None}


async def test_admins_see_the_nights(driven: World, frozen: FrozenClock) -> None:
    await run(driven, frozen)
    await watch_of(driven).nightly()
    async with driven.client(router, admin=True) as client:
        answer = (await client.get("/risk/models/drift")).json()
        assert (await client.get("/risk/models/drift", params={"nights": 0})).status_code == 422
    (night,) = answer["nights"]
    assert (answer["stable_below"], answer["moved_above"]) == (0.1, 0.25)
    assert (night["drivers"], night["actual_to_expected"], night["low"]) == (DRIVERS, None, None)
    async with driven.client(router, driver_id="DRV001") as client:
        assert (await client.get("/risk/models/drift")).status_code == 403


def test_the_same_portfolio_has_not_moved() -> None:
    loaded = load_model(TRAINED)
    (column, *_) = [c for c in loaded.model.columns if c.name == "night_share"]  # type: ignore[attr-defined]
    values, miles = np.array(column.centres), np.array(column.exposure)
    same = drift.feature_drifts(loaded, {"night_share": values}, miles)["night_share"]
    worst = drift.feature_drifts(loaded, {"night_share": np.ones(50)}, np.ones(50))["night_share"]
    assert same is not None
    assert worst is not None
    assert same < 0.01
    assert worst > 0.25


def test_the_interval_of_a_poisson_count() -> None:
    assert poisson_interval(0) == pytest.approx((0.0, 3.69), abs=0.03)
    assert poisson_interval(10) == pytest.approx((4.80, 18.39), abs=0.05)
    assert poisson_interval(100) == pytest.approx((81.36, 121.63), abs=0.1)
