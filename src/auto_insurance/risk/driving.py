"""What a driver is scored by: the sums of a window of trips, and what is known beside; kept until it changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

import msgspec

from auto_insurance.drivers.schemas import DriverFacts
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.risk.features import FeatureValues, driver_features, of_facts
from auto_insurance.risk.schemas import ScoreBasis
from auto_insurance.risk.vectors import Vector, Vectors, Watermark
from auto_insurance.trips.schemas import TripFacts, TripsSeen, TripSums, TripTotals

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
AHEAD = timedelta(minutes=10)
"""A device's clock may run ahead of ours by some minutes, and a trip with it."""
Spans = Mapping[str, tuple[datetime, datetime]]


class TripReader(Protocol):
    """What scoring needs of the trips service."""

    async def totals(
        self, uow: UnitOfWork, driver_ids: Sequence[str], since: datetime, until: datetime
    ) -> dict[str, TripTotals]: ...

    async def totals_within(self, uow: UnitOfWork, spans: Spans) -> dict[str, TripTotals]: ...

    async def seen(self, uow: UnitOfWork, spans: Spans) -> dict[str, TripsSeen]: ...


class FactsReader(Protocol):
    """What is needed of the drivers service."""

    async def facts_many(self, uow: UnitOfWork, driver_ids: Collection[str]) -> dict[str, DriverFacts]: ...


@dataclass(frozen=True, slots=True)
class Driving:
    """A driver's totals, the window that they are of, and whether it is the current one; the features of all that."""

    totals: TripTotals
    window_from: datetime
    window_to: datetime
    basis: ScoreBasis
    known: FeatureValues
    """The features of the driver's facts."""
    features: FeatureValues
    seen: TripsSeen
    """The trips in the window, or all there are where it is not the current one."""

    def without(self, trip: TripFacts) -> Driving:
        """Take a trip out of what adds up; maxima stay, no feature is made of them."""
        rest = {name: getattr(self.totals, name) - getattr(trip, name) for name in TripSums.__struct_fields__}
        rest = {name: max(0, value) for name, value in rest.items()}
        totals = msgspec.structs.replace(self.totals, trip_count=self.totals.trip_count - 1, **rest)
        features = driver_features(totals, self.known)
        return Driving(totals, self.window_from, self.window_to, self.basis, self.known, features, self.seen)


def beside(facts: DriverFacts | None, on: date) -> dict[str, float | None]:
    """Return the features of a driver's facts as of a day."""
    if facts is None:
        return of_facts(None, None, on)
    return of_facts(facts.licence_date, None if facts.vehicle is None else facts.vehicle.year, on)


class DrivingReader:
    """Reads the driving of any number of drivers: kept vectors where they are good, one pass over trips for the rest.

    A kept vector is believed only if the trips are still those that it was made of, which one statement without sums
    tells: so not even a purge that was never sent lets an old one through.
    """

    def __init__(self, trips: TripReader, drivers: FactsReader, window: timedelta, vectors: Vectors | None) -> None:
        self._trips = trips
        self._drivers = drivers
        self._window = window
        self._vectors = vectors

    async def of(self, uow: UnitOfWork, driver_ids: Sequence[str], days: int | None = None) -> list[Driving]:
        """Return each driver's window of ``days``: up to now, or up to the last trip where there is no newer one."""
        until = clock.now()
        window = self._window if days is None else timedelta(days=days)
        if self._vectors is None or window != self._window:
            found = await self._extract(uow, driver_ids, until, window)
        else:
            looked = await self._vectors.look(uow, driver_ids)
            found = await self._good(uow, looked.vectors, until)
            rest = [driver_id for driver_id in driver_ids if driver_id not in found]
            made = await self._extract(uow, rest, until, window) if rest else {}
            await self._vectors.keep(looked, {driver_id: vector_of(one, until) for driver_id, one in made.items()})
            found |= made
        return [found[driver_id] for driver_id in driver_ids]

    async def vectors(self, uow: UnitOfWork, driver_ids: Sequence[str]) -> dict[str, Vector]:
        """Return what may be kept of these drivers, in a number of statements that does not grow with them."""
        until = clock.now()
        made = await self._extract(uow, driver_ids, until, self._window)
        return {driver_id: vector_of(driving, until) for driver_id, driving in made.items()}

    async def _good(self, uow: UnitOfWork, vectors: Mapping[str, Vector], until: datetime) -> dict[str, Driving]:
        """Return the driving of those vectors that are what would be extracted at ``until``."""
        day = until.date()
        same_day = {d: one for d, one in vectors.items() if one.mark.day == day and one.mark.cut_off <= until}
        since = until - self._window
        now = await self._trips.seen(
            uow,
            {
                driver_id: (since if one.basis is ScoreBasis.RECENT else EARLIEST, until + AHEAD)
                for driver_id, one in same_day.items()
            },
        )
        return {
            driver_id: self._driving_of(one, since, until)
            for driver_id, one in same_day.items()
            if one.mark.seen == now[driver_id]
        }

    def _driving_of(self, one: Vector, since: datetime, until: datetime) -> Driving:
        last_end = one.mark.seen.last_end
        if one.basis is ScoreBasis.OLDER and last_end is not None:
            since, until = self._older(last_end, self._window)
        return Driving(one.totals, since, until, one.basis, one.known, one.values, one.mark.seen)

    async def _extract(
        self, uow: UnitOfWork, driver_ids: Sequence[str], until: datetime, window: timedelta
    ) -> dict[str, Driving]:
        since = until - window
        recent = await self._trips.totals(uow, driver_ids, since, until + AHEAD)
        missing = [driver_id for driver_id in driver_ids if recent[driver_id].trip_count == 0]
        ever = await self._trips.seen(uow, dict.fromkeys(missing, (EARLIEST, until + AHEAD)))
        spans = {d: self._older(seen.last_end, window) for d, seen in ever.items() if seen.last_end is not None}
        older = await self._trips.totals_within(uow, spans)
        facts = await self._drivers.facts_many(uow, driver_ids)
        found: dict[str, Driving] = {}
        for driver_id in driver_ids:
            totals, span, basis = recent[driver_id], (since, until), ScoreBasis.RECENT
            if driver_id in older:
                totals, span, basis = older[driver_id], spans[driver_id], ScoreBasis.OLDER
            elif driver_id in ever:
                basis = ScoreBasis.NONE
            known = beside(facts.get(driver_id), span[1].date())
            features = driver_features(totals, known)
            found[driver_id] = Driving(totals, *span, basis, known, features, ever.get(driver_id, totals.seen))
        return found

    @staticmethod
    def _older(last_end: datetime, window: timedelta) -> tuple[datetime, datetime]:
        until = last_end + timedelta(microseconds=1)
        return until - window, until


def vector_of(driving: Driving, cut_off: datetime) -> Vector:
    """Return what is kept of a driver's driving as of an instant."""
    mark = Watermark(cut_off.date(), cut_off, driving.seen)
    return Vector(driving.basis, driving.totals, driving.known, driving.features, mark)
