"""Points become a premium credit: once, in whole steps, and never more than there are."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from auto_insurance.kernel import ids
from auto_insurance.rewards.errors import NotEnoughPoints
from tests.integration.rewards.conftest import DRIVER, OTHER, Club
from tests.support.scoring import TODAY, change_trip


async def test_points_become_a_credit(club: Club) -> None:
    await club.grant(1250)
    assert (await club.get("me/summary"))["redeemable_amount"] == 12.0
    answer = await club.redeem(700, "k")
    body = answer.json()
    assert answer.status_code == 201
    assert (body["points"], body["amount"], body["currency"], body["policy_id"]) == (700, 7.0, "USD", "POL-1")
    assert body["balance"] == 550
    assert club.credits.taken == {f"rewards:{body['redemption_id']}": Decimal("7.00")}
    summary = await club.get("me/summary")
    assert (summary["balance"], summary["redeemed_points"], summary["earned_points"]) == (550, 700, 1250)
    assert (summary["redeemable_points"], summary["points_by_kind"]["redemption"]) == (500, -700)


async def test_the_same_key_redeems_once(club: Club) -> None:
    await club.grant(2000)
    first, again = await club.redeem(500, "k"), await club.redeem(500, "k")
    assert first.json() == again.json()
    assert len(club.credits.taken) == 1
    other = await club.redeem(600, "k")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    async with club.client() as client:
        assert (await client.post("/rewards/me/redeem", json={"points": 500})).status_code == 422


@pytest.mark.parametrize(
    ("points", "status", "code"),
    [
        (400, 409, "redemption_refused"),
        (550, 409, "redemption_refused"),
        (60_000, 409, "redemption_refused"),
        (900, 409, "not_enough_points"),
        (0, 422, "invalid_input"),
        (-500, 422, "invalid_input"),
    ],
)
async def test_what_is_not_redeemed(club: Club, points: int, status: int, code: str) -> None:
    await club.grant(800)
    answer = await club.redeem(points, "k")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert club.credits.taken == {}
    assert (await club.get("me/summary"))["balance"] == 800


async def test_without_a_policy_points_stay(club: Club) -> None:
    await club.grant(800)
    club.credits.policy_id = None
    answer = await club.redeem(500, "k")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_policy_to_credit")
    assert (await club.get("me/summary"))["balance"] == 800


async def test_many_at_once_never_take_more_than_there_is(club: Club) -> None:
    await club.grant(1700)

    async def redeem() -> bool:
        try:
            async with club.db.begin() as uow:
                await club.rewards.redeem(uow, DRIVER, 500, ids.new_uuid())
        except NotEnoughPoints:
            return False
        return True

    results = await asyncio.gather(*(redeem() for _ in range(12)))
    assert results.count(True) == 3
    assert (await club.get("me/summary"))["balance"] == 200
    assert sum(club.credits.taken.values()) == Decimal("15.00")


async def test_a_correction_after_spending_is_owed_and_blocks_redeeming(club: Club) -> None:
    await club.grant(500)
    trip_id = await club.drove(TODAY - timedelta(days=3))
    assert (await club.redeem(500, "k")).status_code == 201
    async with club.db.begin() as uow:
        await change_trip(uow, trip_id, status="withdrawn")
    await club.tell("trip.withdrawn", trip_id)
    summary = await club.get("me/summary")
    assert (summary["balance"], summary["redeemable_points"]) == (0, 0)


async def test_others_rewards_are_not_found(club: Club) -> None:
    async with club.client(OTHER) as client:
        for page in ("summary", "milestones", "achievements", "ledger", "tips"):
            assert (await client.get(f"/rewards/{DRIVER}/{page}")).status_code == 404
        redeemed = await client.post(
            f"/rewards/{DRIVER}/redeem", json={"points": 500}, headers={"Idempotency-Key": "k"}
        )
        rules = (await client.get("/rewards/rules")).json()
    assert redeemed.status_code == 404
    assert (rules["version"], rules["points_per_unit"], rules["unit"]) == ("rules-1", 100, 1.0)
    assert [band["points"] for band in rules["bands"]] == [10, 6, 3]
    assert len(rules["milestones"]) == 4


async def test_tips_are_the_driver_s_own(club: Club) -> None:
    assert await club.get("me/tips") == {"driver_id": DRIVER, "calculated_at": None, "tips": []}
    await club.drove(TODAY - timedelta(days=2), distance_miles=100.0, harsh_braking_count=60)
    async with club.db.begin() as uow:
        await club.risk.recalculate(uow, DRIVER, "test")
    tips = (await club.get("me/tips"))["tips"]
    assert tips[0]["title"] in {"Harsh braking", "Severe braking"}
    assert tips[0]["effect_pct"] > 0.5
    assert len({tip["text"] for tip in tips}) == len(tips) <= 3
    assert (await club.get("me/summary"))["tips"] == tips
