from __future__ import annotations

from datetime import timedelta
from math import exp

import pytest

from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.risk.api import router
from tests.support.scoring import TODAY, World, add_driver, add_trip, published


@pytest.fixture
async def scored(world: World, frozen: FrozenClock) -> World:
    """DRV001 with three scores: 40 days ago, 10 days ago and today, ever rougher; DRV002 without trips."""
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001")
        await add_driver(uow, "DRV002")
    for days, brakings in ((40, 5), (10, 40), (0, 160)):
        at = TODAY - timedelta(days=days)
        frozen.set(at)
        async with world.db.begin() as uow:
            await add_trip(
                uow,
                "DRV001",
                at - timedelta(hours=3),
                distance_miles=200.0,
                harsh_braking_count=brakings,
                phone_usage_s=5.0,
                phone_known_s=3600.0,
            )
            await world.risk.score_driver(uow, "DRV001", "trip.completed")
    return world


async def test_history_is_paged_newest_first(scored: World) -> None:
    async with scored.client(router, driver_id="DRV001") as client:
        first = (await client.get("/risk/me/history", params={"days": 90, "page_size": 2})).json()
        rest = (await client.get("/risk/me/history", params={"days": 90, "page_size": 2, "page": 2})).json()
        recent = (await client.get("/risk/me/history", params={"days": 30})).json()
    assert (first["total"], len(first["items"]), len(rest["items"])) == (3, 2, 1)
    times = [item["calculated_at"] for item in first["items"] + rest["items"]]
    assert times == sorted(times, reverse=True)
    assert recent["total"] == 2
    assert first["items"][0]["reason"] == "trip.completed"


async def test_the_trend_carries_a_score_until_the_next(scored: World) -> None:
    async with scored.client(router, driver_id="DRV001") as client:
        daily = (await client.get("/risk/me/risk-score-trend", params={"period": "30d"})).json()
        weekly = (await client.get("/risk/me/risk-score-trend", params={"period": "90d", "interval": "weekly"})).json()
    points = daily["points"]
    assert len(points) == 30
    assert points[-1]["date"] == "2026-06-15"
    assert all(point["risk_score"] is not None for point in points), "the one of 40 days ago holds at the beginning"
    assert [point["calculations"] for point in points if point["calculations"]] == [1, 1]
    assert len({point["risk_score"] for point in points}) == 3
    assert daily["change"] > 0
    assert daily["direction"] == "worsening"
    assert weekly["points"][0]["risk_score"] is None, "before the first score"
    assert len(weekly["points"]) == 14
    assert sum(point["calculations"] for point in weekly["points"]) == 3


async def test_a_trend_without_scores_is_empty_and_says_so(scored: World) -> None:
    async with scored.client(router, driver_id="DRV002") as client:
        body = (await client.get("/risk/me/risk-score-trend", params={"period": "7d"})).json()
        wrong = await client.get("/risk/me/risk-score-trend", params={"period": "2d"})
    assert [point["risk_score"] for point in body["points"]] == [None] * 7
    assert (body["change"], body["direction"]) == (None, "unknown")
    assert wrong.status_code == 422


async def test_recommendations_say_what_they_bring(scored: World) -> None:
    async with scored.client(router, driver_id="DRV001") as client:
        body = (await client.get("/risk/me/recommendations")).json()
    assert body["recommendations"][0]["code"] == "HARSH_BRAKING_PER_100MI_RAISES"
    assert body["effect_of_all_pct"] < 0
    assert all(item["effect_if_typical_pct"] < 0 for item in body["recommendations"])


async def test_groups_add_up_to_the_whole(scored: World) -> None:
    async with scored.client(router, driver_id="DRV001") as client:
        body = (await client.get("/risk/me/risk-factor-breakdown")).json()
        breakdown = (await client.get("/risk/me/breakdown")).json()
    total = sum(group["log_effect"] for group in body["groups"])
    assert total == pytest.approx(sum(part["log_effect"] for part in breakdown["contributions"]))
    assert body["effect_pct"] == pytest.approx(100 * (exp(total) - 1), abs=0.01)
    assert body["groups"][0]["group"] == "braking"
    assert {group["group"] for group in body["groups"]} == {
        "braking", "acceleration", "cornering", "speeding", "phone", "smoothness", "fatigue", "time_of_day",
    }  # fmt: skip


async def test_the_profile_names_both_sides(scored: World) -> None:
    async with scored.client(router, driver_id="DRV001") as client:
        body = (await client.get("/risk/me/risk-profile-summary")).json()
    assert body["raising"][0]["feature"] == "harsh_braking_per_100mi"
    assert len(body["lowering"]) == 3
    assert all(part["effect_pct"] < 0 for part in body["lowering"])
    assert body["change_30d"] > 0
    assert body["better_than_pct"] == pytest.approx(100 - body["risk_score"])


async def test_recalculate_is_for_staff(scored: World) -> None:
    async with scored.client(router, driver_id="DRV001") as client:
        assert (await client.post("/risk/me/recalculate-risk")).status_code == 403
        assert (await client.post("/risk/batch-calculate", json={"driver_ids": ["DRV001"]})).status_code == 403
    async with scored.client(router, admin=True) as client:
        answer = await client.post("/risk/DRV001/recalculate-risk")
        unknown = await client.post("/risk/DRV999/recalculate-risk")
    assert answer.status_code == 200
    assert unknown.status_code == 404


async def test_a_batch_over_the_usual_window_is_kept(scored: World) -> None:
    before = len(await published(scored.db, "risk-scores"))
    async with scored.client(router, admin=True) as client:
        body = (
            await client.post("/risk/batch-calculate", json={"driver_ids": ["DRV001", "DRV999", "DRV002", "DRV001"]})
        ).json()
    assert (body["total"], body["calculated"], body["not_found"], body["stored"]) == (3, 2, ["DRV999"], True)
    assert set(body["results"]) == {"DRV001", "DRV002"}
    scores = [result["risk_score"] for result in body["results"].values()]
    assert body["average_risk_score"] == pytest.approx(sum(scores) / 2, abs=0.01)
    assert len(await published(scored.db, "risk-scores")) == before + 2


async def test_a_batch_over_another_window_is_a_question_only(scored: World) -> None:
    before = len(await published(scored.db, "risk-scores"))
    async with scored.client(router, admin=True) as client:
        body = (await client.post("/risk/batch-calculate", json={"driver_ids": ["DRV001"], "period_days": 5})).json()
        too_many = await client.post("/risk/batch-calculate", json={"driver_ids": ["D"] * 1001})
        none = await client.post("/risk/batch-calculate", json={"driver_ids": []})
    assert body["stored"] is False
    assert body["results"]["DRV001"]["exposure_miles"] == 200.0
    assert len(await published(scored.db, "risk-scores")) == before
    assert (too_many.status_code, none.status_code) == (422, 422)
