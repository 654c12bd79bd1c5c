"""All SQL that writes trips, and reads them for that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import RowMapping, and_, delete, func, insert, or_, select, text, update
from sqlalchemy.dialects import postgresql

from auto_insurance.infra.db.touched import Aspect
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.clock import from_us, to_us
from auto_insurance.trips.contents import TripContent
from auto_insurance.trips.models import trip_events, trips
from auto_insurance.trips.schemas import TripSums

MAX_TRIPS_OF_SESSION = 1_000
_SUMS = TripSums.__struct_fields__
_PLAIN = (
    "driver_id", "device_id", "time_zone", "start_latitude", "start_longitude", "avg_speed_mph", "max_speed_mph",
    "crash_reported",
)  # fmt: skip


class TripRow(msgspec.Struct, frozen=True, kw_only=True):
    """A trip to write. ``content_hash`` is that of the last completed form, None if it never was complete."""

    trip_id: UUID
    vehicle_id: str | None
    status: str
    revision: int
    content_hash: bytes | None
    content: TripContent


class StoredTrip(msgspec.Struct, frozen=True, kw_only=True):
    """What re-segmentation needs of a stored trip. ``end_us`` is None while it is open."""

    trip_id: UUID
    driver_id: str
    device_id: str
    vehicle_id: str | None
    status: str
    revision: int
    start_us: int
    end_us: int | None
    distance_miles: float
    content_hash: bytes | None


async def trips_within(uow: UnitOfWork, device_id: str, start_us: int, end_us: int) -> list[StoredTrip]:
    """Return a device's trips that touch [start, end] and are not withdrawn, in order of their start."""
    query = (
        select(*(trips.c[name] for name in _STORED))
        .where(
            trips.c.device_id == device_id,
            trips.c.status != "withdrawn",
            trips.c.start_time <= from_us(end_us),
            or_(
                trips.c.end_time >= from_us(start_us),
                and_(trips.c.end_time.is_(None), trips.c.start_time >= from_us(start_us)),
            ),
        )
        .order_by(trips.c.start_time, trips.c.trip_id)
        .limit(MAX_TRIPS_OF_SESSION)
        .with_for_update()
    )
    return [_stored(row) for row in (await uow.conn.execute(query)).mappings()]


class Since(msgspec.Struct, frozen=True):
    """Which trips of a device may still change: those that started from ``from_us`` on and end after ``closed_us``."""

    device_id: str
    from_us: int
    closed_us: int


async def trips_since(uow: UnitOfWork, wanted: Sequence[Since]) -> dict[str, list[StoredTrip]]:
    """Return, by device, the trips that may still change and are not withdrawn, in order of their start."""
    names = ", ".join(f"t.{name}" for name in _STORED)
    query = text(
        f"SELECT {names} FROM unnest(CAST(:devices AS text[]), CAST(:starts AS timestamptz[]),"  # noqa: S608 - constants
        " CAST(:ends AS timestamptz[])) AS k (device, start, closed) JOIN trips AS t ON t.device_id = k.device"
        " AND t.start_time >= k.start AND t.status <> 'withdrawn' AND (t.end_time IS NULL OR t.end_time > k.closed)"
        " ORDER BY t.device_id, t.start_time, t.trip_id FOR UPDATE OF t"
    )
    found: dict[str, list[StoredTrip]] = {}
    parameters = {
        "devices": [item.device_id for item in wanted],
        "starts": [from_us(item.from_us) for item in wanted],
        "ends": [from_us(item.closed_us) for item in wanted],
    }
    for row in (await uow.conn.execute(query, parameters)).mappings():
        found.setdefault(row["device_id"], []).append(_stored(row))
    return found


_STORED = (
    "trip_id", "driver_id", "device_id", "vehicle_id", "status", "revision", "start_time", "end_time",
    "distance_miles", "content_hash",
)  # fmt: skip


def _stored(row: RowMapping) -> StoredTrip:
    return StoredTrip(
        trip_id=row["trip_id"],
        driver_id=row["driver_id"],
        device_id=row["device_id"],
        vehicle_id=row["vehicle_id"],
        status=row["status"],
        revision=row["revision"],
        start_us=to_us(row["start_time"]),
        end_us=None if row["end_time"] is None else to_us(row["end_time"]),
        distance_miles=row["distance_miles"],
        content_hash=None if row["content_hash"] is None else bytes(row["content_hash"]),
    )


async def upsert_trips(uow: UnitOfWork, rows: Sequence[TripRow]) -> None:
    """Write trips with their events, new or known ones."""
    if not rows:
        return
    uow.touched(Aspect.TRIPS, (row.content.driver_id for row in rows))
    statement = postgresql.insert(trips)
    changed = {
        column.name: statement.excluded[column.name]
        for column in trips.columns
        if column.name not in {"trip_id", "created_at", "updated_at"}
    }
    statement = statement.on_conflict_do_update(index_elements=["trip_id"], set_={**changed, "updated_at": func.now()})
    await uow.conn.execute(statement, [_trip_values(row) for row in rows])
    await _delete_events(uow, [row.trip_id for row in rows])
    events = [values for row in rows if row.status == "completed" for values in _event_values(row)]
    if events:
        await uow.conn.execute(insert(trip_events), events)


async def withdraw_trips(uow: UnitOfWork, trip_ids: Sequence[UUID]) -> None:
    """Mark trips as no longer existing; their rows stay for those who know the ids."""
    if trip_ids:
        query = (
            update(trips)
            .where(trips.c.trip_id.in_(trip_ids))
            .values(status="withdrawn", revision=trips.c.revision + 1, updated_at=func.now())
            .returning(trips.c.driver_id)
        )
        uow.touched(Aspect.TRIPS, (await uow.conn.execute(query)).scalars())


async def delete_unpublished(uow: UnitOfWork, trip_ids: Sequence[UUID]) -> None:
    """Remove trips that were open and never completed: nobody was told of them."""
    if trip_ids:
        query = delete(trips).where(trips.c.trip_id.in_(trip_ids), trips.c.revision == 0).returning(trips.c.driver_id)
        uow.touched(Aspect.TRIPS, (await uow.conn.execute(query)).scalars())


async def _delete_events(uow: UnitOfWork, trip_ids: Sequence[UUID]) -> None:
    await uow.conn.execute(delete(trip_events).where(trip_events.c.trip_id.in_(trip_ids)))


def _trip_values(row: TripRow) -> dict[str, Any]:
    content, is_open = row.content, row.status == "in_progress"
    values: dict[str, Any] = {name: getattr(content, name) for name in (*_SUMS, *_PLAIN)}
    return values | {
        "trip_id": row.trip_id,
        "vehicle_id": row.vehicle_id,
        "status": row.status,
        "revision": row.revision,
        "content_hash": row.content_hash,
        "start_time": from_us(content.start_us),
        "end_time": None if is_open else from_us(content.end_us),
        "end_latitude": None if is_open else content.end_latitude,
        "end_longitude": None if is_open else content.end_longitude,
        "end_reason": content.end_reason,
    }


def _event_values(row: TripRow) -> list[dict[str, Any]]:
    return [
        {
            "trip_id": row.trip_id,
            "seq": seq,
            "kind": event.kind,
            "severity": event.severity,
            "started_at": from_us(event.start_us),
            "duration_s": event.duration_us / 1e6,
            "peak": event.peak,
            "speed_mph": event.speed_mph,
            "latitude": event.latitude,
            "longitude": event.longitude,
            "asserted": event.asserted,
        }
        for seq, event in enumerate(row.content.events)
    ]
