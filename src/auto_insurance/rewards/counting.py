"""Follows trips: keeps those that count, and books what their change is worth."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock, ids
from auto_insurance.rewards import repository, rules
from auto_insurance.rewards.repository import EntryRow
from auto_insurance.rewards.rulebook import Rulebook
from auto_insurance.rewards.rules import MILLI, Award, RewardTrip
from auto_insurance.risk.schemas import TripScore
from auto_insurance.trips.schemas import TripFacts

log = structlog.get_logger(__name__)


class Trips(Protocol):
    """What is needed of the trips service."""

    async def get(self, uow: UnitOfWork, trip_id: UUID) -> TripFacts | None: ...


class Scores(Protocol):
    """What is needed of the risk service."""

    async def trip_score(self, uow: UnitOfWork, trip_id: UUID) -> TripScore | None: ...

    async def trip_score_now(self, uow: UnitOfWork, trip_id: UUID) -> TripScore | None: ...


class TripCounter:
    """Books points of trips. What it books depends on the trips as they are, not on how their news came."""

    def __init__(self, trips: Trips, scores: Scores, rulebook: Rulebook) -> None:
        self._trips = trips
        self._scores = scores
        self._rulebook = rulebook

    async def trip_changed(self, uow: UnitOfWork, trip_id: UUID, driver_id: str, reason: str) -> int:
        """Count a trip as it is now; return how many entries that made. ``driver_id`` is whose news it is."""
        await repository.lock_driver(uow, driver_id)
        trip = await self._trips.get(uow, trip_id)
        before = await repository.stored_trip(uow, trip_id)
        now = None if trip is None else await self._counted(uow, trip, driver_id)
        if before is not None and before.driver_id != driver_id:
            # Late events gave the trip to somebody else; the other driver's news takes it back there.
            return 0 if now is None else await self._hand_over(uow, before, trip, now, reason)
        if now is None:
            if before is None:
                return 0
            await repository.remove_trip(uow, trip_id)
        else:
            assert trip is not None  # noqa: S101 - counted
            await repository.put_trip(uow, driver_id, now, trip.revision)
        days = {before.local_date} if before is not None else set()
        days |= {now.local_date} if now is not None else set()
        return await self._book(uow, driver_id, days, reason)

    async def _hand_over(
        self,
        uow: UnitOfWork,
        before: repository.StoredTrip,
        trip: TripFacts | None,
        now: RewardTrip,
        reason: str,
    ) -> int:
        assert trip is not None  # noqa: S101 - counted
        await repository.put_trip(uow, trip.driver_id, now, trip.revision)
        await repository.lock_driver(uow, before.driver_id)
        count = await self._book(uow, before.driver_id, {before.local_date}, reason)
        return count + await self._book(uow, trip.driver_id, {now.local_date}, reason)

    async def _counted(self, uow: UnitOfWork, trip: TripFacts, driver_id: str) -> RewardTrip | None:
        """Return what rewards keep of a trip; None for one that does not count."""
        if trip.status != "completed" or trip.driver_id != driver_id:
            return None
        local_date = trip.start_time.astimezone(ZoneInfo(trip.time_zone)).date()
        held = self._rulebook.of_season(rules.season_of(local_date))
        if held is None or trip.distance_miles < held.trips.minimum_miles:
            return None
        score = await self._scores.trip_score(uow, trip.trip_id)
        if score is None or score.revision != trip.revision:
            # Risk scores it at the same news, before or after this: the same trip has the same score. Storing it is
            # left to risk: two groups that write the scores of one batch of trips wait for each other in a circle.
            score = await self._scores.trip_score_now(uow, trip.trip_id)
        return None if score is None else reward_trip(trip, score.trip_score, local_date)

    async def _book(self, uow: UnitOfWork, driver_id: str, days: Collection[date], reason: str) -> int:
        """Bring the ledger to what the trips of these days, their seasons and all trips together earn."""
        seasons = {rules.season_of(day) for day in days}
        due: list[Award] = []
        of_days = await repository.trips_of_days(uow, driver_id, days)
        for day in sorted(days):
            held = self._rulebook.of_season(rules.season_of(day))
            if held is not None:
                due += rules.day_awards(held, [trip for trip in of_days if trip.local_date == day])
        for season in sorted(seasons):
            held = self._rulebook.of_season(season)
            if held is not None:
                first, last = season_bounds(season)
                driven = await repository.days_between(uow, driver_id, first, last)
                due += rules.streak_awards(held, season, driven)
        due += rules.goal_awards(self._rulebook.newest, await repository.totals(uow, driver_id))
        booked = await repository.booked(uow, driver_id, days, seasons)
        return await self._write(uow, driver_id, rules.corrections(due, booked), reason)

    async def _write(self, uow: UnitOfWork, driver_id: str, changes: Iterable[tuple[Award, bool]], reason: str) -> int:
        seq, balance = await repository.last_entry(uow, driver_id)
        now, rows = clock.now(), []
        for award, is_correction in changes:
            seq, balance = seq + 1, balance + award.points
            held = self._rulebook.newest if award.season is None else self._rulebook.of_season(award.season)
            rows.append(
                EntryRow(
                    entry_id=ids.new_uuid(),
                    driver_id=driver_id,
                    seq=seq,
                    kind=award.kind.value,
                    key=award.key,
                    points=award.points,
                    balance=balance,
                    season=award.season,
                    local_date=award.local_date,
                    trip_id=award.trip_id,
                    is_correction=is_correction,
                    reason=reason,
                    rules_version=(held or self._rulebook.newest).version,
                    created_at=now,
                )
            )
        await repository.add_entries(uow, rows)
        return len(rows)


def season_bounds(season: int) -> tuple[date, date]:
    """Return the first and last day of a season: Monday of its first ISO week, Sunday of its last."""
    first, following = date.fromisocalendar(season, 1, 1), date.fromisocalendar(season + 1, 1, 1)
    return first, date.fromordinal(following.toordinal() - 1)


def reward_trip(trip: TripFacts, score: float, local_date: date) -> RewardTrip:
    """Return what rewards keep of a trip.

    Miles free of phone use are those with phone use known, of a trip without any; miles within the limit likewise.
    """
    return RewardTrip(
        trip_id=trip.trip_id,
        local_date=local_date,
        score=score,
        milli_miles=round(trip.distance_miles * MILLI),
        harsh_events=trip.harsh_braking_count + trip.rapid_accel_count + trip.harsh_corner_count,
        phone_free_milli=0 if trip.phone_usage_s > 0 else round(trip.phone_known_miles * MILLI),
        limit_milli=0 if trip.speeding_s > 0 else round(trip.speed_limit_known_miles * MILLI),
    )
