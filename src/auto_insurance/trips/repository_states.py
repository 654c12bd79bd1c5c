"""All SQL about checkpoints of devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import msgspec
from sqlalchemy import CursorResult, RowMapping, Text, any_, delete, literal, select, text
from sqlalchemy.dialects import postgresql

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.trips.models import device_trip_marks, device_trip_state

SHIFT, KEEP, CLEAR = range(3)
"""What becomes of the older checkpoint: the one before takes its place if it is old enough, it stays, it goes."""


class StateRow(msgspec.Struct, frozen=True, kw_only=True):
    """A device's checkpoint as stored. ``version`` counts its writes: a write on an outdated one fails."""

    device_id: str
    topic: str
    partition: int
    version: int
    state: bytes
    last_event_us: int
    last_arrival: datetime
    silence_deadline: datetime | None
    units_suspect: str | None
    older: bytes | None = None
    older_us: int | None = None


class Mark(msgspec.Struct, frozen=True):
    """A checkpoint that is kept: true of all events stored up to ``at_us``."""

    device_id: str
    at_us: int
    state: bytes


async def load_states(uow: UnitOfWork, device_ids: Sequence[str]) -> dict[str, StateRow]:
    """Return the stored checkpoints of devices, by device; unknown ones are absent."""
    if not device_ids:
        return {}
    wanted = literal(list(device_ids), postgresql.ARRAY(Text))
    query = select(device_trip_state).where(device_trip_state.c.device_id == any_(wanted))
    rows = (await uow.conn.execute(query)).mappings()
    return {row["device_id"]: _state_row(row) for row in rows}


_SAVE_STATES = text(
    """
    INSERT INTO device_trip_state AS s (device_id, log_topic, log_partition, version, state, last_event_us,
        last_arrival_at, silence_deadline, units_suspect)
    SELECT device, topic, log_partition, version, state, last_event, arrival, deadline, units FROM unnest(
        CAST(:device_ids AS text[]), CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:versions AS bigint[]),
        CAST(:states AS bytea[]), CAST(:last_events AS bigint[]), CAST(:arrivals AS timestamptz[]),
        CAST(:deadlines AS timestamptz[]), CAST(:units AS text[]))
        AS k (device, topic, log_partition, version, state, last_event, arrival, deadline, units)
    ON CONFLICT (device_id) DO UPDATE SET log_topic = excluded.log_topic, log_partition = excluded.log_partition,
        version = excluded.version, state = excluded.state, last_event_us = excluded.last_event_us,
        last_arrival_at = excluded.last_arrival_at, silence_deadline = excluded.silence_deadline,
        units_suspect = excluded.units_suspect, updated_at = now(),
        older = CASE WHEN :older = 2 THEN NULL
            WHEN :older = 0 AND excluded.last_event_us - s.last_event_us >= :apart_us THEN s.state ELSE s.older END,
        older_us = CASE WHEN :older = 2 THEN NULL
            WHEN :older = 0 AND excluded.last_event_us - s.last_event_us >= :apart_us THEN s.last_event_us
            ELSE s.older_us END
    WHERE s.version = excluded.version - 1
    """
)


async def save_states(uow: UnitOfWork, rows: Sequence[StateRow], older: int, apart_us: int) -> int:
    """Write checkpoints in one statement; returns how many: fewer if somebody else wrote one meanwhile.

    ``older`` is SHIFT, KEEP or CLEAR; it shifts where the checkpoints are ``apart_us`` of event time apart.
    """
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
            "older": older,
            "apart_us": apart_us,
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
    """Lock and return checkpoints whose silence deadline lies before the instant their partition is caught up to.

    The devices may have sent more since the checkpoint.
    """
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
        older=None if row["older"] is None else bytes(row["older"]),
        older_us=row["older_us"],
    )


async def marks_around(uow: UnitOfWork, device_id: str, t_us: int) -> tuple[Mark | None, list[int]]:
    """Return the newest mark before ``t_us``, if there is one, and the times of all later ones, in order."""
    c = device_trip_marks.c
    query = select(c.at_us).where(c.device_id == device_id).order_by(c.at_us)
    times = list((await uow.conn.execute(query)).scalars())
    before = [at for at in times if at < t_us]
    later = [at for at in times if at >= t_us]
    return (await mark(uow, device_id, before[-1]) if before else None), later


async def mark(uow: UnitOfWork, device_id: str, at_us: int) -> Mark | None:
    """Return one mark."""
    c = device_trip_marks.c
    state = await uow.conn.scalar(select(c.state).where(c.device_id == device_id, c.at_us == at_us))
    return None if state is None else Mark(device_id, at_us, bytes(state))


async def put_marks(uow: UnitOfWork, marks: Sequence[Mark], keep_us: int) -> None:
    """Write marks, new or known ones; those of the same devices that are ``keep_us`` older go."""
    if not marks:
        return
    statement = postgresql.insert(device_trip_marks)
    statement = statement.on_conflict_do_update(
        index_elements=["device_id", "at_us"], set_={"state": statement.excluded.state}
    )
    await uow.conn.execute(
        statement, [{"device_id": item.device_id, "at_us": item.at_us, "state": item.state} for item in marks]
    )
    c = device_trip_marks.c
    for item in marks:
        await uow.conn.execute(
            delete(device_trip_marks).where(c.device_id == item.device_id, c.at_us < item.at_us - keep_us)
        )


async def drop_marks(uow: UnitOfWork, device_id: str, from_us: int) -> None:
    """Remove a device's marks from then on: they are not true any more."""
    c = device_trip_marks.c
    await uow.conn.execute(delete(device_trip_marks).where(c.device_id == device_id, c.at_us >= from_us))
