"""What if, compared with what, since when, which discounts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.pricing.api import router
from auto_insurance.pricing.models import premiums, quotes
from tests.support.scoring import TODAY, World, add_driver, add_trip


@pytest.fixture
async def priced(world: World) -> World:
    """DRV001 is charged with a good score; DRV002 was never priced."""
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001")
        await add_driver(uow, "DRV002")
        await add_trip(uow, "DRV001", TODAY - timedelta(days=9), distance_miles=2000.0, duration_s=180_000.0)
        await world.risk.score_driver(uow, "DRV001", "test")
        await world.pricing.charge(uow, "DRV001", reason="bind", effective_date=TODAY.date())
    return world


async def _rows(world: World) -> tuple[int, int]:
    async with world.db.read() as uow:
        counts = [await uow.conn.scalar(select(func.count()).select_from(table)) for table in (premiums, quotes)]
    return int(counts[0] or 0), int(counts[1] or 0)


async def _simulate(world: World, driver_id: str = "DRV001", **what: Any) -> dict[str, Any]:
    async with world.client(router, driver_id=driver_id) as client:
        answer = await client.post("/pricing/me/simulate", json=what)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_a_simulation_prices_what_is_asked_and_stores_nothing(priced: World) -> None:
    before = await _rows(priced)
    full = await _simulate(priced, coverage="full")
    far = await _simulate(priced, coverage="full", annual_mileage=20_000)
    assert full["changed"] == {"coverage": "full"}
    assert full["current_annual_premium"] < full["annual_premium"] < far["annual_premium"]
    difference = full["annual_premium"] - full["current_annual_premium"]
    assert full["annual_difference"] == pytest.approx(difference)
    assert await _rows(priced) == before


async def test_a_simulated_score_moves_the_price_the_way_it_should(priced: World) -> None:
    prices = [(await _simulate(priced, risk_score=score, confidence=1.0)) for score in (0, 25, 50, 75, 100)]
    amounts = [price["annual_premium"] for price in prices]
    assert amounts == sorted(amounts)
    assert amounts[0] < amounts[-1]
    assert [price["relativity"] for price in prices] == sorted(price["relativity"] for price in prices)
    unsure = await _simulate(priced, risk_score=100, confidence=0.0)
    assert unsure["confidence"] == 0.0
    telematics = next(line for line in unsure["worksheet"] if line["code"] == "telematics")
    assert telematics["detail"]["weighted"] == "1.000000"


async def test_the_model_gives_back_the_score_that_was_simulated(priced: World) -> None:
    loaded = priced.risk.loaded
    for score in (0.5, 10.0, 33.3, 50.0, 99.0):
        frequency = priced.risk.relativity_at(score) * loaded.model.portfolio_frequency
        assert loaded.scale.score(frequency) == pytest.approx(score, abs=0.01)


async def test_somebody_who_was_never_priced_may_simulate(priced: World) -> None:
    found = await _simulate(priced, "DRV002", risk_score=90, telematics=True)
    assert (found["current_annual_premium"], found["annual_difference"]) == (None, None)
    assert found["confidence"] == 1.0
    assert (await _rows(priced))[0] == 1


@pytest.mark.parametrize("body", [{"risk_score": 101}, {"confidence": -1}, {"product": "other"}, {"unknown": 1}])
async def test_a_wrong_what_if_is_refused(priced: World, body: dict[str, Any]) -> None:
    async with priced.client(router, driver_id="DRV001") as client:
        assert (await client.post("/pricing/me/simulate", json=body)).status_code == 422


async def test_comparison_with_the_traditional_price(priced: World) -> None:
    async with priced.client(router, driver_id="DRV001") as client:
        body = (await client.get("/pricing/me/comparison")).json()
    assert body["traditional_annual_premium"] == 1200.0, "CA, standard, every factor 1"
    savings = body["traditional_annual_premium"] - body["charged_annual_premium"]
    assert body["annual_savings"] == pytest.approx(savings)
    assert body["savings_percent"] == pytest.approx(100 * savings / 1200, abs=0.01)
    assert not {"participation", "telematics"} & {line["code"] for line in body["traditional_worksheet"]}


async def test_discounts_and_how_far_they_are_used(priced: World) -> None:
    async with priced.client(router, driver_id="DRV001") as client:
        body = (await client.get("/pricing/me/discount-info")).json()
        current = (await client.get("/pricing/me/current")).json()
    assert (body["participation"]["percent"], body["participation"]["annual_amount"]) == (-5.0, -60.0)
    assert body["driving"]["best_percent"] == -30.0
    assert body["worst_driving_percent"] == 50.0
    assert body["max_change_per_term_percent"] == 25.0
    # 1200 x 0.95 x 0.70
    assert body["best_annual_premium"] == 798.0
    assert body["best_annual_premium"] <= current["annual_premium"]
    assert "participation" in [item["code"] for item in body["discounts"]]


async def test_history_tells_every_version_with_its_reason(priced: World, frozen: FrozenClock) -> None:
    frozen.advance(timedelta(days=70))
    async with priced.client(router, admin=True) as client:
        made = await client.post("/pricing/DRV001/recalculate-premium", json={"note": "moved house"})
        assert made.status_code == 201, made.text
        body = (await client.get("/pricing/DRV001/history")).json()
        recent = (await client.get("/pricing/DRV001/history?months=1&page_size=1")).json()
        assert (await client.get("/pricing/DRV001/history?months=0")).status_code == 422
    reasons = [(item["version"], item["kind"], item["reason"]) for item in body["items"]]
    assert reasons == [(2, "charged", "recalculation: moved house"), (1, "charged", "bind")]
    assert (recent["total"], [item["version"] for item in recent["items"]]) == (1, [2])


async def test_only_staff_price_a_term_again_and_once_per_key(priced: World) -> None:
    async with priced.client(router, driver_id="DRV001") as client:
        assert (await client.post("/pricing/me/recalculate-premium")).status_code == 403
    async with priced.client(router, admin=True) as client:
        headers = {"Idempotency-Key": "k1"}
        one, two = [await client.post("/pricing/DRV001/recalculate-premium", headers=headers) for _ in range(2)]
        other = await client.post("/pricing/DRV001/recalculate-premium")
        assert (await client.post("/pricing/DRV404/recalculate-premium")).status_code == 404
    assert one.json() == two.json()
    assert (one.json()["version"], other.json()["version"]) == (2, 3)


@pytest.mark.parametrize("path", ["comparison", "discount-info", "history"])
async def test_others_are_not_found(priced: World, path: str) -> None:
    async with priced.client(router, driver_id="DRV002") as client:
        assert (await client.get(f"/pricing/DRV001/{path}")).status_code == 404
