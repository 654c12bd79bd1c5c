"""What rests on simulated claims says so, and prices in production only if somebody allowed it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from auto_insurance import bootstrap
from auto_insurance.contracts import topics
from auto_insurance.contracts.risk import RISK_SCORE_CALCULATED
from auto_insurance.drivers.service import DriverService
from auto_insurance.infra.config import load_settings
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.pricing import handlers as pricing_handlers
from auto_insurance.risk import registry as registries
from auto_insurance.risk.api import router
from auto_insurance.risk.artefacts import ScoringModel
from auto_insurance.risk.book import BookScoring
from auto_insurance.risk.errors import SimulatedModel
from auto_insurance.risk.packages import pack
from auto_insurance.risk.priceable import PriceableScores
from auto_insurance.risk.registry import ModelRegistry, RegistryOptions
from auto_insurance.risk.schemas import ModelStatus
from auto_insurance.risk.scoring import load_model
from auto_insurance.risk.service import RiskService
from auto_insurance.trips.service import TripService
from tests.support.driving_model import write_model
from tests.support.scoring import TODAY, World, add_driver, add_trip, deliver, published

SECRET = {"JWT_SECRET_KEY": "k" * 48, "DATABASE_URL": "postgresql://me:secret@localhost/none"}


def guarded(world: World, *, may_price: bool = False) -> World:
    """The same world as production composes it."""
    models = ModelRegistry(RegistryOptions(look_every_s=0.0, simulated_may_price=may_price))
    return replace(world, risk=RiskService(TripService(), world.drivers, models))


@pytest.fixture
async def driven(world: World, frozen: FrozenClock) -> World:
    async with world.db.begin() as uow:
        for driver_id in ("DRV001", "DRV002"):
            await add_driver(uow, driver_id)
            await add_trip(uow, driver_id, TODAY - timedelta(days=1), distance_miles=400.0, harsh_braking_count=40)
    return world


@pytest.fixture
def observed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the shipped model be one that was fitted on observed claims."""
    load = load_model

    def load_observed(name: str) -> ScoringModel:
        loaded = load(name)
        model = loaded.model
        monkeypatch.setattr(model, "_info", replace(model.info, assumption_based=False))
        return loaded

    monkeypatch.setattr(registries, "load_model", load_observed)


async def indicated(world: World, driver_id: str) -> bool:
    """Return whether the newest score, handed to pricing, led to an indicated premium."""
    events = [event for event in await published(world.db, topics.RISK_SCORES) if event.key == driver_id]
    assert events[-1].type == RISK_SCORE_CALCULATED
    await deliver(world.db, pricing_handlers.subscription(world.pricing), events[-1:])
    async with world.db.read() as uow:
        return await world.pricing.indicated(uow, driver_id) is not None


@pytest.mark.parametrize("may_price", [False, True])
async def test_no_premium_follows_from_simulated_claims_unless_it_is_allowed(driven: World, *, may_price: bool) -> None:
    world = guarded(driven, may_price=may_price)
    async with world.db.begin() as uow:
        score = await world.risk.score_driver(uow, "DRV001", "test")
    assert score.simulated
    assert await indicated(world, "DRV001") is may_price
    async with world.db.read() as uow:
        assert (await PriceableScores(world.risk).latest(uow, "DRV001") is not None) is may_price
        assert await PriceableScores(world.risk).get(uow, score.score_id) == score
        assert await PriceableScores(world.risk).latest(uow, "DRV002") is None


async def test_the_nightly_run_keeps_the_same_rule(driven: World) -> None:
    world = guarded(driven)
    people: DriverService = world.drivers
    await BookScoring(world.db, TripService(), people, world.risk).run("nightly")
    told = await published(world.db, topics.RISK_SCORES)
    assert [(event.data["simulated"], event.data["may_price"]) for event in told] == [(True, False)] * 2
    assert not await indicated(world, "DRV001")
    async with world.db.read() as uow:
        latest = await world.risk.latest_many(uow, ["DRV001", "DRV002"])
    assert [score.simulated for score in latest.values()] == [True, True]


@pytest.mark.usefixtures("observed")
async def test_a_model_of_observed_claims_prices_in_production(driven: World) -> None:
    world = guarded(driven)
    async with world.db.begin() as uow:
        score = await world.risk.score_driver(uow, "DRV001", "test")
        assert not score.simulated
    assert await indicated(world, "DRV001")
    async with world.client(router, admin=True) as client:
        answer = (await client.get("/risk/DRV001/score")).json()
    assert answer["simulated"] is answer["model"]["assumption_based"] is False
    assert "assumed or simulated" not in answer["note"]


@pytest.mark.usefixtures("observed")
async def test_production_refuses_a_simulated_champion_but_not_its_shadow_nor_the_way_back(
    driven: World, tmp_path: Path, frozen: FrozenClock
) -> None:
    models = guarded(driven).risk.models
    package = pack(write_model(tmp_path / "model"))
    async with driven.db.begin() as uow:
        await models.add(uow, "tables-1", package, "ada")
        with pytest.raises(SimulatedModel, match="ALLOW_SIMULATED_MODELS"):
            await models.activate(uow, "tables-1", ModelStatus.CHAMPION, "ada")
        assert (await models.activate(uow, "tables-1", ModelStatus.SHADOW, "ada")).status == "shadow"
    allowed = ModelRegistry(RegistryOptions(look_every_s=0.0))
    for version in ("tables-1", "scorecard-1"):
        frozen.advance(timedelta(seconds=1))
        async with driven.db.begin() as uow:
            await allowed.activate(uow, version, ModelStatus.CHAMPION, "ada")
    frozen.advance(timedelta(seconds=1))
    async with driven.db.begin() as uow:
        assert (await models.roll_back(uow, "ada")).version == "tables-1"


async def test_every_answer_with_a_score_says_what_it_rests_on(driven: World) -> None:
    async with driven.client(router, admin=True) as client:
        for place in ("score", "breakdown", "recommendations", "risk-factor-breakdown", "risk-profile-summary"):
            answer = (await client.get(f"/risk/DRV001/{place}")).json()
            assert answer["simulated"] is True, place
        assert (await client.get("/risk/DRV001/risk-score-trend")).json()["simulated"] is True
        assert [item["simulated"] for item in (await client.get("/risk/DRV001/history")).json()["items"]] == [True]
        batch = (await client.post("/risk/batch-calculate", json={"driver_ids": ["DRV001"]})).json()
        assert batch["simulated"] is True
        note = (await client.get("/risk/DRV001/score")).json()["note"]
    assert "The model rests on assumed or simulated claims" in note


@pytest.mark.parametrize(
    ("environment", "allowed", "may_price"),
    [("production", "", False), ("production", "true", True), ("development", "", True)],
)
async def test_the_settings_decide(environment: str, allowed: str, *, may_price: bool) -> None:
    env = {**SECRET, "ENVIRONMENT": environment, **({"ALLOW_SIMULATED_MODELS": allowed} if allowed else {})}
    container = bootstrap.build(load_settings(env=env), "test")
    try:
        assert container.get(ModelRegistry).may_price(simulated=True) is may_price
        assert container.get(ModelRegistry).may_price(simulated=False)
    finally:
        await container.close()
