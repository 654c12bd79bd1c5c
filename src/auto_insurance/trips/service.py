"""What other domains may ask about trips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.trips import reads, repository_book, repository_places
from auto_insurance.trips.refold import Refolder, totals_of
from auto_insurance.trips.schemas import BookTotals, TripEvent, TripFacts, TripFilter, TripsSeen, TripTotals

__all__ = ["Refolder", "TripService", "totals_of"]


class TripService:
    """Reads of trips, and what becomes of old ones. New trips are written by the pipeline alone."""

    async def totals(
        self, uow: UnitOfWork, driver_ids: Sequence[str], since: datetime, until: datetime
    ) -> dict[str, TripTotals]:
        """Return the sums over completed trips that started in [since, until), for every driver asked for."""
        found = await reads.totals(uow, driver_ids, since, until)
        return {driver_id: found.get(driver_id) or TripTotals(driver_id=driver_id) for driver_id in driver_ids}

    async def totals_within(self, uow: UnitOfWork, spans: reads.Spans) -> dict[str, TripTotals]:
        """Return the same sums with a span of its own for each driver; one statement."""
        found = await reads.totals_within(uow, spans) if spans else {}
        return {driver_id: found.get(driver_id) or TripTotals(driver_id=driver_id) for driver_id in spans}

    async def seen(self, uow: UnitOfWork, spans: reads.Spans) -> dict[str, TripsSeen]:
        """Return what each driver's trips that started in a span are told apart by; one statement, no sums."""
        found = await reads.seen(uow, spans) if spans else {}
        return {driver_id: found.get(driver_id) or TripsSeen() for driver_id in spans}

    async def totals_ended_by(
        self, uow: UnitOfWork, driver_id: str, since: datetime, until: datetime, ended_by: datetime
    ) -> TripTotals:
        """Return the sums over a driver's completed trips, as known now, that started in [since, until) and were over
        by ``ended_by``: what a score of before would rest on today.
        """
        found = await reads.totals(uow, [driver_id], since, until, ended_by)
        return found.get(driver_id) or TripTotals(driver_id=driver_id)

    def refolder(self, zones: Mapping[str, str]) -> Refolder:
        """Return what cuts stored events into trips again, apart from the stored trips."""
        return Refolder(zones)

    async def totals_of_book(
        self, uow: UnitOfWork, driver_ids: Sequence[str], since: datetime, until: datetime
    ) -> BookTotals:
        """Return the same sums as columns, for those drivers that have trips: for whole books."""
        return await repository_book.totals_of_book(uow, driver_ids, since, until)

    async def get(self, uow: UnitOfWork, trip_id: UUID) -> TripFacts | None:
        """Return one trip, whatever its status; None if there is none."""
        return await reads.get(uow, trip_id)

    async def events_of(self, uow: UnitOfWork, trip_id: UUID) -> list[TripEvent]:
        """Return what happened on a completed trip, in order of time."""
        return await reads.events_of(uow, trip_id)

    async def list_trips(
        self, uow: UnitOfWork, driver_ids: Sequence[str] | None, filters: TripFilter, page: int, page_size: int
    ) -> tuple[list[TripFacts], int]:
        """Return a page of trips, latest start first, and how many there are. ``driver_ids`` None means all drivers."""
        return await reads.list_trips(uow, driver_ids, filters, page, page_size)

    async def coarsen(self, uow: UnitOfWork, driver_ids: Sequence[str], before: datetime, limit: int) -> int:
        """Round the places of these drivers' trips that began before an instant to a raster of about a kilometre.

        At most ``limit`` trips and as many events on trips; returns how many it were, 0 when nothing is left.
        """
        changed = await repository_places.coarsen_trips(uow, driver_ids, before, limit)
        return changed + await repository_places.coarsen_events(uow, driver_ids, before, limit)
