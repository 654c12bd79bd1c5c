"""Stored events of a bounded period: only the partitions of its months are read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, text, tuple_

from auto_insurance.admin.reading import Rows, fetch
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.telematics.models import HARSH_TYPES, telematics_events

_E = telematics_events.c
_SHOWN = (
    _E.timestamp, _E.device_id, _E.event_id, _E.driver_id, _E.received_at, _E.event_type, _E.latitude, _E.longitude,
    _E.speed_mph, _E.acceleration_g, _E.lateral_acceleration_g, _E.heading_deg, _E.gps_accuracy_m, _E.speed_limit_mph,
    _E.phone_in_use, _E.quality,
)  # fmt: skip
Place = tuple[datetime, str, str]
"""Of an event in the order of lists: time, device, event id."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events: of [since, until), and of a driver, a device or a type."""

    since: datetime
    until: datetime
    driver_id: str | None = None
    device_id: str | None = None
    event_type: str | None = None


def _where(query: Select[Any], wanted: EventFilter) -> Select[Any]:
    query = query.where(_E.timestamp >= wanted.since, _E.timestamp < wanted.until)
    if wanted.driver_id is not None:
        query = query.where(_E.driver_id == wanted.driver_id)
    if wanted.device_id is not None:
        query = query.where(_E.device_id == wanted.device_id)
    if wanted.event_type in HARSH_TYPES:
        # As text: so the planner sees that a partial index has all the rows. The values are ours.
        return query.where(text(f"telematics_events.event_type = '{wanted.event_type}'"))
    return query if wanted.event_type is None else query.where(_E.event_type == wanted.event_type)


async def list_events(uow: UnitOfWork, wanted: EventFilter, *, before: Place | None, limit: int) -> Rows:
    """Return events, the newest first, from past a place on."""
    query = _where(select(*_SHOWN), wanted)
    if before is not None:
        place = tuple_(_E.timestamp, _E.device_id, _E.event_id)
        query = query.where(_E.timestamp <= before[0], place < tuple_(*before))
    query = query.order_by(_E.timestamp.desc(), _E.device_id.desc(), _E.event_id.desc()).limit(limit)
    return await fetch(uow, query)


async def event_counts(uow: UnitOfWork, wanted: EventFilter) -> tuple[int, int, dict[str, int]]:
    """Return how many events there are, of how many drivers, and how many of each type."""
    counted = _where(select(_E.event_type, _E.driver_id, func.count().label("n")), wanted)
    by_driver = counted.group_by(_E.event_type, _E.driver_id).cte("by_driver")
    of_type = select(by_driver.c.event_type, func.sum(by_driver.c.n)).group_by(by_driver.c.event_type)
    drivers = select(func.count(by_driver.c.driver_id.distinct())).scalar_subquery()
    rows = (await uow.conn.execute(of_type.add_columns(drivers))).all()
    types = {row[0]: int(row[1]) for row in sorted(rows)}
    return sum(types.values()), int(rows[0][2]) if rows else 0, types
