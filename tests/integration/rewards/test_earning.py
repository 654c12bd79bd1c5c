"""Points from trips: earned once, corrected by further entries, the same whatever the way of the news."""

from __future__ import annotations

import random
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from auto_insurance.rewards import rules
from auto_insurance.rewards.counting import season_bounds
from auto_insurance.rewards.models import reward_entries, reward_trips
from auto_insurance.rewards.rules import RewardTrip
from tests.integration.rewards.conftest import DRIVER, OTHER, Club
from tests.support.scoring import TODAY, change_trip

START = TODAY - timedelta(days=20)


def _key(trip_id: UUID) -> str:
    return f"trip:{trip_id}:{START.date().isoformat()}"


async def test_a_safe_trip_earns_once(club: Club) -> None:
    trip_id = await club.drove(START)
    await club.tell("trip.completed", trip_id)
    summary = await club.get("me/summary")
    assert await club.sums() == {_key(trip_id): 10}
    assert (summary["balance"], summary["earned_points"], summary["redeemable_points"]) == (10, 10, 0)
    assert (summary["trips_counted"], summary["miles_counted"]) == (1, 5.0)
    assert summary["next_milestone"]["code"] == "trips-10"
    [entry] = (await club.get("me/ledger"))["items"]
    assert (entry["kind"], entry["points"], entry["balance"], entry["is_correction"]) == ("trip", 10, 10, False)
    assert entry["trip_id"] == str(trip_id)


async def test_the_score_of_a_trip_is_stored_by_risk_alone(club: Club) -> None:
    """Two groups that write the same rows, each in the order of its own batch, run into deadlocks."""
    trip_id = await club.drove(START)
    assert await club.sums() == {_key(trip_id): 10}
    async with club.db.read() as uow:
        assert await club.risk.trip_score(uow, trip_id) is None
        now = await club.risk.trip_score_now(uow, trip_id)
    async with club.db.begin() as uow:
        stored = await club.risk.score_trip(uow, trip_id)
    assert now is not None
    assert stored is not None
    assert (now.trip_score, now.revision) == (stored.trip_score, stored.revision)


async def test_short_and_wild_trips_earn_nothing(club: Club) -> None:
    await club.drove(START, distance_miles=0.5)
    await club.drove(START + timedelta(hours=2), harsh_braking_count=40, harsh_braking_severe_count=40)
    assert await club.sums() == {}
    assert (await club.get("me/summary"))["trips_counted"] == 1


async def test_late_events_and_disputes_are_corrected_by_entries(club: Club) -> None:
    trip_id = await club.drove(START)
    async with club.db.begin() as uow:
        await change_trip(uow, trip_id, harsh_braking_count=50, harsh_braking_severe_count=50, revision=2)
    await club.tell("trip.amended", trip_id)
    assert await club.sums() == {}
    async with club.db.begin() as uow:
        await change_trip(uow, trip_id, harsh_braking_count=0, harsh_braking_severe_count=0, revision=3)
    await club.tell("trip.amended", trip_id)
    assert await club.sums() == {_key(trip_id): 10}
    async with club.db.begin() as uow:
        await change_trip(uow, trip_id, status="withdrawn", revision=4)
    await club.tell("trip.withdrawn", trip_id)
    entries = (await club.get("me/ledger"))["items"]
    assert [(one["points"], one["is_correction"], one["reason"]) for one in entries] == [
        (-10, True, "trip.withdrawn"),
        (10, True, "trip.amended"),
        (-10, True, "trip.amended"),
        (10, False, "trip.completed"),
    ]
    assert (await club.get("me/summary"))["balance"] == 0


async def test_a_disputed_trip_earns_nothing_even_when_it_is_amended(club: Club) -> None:
    trip_id = await club.drove(START)
    async with club.db.begin() as uow:
        await uow.conn.execute(
            text(
                "INSERT INTO trip_disputes (dispute_id, trip_id, driver_id, reason, status, created_at, created_by,"
                " decided_at) VALUES (gen_random_uuid(), :trip, 'DRV001', 'not_me', 'accepted', now(),"
                " gen_random_uuid(), now())"
            ),
            {"trip": trip_id},
        )
    await club.tell("trip.withdrawn", trip_id)
    await club.tell("trip.amended", trip_id)
    assert await club.sums() == {}


async def test_streaks_milestones_and_achievements(club: Club) -> None:
    for day in range(14):
        await club.drove(START + timedelta(days=day), distance_miles=20.0, phone_known_miles=20.0)
    summary = await club.get("me/summary")
    assert summary["points_by_kind"] == {"trip": 140, "streak": 80, "milestone": 25, "achievement": 100}
    assert summary["balance"] == 345
    days = next(streak for streak in summary["streaks"] if streak["code"] == "calm-7-days")
    assert (days["running"], days["length"]) == (14, 7)
    milestones, achievements = await club.get("me/milestones"), await club.get("me/achievements")
    assert [(goal["code"], goal["reached"]) for goal in milestones["items"]] == [
        ("trips-10", True), ("trips-100", False), ("miles-1000", False), ("miles-10000", False),
    ]  # fmt: skip
    assert milestones["items"][1]["progress_pct"] == 14.0
    assert [(goal["code"], goal["value"], goal["reached"]) for goal in achievements["items"]] == [
        ("smooth-25", 14.0, False), ("phone-free-250", 280.0, True), ("limit-250", 70.0, False),
    ]  # fmt: skip
    assert achievements["reached"] == 1


async def test_a_harsh_day_in_the_middle_takes_a_streak_back(club: Club) -> None:
    trips = [await club.drove(START + timedelta(days=day), distance_miles=50.0) for day in range(7)]
    streak = f"streak:calm-7-days:{(START + timedelta(days=6)).date()}"
    assert (await club.sums())[streak] == 40
    async with club.db.begin() as uow:
        await change_trip(uow, trips[3], harsh_corner_count=1, revision=2)
    await club.tell("trip.amended", trips[3])
    assert streak not in await club.sums()


async def _ledger_as_the_trips_say(club: Club) -> None:
    """Compare the ledger with what the pure rules make of the trips that count."""
    async with club.db.read() as uow:
        rows = (
            await uow.conn.execute(select(*(reward_trips.c[name] for name in RewardTrip.__struct_fields__)))
        ).mappings()
        due = rules.evaluate(club.rewards.rules, [RewardTrip(**row) for row in rows])
        c = reward_entries.c
        entries = (await uow.conn.execute(select(c.seq, c.points, c.balance).order_by(c.seq))).all()
    assert await club.sums() == {key: award.points for key, award in due.items()}
    balance = 0
    for number, (seq, points, after) in enumerate(entries, 1):
        balance += points
        assert (seq, after) == (number, balance)


@pytest.mark.parametrize("seed", [1, 2])
async def test_any_order_repetition_and_amendment_ends_in_the_same_points(club: Club, seed: int) -> None:
    dice = random.Random(seed)
    trips: list[UUID] = []
    for day in range(12):
        trips += [await club.drove(START + timedelta(days=day, hours=4 * n), distance_miles=30.0) for n in range(2)]
    await _ledger_as_the_trips_say(club)
    for _ in range(8):
        trip_id = dice.choice(trips)
        changes: list[dict[str, object]] = [
            {"status": "withdrawn"}, {"status": "completed"}, {"harsh_corner_count": 3}, {"distance_miles": 0.2},
            {"distance_miles": 60.0, "harsh_corner_count": 0}, {"start_time": START + timedelta(days=40)},
        ]  # fmt: skip
        change = dice.choice(changes)
        async with club.db.begin() as uow:
            await change_trip(uow, trip_id, **change, revision=dice.randint(2, 1000))
        told = [trip_id, *dice.sample(trips, 2)]
        await club.tell(dice.choice(["trip.amended", "trip.withdrawn", "trip.completed"]), *told)
        await _ledger_as_the_trips_say(club)


async def test_a_trip_that_went_to_another_driver_takes_its_points_along(club: Club) -> None:
    trip_id = await club.drove(START)
    async with club.db.begin() as uow:
        await change_trip(uow, trip_id, driver_id=OTHER, revision=2)
        assert await club.counter.trip_changed(uow, trip_id, OTHER, "trip.amended") == 2
    async with club.db.begin() as uow:
        assert await club.counter.trip_changed(uow, trip_id, DRIVER, "trip.withdrawn") == 0
    assert (await club.get("me/summary"))["balance"] == 0
    assert (await club.get("me/summary", OTHER))["balance"] == 10


async def test_entries_are_never_changed(club: Club) -> None:
    await club.drove(START)
    with pytest.raises(DBAPIError, match="only added to"):
        async with club.db.begin() as uow:
            await uow.conn.execute(text("UPDATE reward_entries SET points = 1000"))


async def test_unknown_trips_and_seasons_without_rules_are_left_alone(club: Club) -> None:
    async with club.db.begin() as uow:
        assert await club.counter.trip_changed(uow, UUID(int=1), DRIVER, "trip.completed") == 0
    await club.drove(START.replace(year=2015))
    assert await club.sums() == {}
    assert [day.isoformat() for day in season_bounds(2026)] == ["2025-12-29", "2027-01-03"]
