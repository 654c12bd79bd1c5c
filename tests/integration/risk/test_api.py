from __future__ import annotations

from datetime import timedelta
from math import exp

import msgspec
import pytest

from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.risk.api import router
from auto_insurance.risk.views import model_out
from tests.support.scoring import TODAY, World, add_driver, add_trip


@pytest.fixture
async def driven(world: World) -> World:
    """DRV001 with 400 miles behind, rough ones; DRV002 without any."""
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001")
        await add_driver(uow, "DRV002")
        for days in (50, 1):
            await add_trip(
                uow,
                "DRV001",
                TODAY - timedelta(days=days),
                distance_miles=200.0,
                harsh_braking_count=80,
                harsh_braking_severe_count=20,
                night_miles=10.0,
                phone_usage_s=100.0,
                phone_known_s=3600.0,
            )
    return world


async def test_score_of_me(driven: World) -> None:
    async with driven.client(router, driver_id="DRV001") as client:
        answer = await client.get("/risk/me/score")
    assert answer.status_code == 200
    body = answer.json()
    assert body["driver_id"] == "DRV001"
    assert 0 <= body["risk_score"] <= 100
    assert body["safety_score"] == pytest.approx(100 - body["risk_score"])
    assert body["risk_category"] in {"high", "very_high"}
    assert body["exposure_miles"] == 400.0
    assert body["confidence"] == pytest.approx(0.2857)
    assert body["model_version"] == body["model"]["version"] == "driving-2"
    assert body["model"]["assumption_based"] is True
    assert "simulated" in body["model"]["reference_population"]
    assert "simulated claims" in body["model"]["trained_on"]
    assert body["expected_claims_per_million_miles"] > 5


async def test_a_driver_without_trips_is_told_so(driven: World) -> None:
    async with driven.client(router, driver_id="DRV002") as client:
        body = (await client.get("/risk/DRV002/score")).json()
    assert body["confidence"] == 0
    assert body["basis"] == "none"
    assert "No trips yet" in body["note"]


async def test_recalculate_stores_a_new_score(driven: World, frozen: FrozenClock) -> None:
    async with driven.client(router, admin=True) as client:
        first = (await client.get("/risk/DRV001/score")).json()
        frozen.advance(timedelta(seconds=5))
        same = (await client.get("/risk/DRV001/score")).json()
        fresh = (await client.get("/risk/DRV001/score", params={"recalculate": "true"})).json()
    assert same == first
    assert fresh["calculated_at"] > first["calculated_at"]
    async with driven.db.read() as uow:
        assert [s.reason for s in await driven.risk.history(uow, "DRV001", days=1)] == ["recalculated", "first_score"]


async def test_breakdown_adds_up(driven: World) -> None:
    async with driven.client(router, driver_id="DRV001") as client:
        body = (await client.get("/risk/me/breakdown")).json()
    total = sum(part["log_effect"] for part in body["contributions"])
    assert body["base_claims_per_million_miles"] * exp(total) == pytest.approx(
        body["expected_claims_per_million_miles"]
    )
    assert body["contributions"][0]["feature"] == "harsh_braking_per_100mi"
    assert body["reason_codes"][0] == "HARSH_BRAKING_PER_100MI_RAISES"
    assert body["recommendations"][0]["effect_if_typical_pct"] < 0
    features = {feature["name"]: feature for feature in body["features"]}
    assert features["harsh_braking_per_100mi"]["value"] == pytest.approx(40.0)
    assert features["speeding_s_per_100mi"]["value"] is None
    assert features["exposure_miles"]["scored"] is False
    assert features["trips"]["value"] == 2
    assert body["expected_claims_per_year"] > 0


@pytest.mark.parametrize("path", ["score", "breakdown"])
async def test_others_and_unknown_drivers_are_not_found_alike(driven: World, path: str) -> None:
    async with driven.client(router, driver_id="DRV001") as client:
        foreign, unknown = await client.get(f"/risk/DRV002/{path}"), await client.get(f"/risk/DRV404/{path}")
    assert foreign.status_code == unknown.status_code == 404
    assert {**foreign.json(), "request_id": None} == {**unknown.json(), "request_id": None}
    async with driven.client(router, admin=True) as client:
        assert (await client.get(f"/risk/DRV404/{path}")).status_code == 404
        assert (await client.get("/risk/DRV404/score", params={"recalculate": "1"})).status_code == 404


async def test_a_score_of_a_retired_model_is_named(driven: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with driven.db.begin() as uow:
        score = await driven.risk.score_driver(uow, "DRV001", "test")
    old = msgspec.structs.replace(score, model_version="scorecard-0")
    assert model_out(driven.risk.model, old).kind == "retired"
