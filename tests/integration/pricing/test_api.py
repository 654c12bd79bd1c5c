from __future__ import annotations

from decimal import Decimal

import pytest

from auto_insurance.kernel import ids
from auto_insurance.pricing.api import router
from auto_insurance.pricing.service import Score
from tests.support.scoring import World, add_driver


@pytest.fixture
async def priced(world: World) -> World:
    """DRV001 drives well, a young DRV002 has no score yet."""
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001", prior_claims=1, declared_annual_mileage=8000)
        await add_driver(uow, "DRV002", state="WY", declared_annual_mileage=None)
        score = Score(score_id=ids.new_uuid(), relativity=0.6, confidence=0.8, model_version="scorecard-1")
        await world.pricing.indicate(uow, "DRV001", score, "trip.completed")
    return world


async def test_current_of_me(priced: World) -> None:
    async with priced.client(router, driver_id="DRV001") as client:
        answer = await client.get("/pricing/me/current")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["driver_id"], body["kind"], body["status"]) == ("DRV001", "charged", "active")
    assert body["effective_date"] == "2026-06-15"
    # 1200 x 0.93 x 1.15 x 0.95
    assert body["final_premium"] == body["annual_premium"] == 1219.23
    assert body["monthly_premium"] == 101.6
    assert body["indicated"]["annual_premium"] == 1024.15
    assert body["indicated_monthly_difference"] == pytest.approx(85.35 - 101.6)
    assert "not filed" in body["plan_basis"].lower()


async def test_a_driver_without_a_score_is_charged_from_the_facts(priced: World) -> None:
    async with priced.client(router, driver_id="DRV002") as client:
        first = (await client.get("/pricing/me/current")).json()
        again = (await client.get("/pricing/me/current")).json()
    assert first == again
    assert first["annual_premium"] == 1187.5
    assert first["indicated"] is None
    assert first["indicated_monthly_difference"] is None


async def test_breakdown_shows_every_step_of_both(priced: World) -> None:
    async with priced.client(router, admin=True) as client:
        body = (await client.get("/pricing/DRV001/breakdown")).json()
    for sheet in (body["charged"], body["indicated"]):
        amount = Decimal(0)
        for line in sheet["worksheet"]:
            assert Decimal(line["amount_before"]) == amount
            amount = Decimal(line["amount_after"])
        assert float(amount) == sheet["monthly_premium"]
        total = sheet["base_premium"] + sheet["total_discount"] + sheet["total_surcharge"]
        assert total == pytest.approx(sheet["final_premium"], abs=0.02)
    indicated = body["indicated"]
    assert [step["code"] for step in indicated["discounts"]] == ["annual_mileage", "participation", "telematics"]
    assert [step["code"] for step in indicated["surcharges"]] == ["prior_claims"]
    assert indicated["telematics_amount"] == pytest.approx(1024.15 - 1219.23, abs=0.01)
    telematics = next(line for line in indicated["worksheet"] if line["code"] == "telematics")
    assert (telematics["factor"], telematics["source"]) == ("0.8400", "telematics.curve")
    assert telematics["detail"]["credibility"] == "0.800000"


@pytest.mark.parametrize("path", ["current", "breakdown"])
async def test_others_and_unknown_drivers_are_not_found_alike(priced: World, path: str) -> None:
    async with priced.client(router, driver_id="DRV001") as client:
        foreign = await client.get(f"/pricing/DRV002/{path}")
        unknown = await client.get(f"/pricing/DRV404/{path}")
    assert foreign.status_code == unknown.status_code == 404
    assert {**foreign.json(), "request_id": None} == {**unknown.json(), "request_id": None}
    async with priced.client(router, admin=True) as client:
        assert (await client.get(f"/pricing/DRV404/{path}")).status_code == 404


async def test_a_driver_without_telematics_amount(priced: World) -> None:
    async with priced.client(router, driver_id="DRV002") as client:
        body = (await client.get("/pricing/me/breakdown")).json()
    assert body["indicated"] is None
    assert body["charged"]["telematics_amount"] == 0
    assert body["charged"]["surcharges"] == []
