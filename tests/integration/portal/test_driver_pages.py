from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from auto_insurance.bootstrap import Container
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.clock import to_us
from auto_insurance.pricing.service import PricingService
from auto_insurance.risk.service import RiskService
from auto_insurance.telematics.columns import of_samples
from auto_insurance.telematics.service import TelematicsService
from auto_insurance.trips.models import trip_events
from tests.support.product import client_of
from tests.support.scoring import TODAY, add_driver, add_trip
from tests.support.trips import Drive

DAY = timedelta(days=1)
START = TODAY - DAY


async def add_event(uow: UnitOfWork, trip_id: object, seq: int, **columns: Any) -> None:
    row = {"kind": "harsh_brake", "severity": "severe", "started_at": START, "duration_s": 1.0, "asserted": False}
    await uow.conn.execute(insert(trip_events).values(trip_id=trip_id, seq=seq, **{**row, **columns}))


@pytest.fixture
async def trip_id(container: Container) -> str:
    """DRV001 drove 300 seconds yesterday, with samples; everything is scored and priced."""
    drive = Drive(device_id="DEV-DRV001", t_us=to_us(START))
    for _ in range(300):
        drive.emit(15.0)
        drive.lon += 0.0002
        drive.t_us += 1_000_000
    async with container.database.begin() as uow:
        for driver_id in ("DRV001", "DRV002"):
            await add_driver(uow, driver_id)
        await container.get(TelematicsService).store(uow, of_samples(drive.samples))
        sums = {"distance_miles": 40.0, "duration_s": 3600.0, "harsh_braking_count": 2, "speeding_s": 30.0}
        known = {"speed_limit_known_miles": 20.0, "speed_limit_known_s": 1800.0, "night_miles": 10.0}
        made = await add_trip(uow, "DRV001", START, **sums, **known, end_latitude=41.0, end_longitude=-96.0)
        await add_event(uow, made, 0, peak=5.04, speed_mph=41.26, latitude=41.25, longitude=-96.0)
        await add_event(uow, made, 1, severity="moderate", started_at=START + timedelta(seconds=9))
        await add_event(uow, made, 2, kind="crash", severity="moderate", started_at=START + timedelta(seconds=90))
        risk = container.get(RiskService)
        await risk.score_trip(uow, made)
        await risk.score_driver(uow, "DRV001", "test")
        await container.get(PricingService).charge_initial(uow, "DRV001")
    return str(made)


async def test_one_trip_with_path_events_score_and_price(container: Container, trip_id: str) -> None:
    async with client_of(container, driver_id="DRV001") as client:
        body = (await client.get(f"/drivers/me/trips/{trip_id}")).json()
        thin = (await client.get(f"/drivers/me/trips/{trip_id}", params={"max_points": 10})).json()
    path = body["path"]["coordinates"]
    assert (body["path"]["type"], body["path_point_count"], len(path)) == ("LineString", 300, 300)
    assert path[0] == [-96.0, 41.25]
    assert [thin["path"]["coordinates"][end] for end in (0, -1)] == [path[0], path[-1]]
    assert len(thin["path"]["coordinates"]) == 10
    assert [event["kind"] for event in body["events"]] == ["harsh_brake", "harsh_brake", "crash"]
    assert body["events"][0]["place"] == {"latitude": 41.25, "longitude": -96.0}
    assert body["events"][1]["place"] is None
    assert body["score_breakdown"]
    assert 0 <= body["trip_score"] <= 100
    effect = body["price_effect"]
    difference = effect["monthly_premium_with"] - effect["monthly_premium_without"]
    assert effect["monthly_difference"] == pytest.approx(difference, abs=0.005)
    assert effect["currency"] == "USD"


async def test_an_open_trip_has_no_price_effect_nor_path_without_samples(container: Container) -> None:
    async with container.database.begin() as uow:
        await add_driver(uow, "DRV001")
        made = await add_trip(uow, "DRV001", START, status="in_progress", end_time=None, revision=0)
    async with client_of(container, driver_id="DRV001") as client:
        body = (await client.get(f"/drivers/me/trips/{made}")).json()
    assert (body["path"], body["price_effect"], body["score_breakdown"]) == (None, None, [])


async def test_somebody_elses_trip_is_not_there(container: Container, trip_id: str) -> None:
    async with client_of(container, driver_id="DRV002") as client:
        own = await client.get(f"/drivers/me/trips/{trip_id}")
        foreign = await client.get(f"/drivers/DRV001/trips/{trip_id}")
    async with client_of(container, admin=True) as client:
        mixed = await client.get(f"/drivers/DRV002/trips/{trip_id}")
        staff = await client.get(f"/drivers/DRV001/trips/{trip_id}")
    assert [own.status_code, foreign.status_code, mixed.status_code, staff.status_code] == [404, 404, 404, 200]
    assert own.json()["code"] == "trip_not_found"


async def test_statistics_are_rates_over_what_was_known(container: Container, trip_id: str) -> None:
    async with client_of(container, driver_id="DRV001") as client:
        body = (await client.get("/drivers/me/statistics")).json()
        same = (await client.get("/drivers/me/trips/statistics")).json()
        before = (await client.get("/drivers/DRV001/statistics", params={"period_days": 1})).json()
        wrong = await client.get("/drivers/me/statistics", params={"period_days": 0})
    assert body == same
    assert (body["trip_count"], body["total_miles"], body["total_hours"]) == (1, 40.0, 1.0)
    assert (body["harsh_braking_per_100_miles"], body["speeding_seconds_per_100_miles"]) == (5.0, 150.0)
    assert (body["night_share"], body["speed_limit_known_share"], body["avg_speed_mph"]) == (0.25, 0.5, 40.0)
    assert body["phone_usage_seconds_per_100_miles"] is None
    assert before["trip_count"] == 1
    assert wrong.status_code == 422


async def test_statistics_of_nothing_are_null(container: Container, trip_id: str) -> None:
    async with client_of(container, driver_id="DRV002") as client:
        body = (await client.get("/drivers/me/statistics")).json()
    assert (body["trip_count"], body["total_miles"]) == (0, 0)
    assert all(value is None for name, value in body.items() if name.endswith(("_share", "_100_miles")))
    assert body["avg_trip_score"] is None


async def test_summary_and_trips_summary(container: Container, trip_id: str) -> None:
    async with client_of(container, driver_id="DRV001") as client:
        first = (await client.get("/drivers/me/summary")).json()
        trips = (await client.get("/drivers/me/trips/summary")).json()
    assert first["risk_score"] + first["safety_score"] == pytest.approx(100)
    assert first["monthly_premium"] > 0
    assert (first["total_trips"], first["miles_last_30_days"]) == (1, 40.0)
    assert (trips["total_trips"], trips["total_miles"], trips["total_hours"]) == (1, 40.0, 1.0)
    assert trips["harsh_braking_count"] == 2
    async with client_of(container, driver_id="DRV002") as client:
        fresh = (await client.get("/drivers/me/summary")).json()
    assert (fresh["risk_score"], fresh["safety_score"], fresh["monthly_premium"]) == (None, None, None)
    assert fresh["last_trip_at"] is None


async def test_alerts_are_crashes_and_severe_events_newest_first(container: Container, trip_id: str) -> None:
    async with client_of(container, driver_id="DRV001") as client:
        body = (await client.get("/drivers/me/alerts")).json()
        second = (await client.get("/drivers/me/alerts", params={"page": 2, "page_size": 1})).json()
        wrong = await client.get("/drivers/me/alerts", params={"days": 3661})
    assert [(item["kind"], item["severity"]) for item in body["items"]] == [
        ("crash", "moderate"),
        ("harsh_brake", "severe"),
    ]
    assert {item["trip_id"] for item in body["items"]} == {trip_id}
    assert body["items"][1]["peak"] == 5.04
    assert (body["total"], second["items"]) == (2, [body["items"][1]])
    assert wrong.status_code == 422
    async with client_of(container, driver_id="DRV002") as client:
        assert (await client.get("/drivers/me/alerts")).json()["items"] == []
        assert (await client.get("/drivers/DRV001/alerts")).status_code == 404


async def test_risk_factors_strongest_first(container: Container, trip_id: str) -> None:
    async with client_of(container, driver_id="DRV001") as client:
        body = (await client.get("/drivers/me/risk-factors")).json()
        score = (await client.get("/risk/me/breakdown")).json()
    effects = {item["code"]: abs(item["log_effect"]) for item in score["contributions"]}
    strengths = [effects[factor["code"]] for factor in body["factors"]]
    assert strengths == sorted(strengths, reverse=True)
    assert len(strengths) == len(effects) > 5
    assert body["risk_score"] == score["risk_score"]
    async with client_of(container, driver_id="DRV002") as client:
        assert (await client.get("/drivers/me/risk-factors")).json()["factors"] == []


@pytest.mark.parametrize("path", ["summary", "statistics", "trips/summary", "alerts", "risk-factors"])
async def test_an_unknown_driver_is_not_found(container: Container, path: str) -> None:
    async with client_of(container, admin=True) as client:
        answer = await client.get(f"/drivers/DRV404/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "driver_not_found")
