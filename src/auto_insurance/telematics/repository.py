"""Reads of stored events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import TextClause, func, select, text

from auto_insurance.infra import metrics
from auto_insurance.infra.db.copy import begun
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.telematics import columns
from auto_insurance.telematics.columns import Columns
from auto_insurance.telematics.extras import canonical_extra
from auto_insurance.telematics.models import telematics_events as events
from auto_insurance.telematics.schemas import PathPoint

SESSION_STEP = 5_000
"""Events looked at per step while looking for a session's ends."""


_LOAD = """
    SELECT CAST(extract(epoch FROM timestamp) * 1000000 AS bigint),
        CAST(extract(epoch FROM received_at) * 1000000 AS bigint),
        event_id, driver_id, latitude, longitude, speed_mph, acceleration_g, lateral_acceleration_g, heading_deg,
        altitude_m, gps_accuracy_m, speed_limit_mph, event_type, phone_in_use, quality, device_trip_id,
        CAST(extra AS text)
    FROM telematics_events
    WHERE device_id = $1 AND timestamp BETWEEN $2 AND $3
    ORDER BY timestamp, event_id COLLATE "C"
"""


async def load_columns(uow: UnitOfWork, device_id: str, from_us: int, to_us: int) -> Columns:
    """Return a device's events in [from_us, to_us] (microseconds since the epoch), sorted by time and id."""
    driver = await begun(uow)
    with metrics.time_query("select", events.name):
        found = await driver.fetch(_LOAD, device_id, clock.from_us(from_us), clock.from_us(to_us))
    if not found:
        return columns.empty()
    t_us, received_us, ids, drivers, latitude, longitude, *singles, kinds, phone, quality, trip_ids, extras = zip(
        *found, strict=True
    )
    names, codes = columns.coded(drivers)
    return Columns(
        devices=[device_id],
        drivers=names,
        device=np.zeros(len(found), np.int32),
        driver=codes,
        t_us=np.array(t_us, np.int64),
        received_us=np.array(received_us, np.int64),
        event_id=list(ids),
        # None becomes NaN.
        latitude=np.array(latitude, np.float64),
        longitude=np.array(longitude, np.float64),
        event_type=np.array([columns.EVENT_CODE[kind] for kind in kinds], np.int8),
        phone_in_use=np.array([columns.UNKNOWN if value is None else value for value in phone], np.int8),
        quality=np.array(quality, np.int16),
        device_trip_id=list(trip_ids) if any(trip_ids) else None,
        extra=_extras(extras),
        **{name: np.array(value, np.float32) for name, value in zip(columns.SINGLES, singles, strict=True)},
    )


def _extras(values: Sequence[str | None]) -> list[str | None] | None:
    if not any(values):
        return None
    return [None if value is None else canonical_extra(json.loads(value))[0] for value in values]


# One step away from :at: as far as no gap is wide enough to cut, at most :steps events.
_STEP = """
    WITH near AS (
        SELECT timestamp AS t, abs(extract(epoch FROM timestamp - lag(timestamp, 1, CAST(:at AS timestamptz))
            OVER (ORDER BY timestamp {order}))) >= extract(epoch FROM CAST(:gap AS interval)) AS wide
        FROM (SELECT DISTINCT timestamp FROM telematics_events
              WHERE device_id = :device AND timestamp {side} :at ORDER BY timestamp {order} LIMIT :steps) AS next
    ), cut AS (SELECT {nearest}(t) AS t FROM near WHERE wide)
    SELECT {farthest}(near.t) AS reached, count(*) AS steps FROM near, cut WHERE cut.t IS NULL OR near.t {before} cut.t
"""
_FORWARD = text(_STEP.format(order="ASC", side=">", nearest="min", farthest="max", before="<"))
_BACKWARD = text(_STEP.format(order="DESC", side="<", nearest="max", farthest="min", before=">"))


async def session_bounds(uow: UnitOfWork, device_id: str, t_us: int, gap_us: int) -> tuple[int, int]:
    """Return first and last stored time around ``t_us`` that no gap of ``gap_us`` or more cuts off.

    ``t_us`` itself need not be stored. Without a neighbour that near, returns ``(t_us, t_us)``.
    """
    at, gap = clock.from_us(t_us), timedelta(microseconds=gap_us)
    first = await _walk(uow, _BACKWARD, device_id, at, gap)
    last = await _walk(uow, _FORWARD, device_id, at, gap)
    return clock.to_us(first), clock.to_us(last)


async def _walk(uow: UnitOfWork, step: TextClause, device_id: str, at: datetime, gap: timedelta) -> datetime:
    while True:
        params = {"device": device_id, "at": at, "gap": gap, "steps": SESSION_STEP}
        reached, steps = (await uow.conn.execute(step, params)).one()
        if reached is not None:
            at = reached
        if steps < SESSION_STEP:
            return at


_FLAG = text(
    """
    UPDATE telematics_events AS e SET quality = e.quality | CAST(:quality AS smallint)
    FROM unnest(CAST(:devices AS text[]), CAST(:times AS timestamptz[]), CAST(:ids AS text[])) AS k (d, t, i)
    WHERE e.device_id = k.d AND e.timestamp = k.t AND e.event_id = k.i
      AND e.timestamp BETWEEN :first AND :last AND e.quality & CAST(:quality AS smallint) <> :quality
    """
)


async def flag(uow: UnitOfWork, keys: Sequence[tuple[str, int, str]], quality: int) -> int:
    """Add quality bits to stored events; return how many changed."""
    if not keys:
        return 0
    times = [clock.from_us(key[1]) for key in keys]
    params = {
        "devices": [key[0] for key in keys],
        "times": times,
        "ids": [key[2] for key in keys],
        "quality": quality,
        "first": min(times),
        "last": max(times),
    }
    return (await uow.conn.execute(_FLAG, params)).rowcount


async def path(uow: UnitOfWork, device_id: str, start: datetime, end: datetime, limit: int) -> list[PathPoint]:
    """Return the points of a device in [start, end] that have a position, in order, at most ``limit``."""
    c = events.c
    statement = (
        select(c.timestamp, c.latitude, c.longitude, c.quality)
        .where(c.device_id == device_id, c.timestamp.between(start, end), c.latitude.is_not(None))
        .order_by(c.timestamp, c.event_id)
        .limit(limit)
    )
    return [PathPoint(clock.to_us(row[0]), row[1], row[2], row[3]) for row in await uow.conn.execute(statement)]


async def count_events(
    uow: UnitOfWork, device_id: str, start: datetime, end: datetime
) -> tuple[int, datetime | None, datetime | None]:
    """Return how many events of a device are stored in [start, end], and the first and last time."""
    c = events.c
    statement = select(func.count(), func.min(c.timestamp), func.max(c.timestamp)).where(
        c.device_id == device_id, c.timestamp.between(start, end)
    )
    row = (await uow.conn.execute(statement)).one()
    return int(row[0]), row[1], row[2]
