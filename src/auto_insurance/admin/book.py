"""Lists and single views of the book, and what staff do to its parts through the domains' services."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from auto_insurance.admin import queries_dashboard, queries_drivers, queries_events, queries_resources, queries_search
from auto_insurance.admin.errors import BadCursor, BadWindow, BookTripNotFound, DriverInsured
from auto_insurance.admin.figures import cursor_of, place_of
from auto_insurance.admin.queries_drivers import CardFilter
from auto_insurance.admin.queries_events import EventFilter
from auto_insurance.admin.queries_resources import BookTripFilter, ThingFilter
from auto_insurance.admin.schemas import (
    BulkItem,
    BulkResult,
    DeviceLine,
    DriverCard,
    DriverDetails,
    DriverRemoval,
    EventFeed,
    EventLine,
    EventStats,
    PolicyLine,
    SearchHit,
    SearchResult,
    TripLine,
)
from auto_insurance.drivers.errors import DeviceNotFound, VehicleInUse
from auto_insurance.drivers.schemas import DriverChange, DriverView, VehicleView
from auto_insurance.drivers.service import DriverDesk, DriverService
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.risk.service import RiskService

T = TypeVar("T")
SHOWN = 10
"""Of each kind with a driver's details."""
BASE = "/api/v1"
URLS: Mapping[str, str] = {
    "driver": f"{BASE}/admin/drivers/{{id}}/details",
    "policy": f"{BASE}/admin/policies/{{id}}",
    "vehicle": f"{BASE}/admin/vehicles/{{id}}",
    "device": f"{BASE}/admin/devices/{{id}}",
    "trip": f"{BASE}/admin/trips/{{id}}",
    "claim": f"{BASE}/claims/{{id}}",
}
DEFAULT_WINDOW = timedelta(days=1)
WIDEST_NARROWED, WIDEST = timedelta(days=31), timedelta(days=7)
"""Longest period of events of one driver or device, and of all."""


class BookDesk:
    """Use cases over the whole book."""

    def __init__(self, drivers: DriverService, desk: DriverDesk, risk: RiskService) -> None:
        self._drivers = drivers
        self._desk = desk
        self._risk = risk

    # --- drivers ---

    async def cards(
        self, uow: UnitOfWork, wanted: CardFilter, *, sort: str, limit: int, offset: int
    ) -> tuple[list[DriverCard], int]:
        """Return a page of driver cards and how many there are; ``sort`` with a minus turns the order round."""
        total = await queries_drivers.count_cards(uow, wanted)
        rows = await queries_drivers.cards(
            uow, wanted, sort=sort.lstrip("-"), descending=sort.startswith("-"), limit=limit, offset=offset
        )
        return [DriverCard.of(row) for row in rows], total

    async def details(self, uow: UnitOfWork, driver_id: str) -> DriverDetails:
        """Return a driver with what belongs to it. Raises ``DriverNotFound``."""
        driver = await self._drivers.get(uow, driver_id)
        [card] = await queries_drivers.cards(
            uow, CardFilter(driver_id=driver_id), sort="driver_id", descending=False, limit=1, offset=0
        )
        vehicles, _ = await self._drivers.vehicles(uow, driver_id, limit=SHOWN)
        devices, _ = await self._drivers.devices(uow, driver_id, limit=SHOWN)
        policies = await queries_resources.policies_of(uow, driver_id, SHOWN)
        trips = await queries_resources.list_book_trips(
            uow, BookTripFilter(driver_id=driver_id), descending=True, limit=SHOWN, offset=0
        )
        return DriverDetails(
            card=DriverCard.of(card),
            driver=driver,
            vehicles=list(vehicles),
            devices=list(devices),
            policies=[PolicyLine.of(row) for row in policies],
            trips=[TripLine.of(row) for row in trips],
            claims_url=f"{BASE}/claims?driver_id={driver_id}",
        )

    async def change(self, uow: UnitOfWork, driver_id: str, change: DriverChange) -> DriverView:
        """Change a driver. Raises ``DriverNotFound``, and ``DriverInsured`` for one that shall go out of service."""
        if change.is_active is False and await queries_resources.with_policies(uow, [driver_id]):
            raise DriverInsured
        return await self._desk.change(uow, driver_id, change)

    async def remove(self, uow: UnitOfWork, driver_id: str, mode: str, by: UUID) -> DriverRemoval:
        """Ask for a driver's erasure or take it out of service. Raises ``DriverNotFound`` and ``DriverInsured``."""
        if mode == "erasure":
            request = await self._drivers.request_erasure(uow, driver_id, by)
            return DriverRemoval(driver_id=driver_id, status="erasure_requested", request_id=request.request_id)
        await self.change(uow, driver_id, DriverChange(is_active=False))
        return DriverRemoval(driver_id=driver_id, status="inactive", request_id=None)

    async def deactivate(self, uow: UnitOfWork, driver_ids: Sequence[str]) -> BulkResult:
        """Take drivers out of service: those with a policy that runs are refused."""
        known = await queries_resources.exist(uow, driver_ids)
        insured = await queries_resources.with_policies(uow, driver_ids)
        wanted = [one for one, status in known.items() if status == "active" and one not in insured]
        done = await self._desk.deactivate(uow, wanted)

        def item(driver_id: str) -> BulkItem:
            if driver_id in done:
                return BulkItem(id=driver_id, result="done")
            if driver_id not in known:
                return BulkItem(id=driver_id, result="not_found")
            if driver_id in insured:
                return BulkItem(id=driver_id, result="refused", detail=DriverInsured().detail)
            return BulkItem(id=driver_id, result="unchanged", detail=known[driver_id])

        return _each(driver_ids, item)

    async def recalculate(self, uow: UnitOfWork, driver_ids: Sequence[str]) -> BulkResult:
        """Score drivers anew from their trips as of now, with one call of the model."""
        known = sorted(await self._drivers.existing(uow, driver_ids))
        scores = await self._risk.score_drivers(uow, known, "recalculated") if known else []
        found = {score.driver_id: score for score in scores}

        def item(driver_id: str) -> BulkItem:
            score = found.get(driver_id)
            if score is None:
                return BulkItem(id=driver_id, result="not_found")
            return BulkItem(id=driver_id, result="done", detail=f"risk score {score.risk_score:.1f}")

        return _each(driver_ids, item)

    # --- vehicles and devices ---

    async def vehicles(
        self, uow: UnitOfWork, wanted: ThingFilter, *, descending: bool, limit: int, offset: int
    ) -> tuple[list[VehicleView], int]:
        """Return a page of vehicles in order of time, and how many there are."""
        total = await queries_resources.count_vehicles(uow, wanted)
        rows = await queries_resources.list_vehicles(uow, wanted, descending=descending, limit=limit, offset=offset)
        return [VehicleView.model_validate(row._asdict()) for row in rows], total

    async def remove_vehicle(self, uow: UnitOfWork, vehicle_id: str) -> VehicleView:
        """Remove a vehicle that is part of nothing. Raises ``VehicleNotFound`` and ``VehicleInUse``."""
        vehicle = await self._desk.vehicle(uow, vehicle_id)
        if await queries_resources.is_insured(uow, vehicle.driver_id, vehicle_id):
            raise VehicleInUse("a policy covers or covered it")
        return await self._desk.remove_vehicle(uow, vehicle_id)

    async def devices(
        self, uow: UnitOfWork, wanted: ThingFilter, *, descending: bool, limit: int, offset: int
    ) -> tuple[list[DeviceLine], int]:
        """Return a page of devices in order of time, and how many there are."""
        total = await queries_resources.count_devices(uow, wanted)
        rows = await queries_resources.list_devices(uow, wanted, descending=descending, limit=limit, offset=offset)
        return [DeviceLine.of(row) for row in rows], total

    async def device(self, uow: UnitOfWork, device_id: str) -> DeviceLine:
        """Return a device. Raises ``DeviceNotFound``."""
        row = await queries_resources.get_device(uow, device_id)
        if row is None:
            raise DeviceNotFound
        return DeviceLine.of(row)

    async def retire(self, uow: UnitOfWork, device_ids: Sequence[str]) -> BulkResult:
        """Take devices out of service."""
        now, before = await self._desk.retire(uow, device_ids)

        def item(device_id: str) -> BulkItem:
            if device_id in now:
                return BulkItem(id=device_id, result="done")
            return BulkItem(id=device_id, result="unchanged" if device_id in before else "not_found")

        return _each(device_ids, item)

    # --- trips and events ---

    async def trips(
        self, uow: UnitOfWork, wanted: BookTripFilter, *, descending: bool, limit: int, offset: int
    ) -> tuple[list[TripLine], int]:
        """Return a page of trips in order of time, and how many there are."""
        total = await queries_resources.count_book_trips(uow, wanted)
        rows = await queries_resources.list_book_trips(uow, wanted, descending=descending, limit=limit, offset=offset)
        return [TripLine.of(row) for row in rows], total

    async def trip(self, uow: UnitOfWork, trip_id: UUID) -> TripLine:
        """Return a trip, whatever its status. Raises ``BookTripNotFound``."""
        row = await queries_resources.get_book_trip(uow, trip_id)
        if row is None:
            raise BookTripNotFound
        return TripLine.of(row)

    async def events(self, uow: UnitOfWork, wanted: EventFilter, *, cursor: str | None, limit: int) -> EventFeed:
        """Return events, the newest first, from past a cursor on. Raises ``BadCursor``."""
        before = None if cursor is None else place_of(cursor)
        if cursor is not None and before is None:
            raise BadCursor
        rows = await queries_events.list_events(uow, wanted, before=before, limit=limit + 1)
        items = [EventLine.of(row) for row in rows[:limit]]
        more = cursor_of((items[-1].timestamp, items[-1].device_id, items[-1].event_id)) if len(rows) > limit else None
        return EventFeed(items=items, since=wanted.since, until=wanted.until, next_cursor=more)

    async def event_stats(self, uow: UnitOfWork, wanted: EventFilter) -> EventStats:
        """Return events of a period in figures."""
        total, drivers, types = await queries_events.event_counts(uow, wanted)
        _, stored = await queries_dashboard.estimates(uow)
        return EventStats(
            since=wanted.since,
            until=wanted.until,
            total_events=total,
            unique_drivers=drivers,
            event_types=types,
            stored_events=stored,
        )

    # --- search ---

    async def search(self, uow: UnitOfWork, q: str, limit: int) -> SearchResult:
        """Return what begins with a text, at most ``limit`` of each kind."""
        rows = await queries_search.search(uow, q, limit)
        hits = [
            SearchHit(
                kind=row.kind,
                id=row.id,
                label=row.label.strip(),
                driver_id=row.driver_id,
                url=URLS[row.kind].format(id=row.id),
            )
            for row in rows
        ]
        return SearchResult(q=q, hits=hits)


def events_of(
    since: datetime | None,
    until: datetime | None,
    *,
    driver_id: str | None = None,
    device_id: str | None = None,
    event_type: str | None = None,
) -> EventFilter:
    """Return a filter with a bounded period: by default the day up to ``until`` or now. Raises ``BadWindow``."""
    end = until or clock.now()
    start = since or end - DEFAULT_WINDOW
    widest = WIDEST if driver_id is None and device_id is None else WIDEST_NARROWED
    if not timedelta(0) < end - start <= widest:
        raise BadWindow(
            f"`to` must be later than `from`, by at most {widest.days} days"
            + ("" if widest is WIDEST_NARROWED else f"; {WIDEST_NARROWED.days} for one driver or device")
        )
    return EventFilter(start, end, driver_id, device_id, event_type)


def _each(ids: Sequence[str], item: Callable[[str], BulkItem]) -> BulkResult:
    """Answer each id once, in the order asked for."""
    return BulkResult.of([item(one) for one in dict.fromkeys(ids)])
