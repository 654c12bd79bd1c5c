"""A small world for tests of risk and pricing: drivers and trips as rows, the services over them, a client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import httpx
from fastapi import APIRouter, FastAPI
from sqlalchemy import insert, select, update

from auto_insurance.contracts.trips import TripChanged
from auto_insurance.drivers.models import drivers, vehicles
from auto_insurance.drivers.service import DriverService
from auto_insurance.identity.deps import current_user, optional_user
from auto_insurance.identity.schemas import Principal, Role
from auto_insurance.infra.bus.events import EventHandler, Subscription
from auto_insurance.infra.bus.handler import Batch
from auto_insurance.infra.bus.protocol import Record
from auto_insurance.infra.db.outbox import outbox
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.infra.http.app import AppOptions, AppState, attach_state, create_app
from auto_insurance.infra.http.ratelimit import RateLimiter
from auto_insurance.kernel import clock, events, ids
from auto_insurance.kernel.events import Envelope, new_event
from auto_insurance.kernel.outcome import Outcome
from auto_insurance.pricing.service import PricingService, QuoteDoor
from auto_insurance.risk.drift import DriftWatch
from auto_insurance.risk.registry import ModelRegistry
from auto_insurance.risk.reporting import RiskReports
from auto_insurance.risk.service import RiskService
from auto_insurance.trips.models import trips
from auto_insurance.trips.schemas import TripSums
from auto_insurance.trips.service import TripService

TODAY = datetime(2026, 6, 15, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class World:
    """Services over the real tables."""

    db: Database
    drivers: DriverService
    risk: RiskService
    pricing: PricingService
    quotes_per_minute: int = 1000

    def client(self, router: APIRouter, *, driver_id: str | None = None, admin: bool = False) -> httpx.AsyncClient:
        """Return a client of one domain's routes, signed in as a driver or as an admin."""
        role = Role.ADMIN if admin else Role.DRIVER
        person = Principal(user_id=ids.new_uuid(), username="somebody", roles=frozenset({role}), driver_id=driver_id)
        app: FastAPI = create_app(AppOptions(), [router])
        services: dict[type, object] = {
            RiskService: self.risk,
            ModelRegistry: self.risk.models,
            RiskReports: RiskReports(self.risk, self.drivers),
            DriftWatch: DriftWatch(self.db, self.drivers, self.risk),
            PricingService: self.pricing,
            QuoteDoor: QuoteDoor(RateLimiter(), self.quotes_per_minute),
        }
        attach_state(app, AppState(database=self.db, services=services))
        app.dependency_overrides[current_user] = lambda: person
        app.dependency_overrides[optional_user] = lambda: person if admin or driver_id else None
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test/api/v1")


def make_world(db: Database) -> World:
    """Compose the services as the application does; only the parts of drivers that issue keys are left out."""
    people = DriverService(cast("Any", None), cast("Any", None))
    risk = RiskService(TripService(), people)
    return World(db, people, risk, PricingService(people, risk))


async def add_driver(uow: UnitOfWork, driver_id: str, **facts: Any) -> None:
    """Insert a driver of 40 in California with a car of 4 years; ``facts`` replace columns of drivers."""
    row = {
        "driver_id": driver_id,
        "date_of_birth": date(1986, 1, 1),
        "licence_date": date(2006, 1, 1),
        "state": "CA",
        "time_zone": "America/Los_Angeles",
        "declared_annual_mileage": 10_000,
        "prior_claims": 0,
        "coverage": "standard",
        "enrolled_at": TODAY,
        "updated_at": TODAY,
    }
    await uow.conn.execute(insert(drivers).values({**row, **facts}))
    vehicle = {"vehicle_id": f"VEH-{driver_id}", "driver_id": driver_id, "make": "Make", "model": "Model"}
    await uow.conn.execute(insert(vehicles).values(**vehicle, year=2022, use="private", created_at=TODAY))


async def add_trip(uow: UnitOfWork, driver_id: str, start: datetime, **sums: Any) -> UUID:
    """Insert a completed trip of half an hour; ``sums`` are columns of the trip's sums."""
    trip_id = ids.new_uuid()
    zero = {name: getattr(TripSums(), name) for name in TripSums.__struct_fields__}
    row = {
        "trip_id": trip_id,
        "driver_id": driver_id,
        "device_id": f"DEV-{driver_id}",
        "status": "completed",
        "revision": 1,
        "start_time": start,
        "end_time": start + timedelta(minutes=30),
        "time_zone": "UTC",
        "start_latitude": 0.0,
        "start_longitude": 0.0,
        "avg_speed_mph": 30.0,
        "max_speed_mph": 60.0,
        "crash_reported": False,
    }
    await uow.conn.execute(insert(trips).values({**zero, **row, **sums}))
    return trip_id


async def change_trip(uow: UnitOfWork, trip_id: UUID, **columns: Any) -> None:
    """Change a trip's row, as late events do."""
    await uow.conn.execute(update(trips).where(trips.c.trip_id == trip_id).values(**columns))


def trip_event(type: str, trip_id: UUID, driver_id: str) -> Envelope:
    """Return the announcement of a trip's change."""
    payload = TripChanged(
        trip_id=trip_id,
        driver_id=driver_id,
        device_id=f"DEV-{driver_id}",
        revision=1,
        start_time=TODAY,
        end_time=TODAY,
        distance_miles=1.0,
        reason="completed",
    )
    return new_event(payload, type=type, version=1, key=driver_id)


async def deliver(db: Database, subscription: Subscription, batch: Sequence[Envelope]) -> Sequence[Outcome[None]]:
    """Hand events to a subscription in one transaction, as the runner does."""
    records = [
        Record(
            topic=subscription.topic,
            partition=0,
            offset=number,
            key=event.key,
            value=events.encode(event),
            headers={},
            appended_at=clock.now(),
        )
        for number, event in enumerate(batch)
    ]
    async with db.begin() as uow:
        return await EventHandler(subscription).handle(uow, Batch(records))


async def published(db: Database, topic: str) -> list[Envelope]:
    """Return what waits in the outbox for a topic, in order."""
    async with db.read() as uow:
        query = select(outbox.c.value).where(outbox.c.topic == topic).order_by(outbox.c.id)
        return [events.decode(value) for value in (await uow.conn.execute(query)).scalars()]
