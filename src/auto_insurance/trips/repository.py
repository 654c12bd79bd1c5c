"""All SQL that writes trips and device states, and reads them for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import (
    CursorResult,
    RowMapping,
    Text,
    and_,
    any_,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.clock import from_us, to_us
from auto_insurance.trips.aggregate import TripContent
from auto_insurance.trips.models import device_trip_state, trip_events, trips
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


class StateRow(msgspec.Struct, frozen=True, kw_only=True):
    """A device's state as stored. ``version`` counts its writes: a write on an outdated one fails."""

    device_id: str
    topic: str
    partition: int
    version: int
    state: bytes
    last_event_us: int
    last_arrival: datetime
    silence_deadline: datetime | None
    units_suspect: str | None


async def load_states(uow: UnitOfWork, device_ids: Sequence[str]) -> dict[str, StateRow]:
    """Return the stored states of devices, by device; unknown ones are absent."""
    wanted = literal(list(device_ids), postgresql.ARRAY(Text))
    query = select(device_trip_state).where(device_trip_state.c.device_id == any_(wanted))
    rows = (await uow.conn.execute(query)).mappings()
    return {row["device_id"]: _state_row(row) for row in rows}


_SAVE_STATES = text(
    """
    INSERT INTO device_trip_state AS s (device_id, log_topic, log_partition, version, state, last_event_us,
        last_arrival_at, silence_deadline, units_suspect)
    SELECT * FROM unnest(CAST(:device_ids AS text[]), CAST(:topics AS text[]), CAST(:partitions AS int[]),
        CAST(:versions AS bigint[]), CAST(:states AS bytea[]), CAST(:last_events AS bigint[]),
        CAST(:arrivals AS timestamptz[]), CAST(:deadlines AS timestamptz[]), CAST(:units AS text[]))
    ON CONFLICT (device_id) DO UPDATE SET log_topic = excluded.log_topic, log_partition = excluded.log_partition,
        version = excluded.version, state = excluded.state, last_event_us = excluded.last_event_us,
        last_arrival_at = excluded.last_arrival_at, silence_deadline = excluded.silence_deadline,
        units_suspect = excluded.units_suspect, updated_at = now()
    WHERE s.version = excluded.version - 1
    """
)


async def save_states(uow: UnitOfWork, rows: Sequence[StateRow]) -> int:
    """Write states in one statement; returns how many were written: fewer if somebody else wrote one meanwhile."""
    if not rows:
        return 0
    result = await uow.conn.execute(
        _SAVE_STATES,
        {
            "device_ids": [row.device_id for row in rows],
            "topics": [row.topic for row in rows],
            "partitions": [row.partition for row in rows],
            "versions": [row.version for row in rows],
            "states": [row.state for row in rows],
            "last_events": [row.last_event_us for row in rows],
            "arrivals": [row.last_arrival for row in rows],
            "deadlines": [row.silence_deadline for row in rows],
            "units": [row.units_suspect for row in rows],
        },
    )
    return cast("CursorResult[Any]", result).rowcount


_SILENT = text(
    """
    SELECT s.* FROM device_trip_state AS s
    JOIN unnest(CAST(:partitions AS int[]), CAST(:instants AS timestamptz[])) AS c (partition_no, caught_up)
        ON s.log_partition = c.partition_no AND s.silence_deadline < c.caught_up
    WHERE s.log_topic = :topic
    ORDER BY s.device_id LIMIT :limit
    FOR UPDATE OF s
    """
)


async def silent_states(uow: UnitOfWork, topic: str, caught_up: Mapping[int, datetime], limit: int) -> list[StateRow]:
    """Lock and return states whose silence deadline lies before the instant to which their partition is caught up."""
    rows = await uow.conn.execute(
        _SILENT,
        {
            "topic": topic,
            "partitions": list(caught_up),
            "instants": list(caught_up.values()),
            "limit": limit,
        },
    )
    return [_state_row(row) for row in rows.mappings()]


def _state_row(row: RowMapping) -> StateRow:
    return StateRow(
        device_id=row["device_id"],
        topic=row["log_topic"],
        partition=row["log_partition"],
        version=row["version"],
        state=bytes(row["state"]),
        last_event_us=row["last_event_us"],
        last_arrival=row["last_arrival_at"],
        silence_deadline=row["silence_deadline"],
        units_suspect=row["units_suspect"],
    )


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
        await uow.conn.execute(
            update(trips)
            .where(trips.c.trip_id.in_(trip_ids))
            .values(status="withdrawn", revision=trips.c.revision + 1, updated_at=func.now())
        )


async def delete_unpublished(uow: UnitOfWork, trip_ids: Sequence[UUID]) -> None:
    """Remove trips that were open and never completed: nobody was told of them."""
    if trip_ids:
        await uow.conn.execute(delete(trips).where(trips.c.trip_id.in_(trip_ids), trips.c.revision == 0))


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
