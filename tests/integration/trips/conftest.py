"""A worker's hand: feeds records to the telemetry handler, a transaction per batch, as the runner does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import msgspec
import pytest
from sqlalchemy import select, text

from auto_insurance.contracts import topics
from auto_insurance.drivers.service import DriverService
from auto_insurance.infra.bus.handler import Batch
from auto_insurance.infra.bus.protocol import Record, TopicPartition
from auto_insurance.infra.db.outbox import outbox
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import events
from auto_insurance.kernel.clock import from_us
from auto_insurance.kernel.events import Envelope
from auto_insurance.kernel.outcome import Outcome
from auto_insurance.telematics.schemas import Sample
from auto_insurance.telematics.service import TelematicsService
from auto_insurance.trips.models import trip_events, trips
from auto_insurance.trips.pipeline import TelemetryHandler
from auto_insurance.trips.trace import TraceOptions

TP = TopicPartition(topics.TELEMATICS_EVENTS, 3)


def event_of(sample: Sample) -> dict[str, Any]:
    """Return a sample as a device would send it."""
    event = {
        "device_id": sample.device_id,
        "timestamp": from_us(sample.t_us).isoformat(),
        "event_id": sample.event_id,
        "latitude": sample.latitude,
        "longitude": sample.longitude,
        "speed": sample.speed_mph,
        "acceleration": sample.accel_g,
        "lateral_acceleration": sample.lateral_g,
        "heading": sample.heading_deg,
        "gps_accuracy": sample.gps_accuracy_m,
        "event_type": sample.event_type,
        "speed_limit": sample.speed_limit_mph,
        "phone_in_use": sample.phone_in_use,
    }
    return {key: value for key, value in event.items() if value is not None}


def new_handler(**options: Any) -> TelemetryHandler:
    """Return a handler with empty memory, as a worker has after a restart."""
    drivers = DriverService(cast("Any", None), cast("Any", None))
    return TelemetryHandler(TelematicsService(), drivers, group="test", options=TraceOptions(**options))


@dataclass
class Worker:
    """Feeds records; ``handler`` can be replaced to play a restart."""

    db: Database
    handler: TelemetryHandler = field(default_factory=new_handler)
    offset: int = 0

    def record(self, value: bytes, arrival_us: int, headers: Mapping[str, str] | None = None) -> Record:
        self.offset += 1
        head = {"scope": "import"} if headers is None else headers
        return Record(TP.topic, TP.partition, self.offset, "key", value, head, from_us(arrival_us))

    def record_of(self, samples: Sequence[Sample]) -> Record:
        arrival = max((s.received_us for s in samples), default=0)
        return self.record(msgspec.json.encode([event_of(s) for s in samples]), arrival)

    async def handle(self, records: Sequence[Record], *, crash: bool = False) -> Sequence[Outcome[None]]:
        """Handle one batch; with ``crash`` the transaction is lost at its end."""
        outcomes: Sequence[Outcome[None]] = ()
        try:
            async with self.db.begin() as uow:
                outcomes = await self.handler.handle(uow, Batch(records))
                if crash:
                    raise ConnectionError("lost")
        except ConnectionError:
            self.handler.rolled_back()
        else:
            self.handler.committed()
        return outcomes

    async def send(self, samples: Sequence[Sample], *, size: int = 500, crash: bool = False) -> None:
        """Send samples in their order, as records of up to ``size`` events in one batch."""
        records = [self.record_of(samples[i : i + size]) for i in range(0, len(samples), size)]
        await self.handle(records, crash=crash)

    async def tick(self, at: datetime) -> None:
        """Let time pass; the consumer is caught up to ``at``."""
        async with self.db.begin() as uow:
            await self.handler.tick(uow, {TP: at})
        self.handler.committed()

    async def tick_after(self, samples: Iterable[Sample], seconds: float = 700) -> None:
        """Let time pass until some time after the last of these samples."""
        last = max(max(s.t_us, s.received_us) for s in samples)
        await self.tick(from_us(last) + timedelta(seconds=seconds))

    async def trips(self) -> list[dict[str, Any]]:
        """Return the trips that are not withdrawn, in order of device and start."""
        query = select(trips).where(trips.c.status != "withdrawn").order_by(trips.c.device_id, trips.c.start_time)
        async with self.db.read() as uow:
            return [dict(row) for row in (await uow.conn.execute(query)).mappings()]

    async def contents(self) -> list[dict[str, Any]]:
        """Return all of the trips and their events but ids, revisions and times of writing."""
        left_out = {"trip_id", "revision", "created_at", "updated_at"}
        found = []
        for row in await self.trips():
            query = select(trip_events).where(trip_events.c.trip_id == row["trip_id"]).order_by(trip_events.c.seq)
            async with self.db.read() as uow:
                on_it = [dict(event) for event in (await uow.conn.execute(query)).mappings()]
            for event in on_it:
                del event["trip_id"]
            found.append({key: value for key, value in row.items() if key not in left_out} | {"events": on_it})
        return found

    async def told(self, topic: str = topics.TRIPS) -> list[Envelope]:
        """Return the domain events published so far."""
        query = select(outbox.c.value).where(outbox.c.topic == topic).order_by(outbox.c.id)
        async with self.db.read() as uow:
            return [events.decode(bytes(value)) for value in (await uow.conn.execute(query)).scalars()]


@pytest.fixture
async def worker(db: Database) -> Worker:
    """A worker on a database with driver DRV001 (Chicago) and DRV002 (Berlin from 2026-01-05 09:00) on device dev-1."""
    async with db.begin() as uow:
        for driver_id, zone in (("DRV001", "America/Chicago"), ("DRV002", "Europe/Berlin")):
            await uow.conn.execute(
                text(
                    "INSERT INTO drivers (driver_id, state, time_zone, coverage, enrolled_at, updated_at)"
                    " VALUES (:id, 'NE', :zone, 'standard', now(), now())"
                ),
                {"id": driver_id, "zone": zone},
            )
        await uow.conn.execute(
            text(
                "INSERT INTO vehicles (vehicle_id, driver_id, make, model, year, use, created_at)"
                " VALUES ('VEH001', 'DRV001', 'Make', 'Model', 2020, 'private', now())"
            )
        )
    await assign(db, "dev-1", "DRV001", "2015-01-01T00:00:00Z", "2026-01-05T09:00:00Z", "VEH001")
    await assign(db, "dev-1", "DRV002", "2026-01-05T09:00:00Z")
    return Worker(db)


async def assign(
    db: Database, device_id: str, driver_id: str, since: str, until: str | None = None, vehicle_id: str | None = None
) -> None:
    """Give a device to a driver."""
    async with db.begin() as uow:
        await uow.conn.execute(
            text(
                "INSERT INTO devices (device_id, kind, created_at) VALUES (:device, 'obd', now())"
                " ON CONFLICT DO NOTHING"
            ),
            {"device": device_id},
        )
        await uow.conn.execute(
            text(
                "INSERT INTO device_assignments (device_id, driver_id, vehicle_id, valid_from, valid_to)"
                " VALUES (:device, :driver, :vehicle, CAST(CAST(:since AS text) AS timestamptz),"
                " CAST(CAST(:until AS text) AS timestamptz))"
            ),
            {"device": device_id, "driver": driver_id, "vehicle": vehicle_id, "since": since, "until": until},
        )
