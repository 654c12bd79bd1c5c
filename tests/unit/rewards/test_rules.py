"""Points are a function of the trips as they are: order, repetition and corrections on the way do not matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auto_insurance.rewards import rules as engine
from auto_insurance.rewards.rulebook import load_rulebook
from auto_insurance.rewards.rules import Award, Band, Day, GoalRule, RewardTrip, Rules, StreakRule, Totals

SHIPPED = load_rulebook().newest
MONDAY = date(2026, 6, 1)
SMALL = msgspec.structs.replace(
    SHIPPED,
    trips=engine.TripRules(minimum_miles=1.0, counted_per_day=2, bands=(Band(90.0, 10), Band(50.0, 2))),
    streaks=(StreakRule("d2", "", "days", 2, 7), StreakRule("w2", "", "weeks", 2, 30)),
    milestones=(GoalRule("t3", "", "trips", 3, 5), GoalRule("m10", "", "miles", 10, 11)),
    achievements=(GoalRule("s2", "", "smooth_trips", 2, 13), GoalRule("p5", "", "phone_free_miles", 5, 17)),
)


def trip(number: int, day: int = 0, **fields: object) -> RewardTrip:
    base: dict[str, object] = {
        "trip_id": UUID(int=number), "local_date": MONDAY + timedelta(days=day), "score": 95.0, "milli_miles": 2000,
        "harsh_events": 0, "phone_free_milli": 2000, "limit_milli": 0,
    }  # fmt: skip
    return RewardTrip(**{**base, **fields})  # type: ignore[arg-type]


@dataclass
class Book:
    """A ledger and the trips that count, as the service keeps them: it looks at the days that a change touches only."""

    rules: Rules
    trips: dict[UUID, RewardTrip] = field(default_factory=dict)
    entries: list[tuple[Award, bool]] = field(default_factory=list)

    def change(self, trip_id: UUID, now: RewardTrip | None) -> None:
        before = self.trips.pop(trip_id, None)
        if now is not None:
            self.trips[trip_id] = now
        days = {one.local_date for one in (before, now) if one is not None}
        seasons = {engine.season_of(day) for day in days}
        due: list[Award] = engine.goal_awards(self.rules, engine.totals_of(self.trips.values()))
        for day in days:
            due += engine.day_awards(self.rules, [one for one in self.trips.values() if one.local_date == day])
        for season in seasons:
            driven: dict[date, int] = {}
            for one in self.trips.values():
                if one.season == season:
                    driven[one.local_date] = driven.get(one.local_date, 0) + one.harsh_events
            due += engine.streak_awards(self.rules, season, [Day(*item) for item in driven.items()])
        booked = {
            key: award
            for key, award in self.sums().items()
            if award.season is None or (award.kind == "trip" and award.local_date in days)
            or (award.kind == "streak" and award.season in seasons)
        }  # fmt: skip
        self.entries += engine.corrections(due, booked)

    def sums(self) -> dict[str, Award]:
        found: dict[str, Award] = {}
        for award, _ in self.entries:
            points = award.points + (found[award.key].points if award.key in found else 0)
            found[award.key] = msgspec.structs.replace(award, points=points)
        return found

    def points(self) -> dict[str, int]:
        return {key: award.points for key, award in self.sums().items() if award.points}


FORMS = st.tuples(
    st.integers(-12, 16), st.sampled_from([40.0, 60.0, 90.0, 99.0]), st.integers(1000, 6000), st.booleans()
)
CHANGES = st.lists(st.tuples(st.integers(1, 6), st.none() | FORMS), max_size=14)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CHANGES, st.integers(0, 1000))
def test_any_way_to_the_same_trips_gives_the_same_points(
    changes: Sequence[tuple[int, tuple[int, float, int, bool] | None]], seed: int
) -> None:
    """Completed, amended (to other days, too), withdrawn, repeated: the ledger ends at what the last forms earn."""
    book = Book(SMALL)
    for number, form in changes:
        now = None
        if form is not None:
            day, score, miles, harsh = form
            now = trip(number, day, score=score, milli_miles=miles, harsh_events=int(harsh))
        book.change(UUID(int=number), now)
        due = engine.evaluate(SMALL, list(book.trips.values()))
        assert book.points() == {key: award.points for key, award in due.items()}
    count = len(book.entries)
    shuffled = list(book.trips.values())
    Random(seed).shuffle(shuffled)
    for one in shuffled:
        book.change(one.trip_id, one)
    assert len(book.entries) == count, "what is known already is nothing new"
    other = Book(SMALL)
    for one in shuffled:
        other.change(one.trip_id, one)
    assert other.points() == book.points()


def test_a_withdrawn_trip_is_corrected_not_erased() -> None:
    book = Book(SMALL)
    book.change(UUID(int=1), trip(1))
    book.change(UUID(int=1), None)
    assert [(award.key[:5], award.points, corrects) for award, corrects in book.entries] == [
        ("trip:", 10, False), ("trip:", -10, True),
    ]  # fmt: skip
    book.change(UUID(int=1), trip(1, score=60.0))
    assert book.entries[-1][0].points == 2


def test_only_the_safest_trips_of_a_day_earn() -> None:
    found = engine.day_awards(SMALL, [trip(1, score=60.0), trip(2), trip(3), trip(4, score=20.0)])
    assert [(award.trip_id, award.points) for award in found] == [(UUID(int=2), 10), (UUID(int=3), 10)]


@pytest.mark.parametrize(
    ("harsh", "ends", "runs"),
    [
        ([0, 0, 0, 0], [1, 3], 4),
        ([0, 1, 0, 0], [3], 2),
        ([0, 0, 1, 0], [1], 1),
        ([1, 1], [], 0),
        ([], [], 0),
    ],
)
def test_streaks_of_days(harsh: list[int], ends: list[int], runs: int) -> None:
    days = [Day(MONDAY + timedelta(days=3 * number), count) for number, count in enumerate(harsh)]
    found = [award for award in engine.streak_awards(SMALL, 2026, days) if ":d2:" in award.key]
    assert [award.local_date for award in found] == [days[number].date for number in ends]
    assert engine.running(SMALL.streaks[0], days) == runs


def test_weeks_without_driving_do_not_end_a_run_of_weeks() -> None:
    days = [Day(MONDAY, 0), Day(MONDAY + timedelta(days=2), 0), Day(MONDAY + timedelta(weeks=2), 0)]
    [week] = [award for award in engine.streak_awards(SMALL, 2026, days) if ":w2:" in award.key]
    assert (week.points, week.local_date) == (30, MONDAY + timedelta(weeks=3, days=-1))


def test_seasons_are_whole_weeks() -> None:
    assert engine.season_of(date(2025, 12, 29)) == engine.season_of(date(2026, 1, 4)) == 2026
    assert engine.season_of(date(2025, 12, 28)) == 2025
    across = engine.evaluate(SMALL, [trip(1, local_date=date(2025, 12, 28)), trip(2, local_date=date(2025, 12, 29))])
    assert not [key for key in across if key.startswith("streak")], "a run ends with its season"


def test_goals_are_reached_once() -> None:
    found = engine.goal_awards(SMALL, engine.totals_of([trip(number) for number in range(1, 6)]))
    assert {award.key: award.points for award in found} == {
        "milestone:t3": 5, "milestone:m10": 11, "achievement:s2": 13, "achievement:p5": 17,
    }  # fmt: skip
    assert Totals(limit_milli=1500).measure("limit_miles") == 1500


def test_nobody_is_paid_to_drive_further() -> None:
    one, far = trip(1, milli_miles=1000), trip(1, milli_miles=500_000)
    assert engine.day_awards(SHIPPED, [one])[0].points == engine.day_awards(SHIPPED, [far])[0].points == 10


def test_points_are_worth_whole_units() -> None:
    assert SHIPPED.redemption.worth(1299) == Decimal("12.00")
