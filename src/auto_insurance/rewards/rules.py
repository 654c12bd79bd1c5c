"""Rules of rewards and what they make of trips. Pure: the same trips give the same points, in whatever order they came.

Points are whole numbers and distances whole thousandths of a mile, so that sums are exact.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

import msgspec

SMOOTH_FROM = 90.0
"""Score from which a trip counts as smooth, of 100."""
MILLI = 1000


class Kind(StrEnum):
    """What points are for."""

    TRIP = "trip"
    STREAK = "streak"
    MILESTONE = "milestone"
    ACHIEVEMENT = "achievement"
    REDEMPTION = "redemption"


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Points of a trip from a score on (100 is safest)."""

    from_score: float
    points: int


class TripRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a trip earns. At most ``counted_per_day`` trips of a local day do, the safest ones."""

    minimum_miles: float
    counted_per_day: int
    bands: tuple[Band, ...]

    def points(self, score: float) -> int:
        """Return what a score earns: the band with the highest score that it reaches."""
        return next((band.points for band in self.bands if score >= band.from_score), 0)


class StreakRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run of ``length`` driving days, or weeks with driving, without a harsh event."""

    code: str
    title: str
    unit: str
    """``days`` or ``weeks``."""
    length: int
    points: int


class GoalRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something reached once: a milestone or an achievement."""

    code: str
    title: str
    measure: str
    threshold: int
    points: int
    text: str = ""


class Redemption(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What points are worth."""

    points_per_unit: int
    unit: Decimal
    currency: str
    minimum_points: int
    maximum_points: int

    def worth(self, points: int) -> Decimal:
        """Return the credit for points: of whole units only, so that cents are exact."""
        return points // self.points_per_unit * self.unit


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A set of rules; holds from a season on."""

    version: str
    from_season: int
    redemption: Redemption
    trips: TripRules
    streaks: tuple[StreakRule, ...]
    milestones: tuple[GoalRule, ...]
    achievements: tuple[GoalRule, ...]


class RewardTrip(msgspec.Struct, frozen=True, kw_only=True):
    """What rewards keep of a trip that counts."""

    trip_id: UUID
    local_date: date
    score: float
    milli_miles: int
    harsh_events: int
    phone_free_milli: int
    limit_milli: int

    @property
    def season(self) -> int:
        """The ISO year of the trip's local day."""
        return season_of(self.local_date)


class Day(NamedTuple):
    """A local day with driving that counts."""

    date: date
    harsh_events: int


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over all trips of a driver."""

    trips: int = 0
    milli_miles: int = 0
    smooth_trips: int = 0
    phone_free_milli: int = 0
    limit_milli: int = 0

    def measure(self, name: str) -> int:
        """Return a measure in thousandths of its unit."""
        return {
            "trips": self.trips * MILLI,
            "miles": self.milli_miles,
            "smooth_trips": self.smooth_trips * MILLI,
            "phone_free_miles": self.phone_free_milli,
            "limit_miles": self.limit_milli,
        }[name]


MEASURES = frozenset({"trips", "miles", "smooth_trips", "phone_free_miles", "limit_miles"})


class Award(msgspec.Struct, frozen=True, kw_only=True):
    """Points that are due, under a key that nothing else has. ``season`` None: of a lifetime."""

    key: str
    kind: Kind
    points: int
    season: int | None
    local_date: date | None = None
    trip_id: UUID | None = None


def season_of(day: date) -> int:
    """Return the season of a local day: its ISO year, which is made of whole weeks."""
    return day.isocalendar().year


def day_awards(rules: Rules, trips: Iterable[RewardTrip]) -> list[Award]:
    """Return what the trips of one local day earn."""
    ranked = sorted(trips, key=lambda trip: (-trip.score, trip.trip_id))
    found = []
    for trip in ranked[: rules.trips.counted_per_day]:
        points = rules.trips.points(trip.score)
        if points:
            day = trip.local_date
            # With the day: late events may move a trip to another one, and each day is looked at by itself.
            key = f"trip:{trip.trip_id}:{day.isoformat()}"
            award = Award(
                key=key, kind=Kind.TRIP, points=points, season=trip.season, local_date=day, trip_id=trip.trip_id
            )
            found.append(award)
    return found


def streak_awards(rules: Rules, season: int, days: Collection[Day]) -> list[Award]:
    """Return what the streaks of a season earn; ``days`` are its days with driving. A streak ends with its season."""
    found = []
    for rule in rules.streaks:
        for ended in _full_lengths(_units(rule.unit, days), rule.length):
            key = f"streak:{rule.code}:{ended.isoformat()}"
            found.append(Award(key=key, kind=Kind.STREAK, points=rule.points, season=season, local_date=ended))
    return found


def running(rule: StreakRule, days: Collection[Day]) -> int:
    """Return how many days or weeks the streak counts that still runs."""
    count = 0
    for unit in _units(rule.unit, days):
        count = 0 if unit.harsh_events else count + 1
    return count


def goal_awards(rules: Rules, totals: Totals) -> list[Award]:
    """Return the milestones and achievements that are reached."""
    named = ((Kind.MILESTONE, rules.milestones), (Kind.ACHIEVEMENT, rules.achievements))
    return [
        Award(key=f"{kind.value}:{goal.code}", kind=kind, points=goal.points, season=None)
        for kind, goals in named
        for goal in goals
        if totals.measure(goal.measure) >= goal.threshold * MILLI
    ]


def evaluate(rules: Rules, trips: Collection[RewardTrip]) -> dict[str, Award]:
    """Return all that a driver's trips earn, by key: what the ledger must add up to."""
    by_date = sorted(trips, key=lambda trip: trip.local_date)
    found: list[Award] = goal_awards(rules, totals_of(trips))
    days: list[Day] = []
    for day, group in groupby(by_date, key=lambda trip: trip.local_date):
        of_day = list(group)
        found += day_awards(rules, of_day)
        days.append(Day(day, sum(trip.harsh_events for trip in of_day)))
    for season, of_season in groupby(days, key=lambda day: season_of(day.date)):
        found += streak_awards(rules, season, list(of_season))
    return {award.key: award for award in found}


def totals_of(trips: Iterable[RewardTrip]) -> Totals:
    """Add up trips."""
    rows = list(trips)
    return Totals(
        trips=len(rows),
        milli_miles=sum(trip.milli_miles for trip in rows),
        smooth_trips=sum(trip.score >= SMOOTH_FROM for trip in rows),
        phone_free_milli=sum(trip.phone_free_milli for trip in rows),
        limit_milli=sum(trip.limit_milli for trip in rows),
    )


def corrections(due: Iterable[Award], booked: Mapping[str, Award]) -> list[tuple[Award, bool]]:
    """Return the entries that bring what is booked to what is due, and of each whether it corrects an earlier one.

    ``booked`` holds, by key, an award with the sum of the points booked for it.
    """
    wanted = {award.key: award for award in due}
    found: list[tuple[Award, bool]] = []
    for key in sorted(wanted.keys() | booked.keys()):
        before = booked.get(key)
        award = wanted.get(key) or before
        assert award is not None  # noqa: S101 - the key comes from one of the two
        target = wanted[key].points if key in wanted else 0
        change = target - (0 if before is None else before.points)
        if change:
            found.append((msgspec.structs.replace(award, points=change), before is not None))
    return found


def _units(unit: str, days: Collection[Day]) -> list[Day]:
    """Return driving days in order, or weeks with driving under the date of their last driving day."""
    ordered = sorted(days)
    if unit == "days":
        return ordered
    weeks: list[Day] = []
    for _, group in groupby(ordered, key=lambda day: day.date - timedelta(days=day.date.weekday())):
        week = list(group)
        weeks.append(Day(_sunday(week[0].date), sum(day.harsh_events for day in week)))
    return weeks


def _sunday(day: date) -> date:
    return day + timedelta(days=6 - day.weekday())


def _full_lengths(units: Sequence[Day], length: int) -> list[date]:
    """Return where each full length of a run without harsh events ends."""
    ends, count = [], 0
    for unit in units:
        count = 0 if unit.harsh_events else count + 1
        if count and count % length == 0:
            ends.append(unit.date)
    return ends
