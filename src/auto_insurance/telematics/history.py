"""A device's events as they were known at an instant, from the database and from the files of archived months."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.clock import to_us
from auto_insurance.telematics import columns, repository
from auto_insurance.telematics.archive_reads import ArchiveReader
from auto_insurance.telematics.columns import Columns
from auto_insurance.telematics.extras import canonical_extra

if TYPE_CHECKING:
    import polars as pl

_COLUMN = {
    "accel_g": "acceleration_g",
    "lateral_g": "lateral_acceleration_g",
}
"""Where a field of ``Columns`` has another name than the table's column."""
_STEP = timedelta(microseconds=1)


class KnownEvents(NamedTuple):
    """Events sorted by time and id, and how many were read from the archive."""

    events: Columns
    archived: int


async def known_at(
    uow: UnitOfWork,
    archive: ArchiveReader | None,
    device_id: str,
    drivers: Collection[str],
    start: datetime,
    end: datetime,
    known: datetime,
) -> KnownEvents:
    """Return the events of [start, end) that had arrived by ``known``.

    ``drivers`` are those that had the device in the time: archived months are ordered by driver. Raises
    ``ArchiveDamaged`` if files that should be there can't be read.
    """
    stored = await repository.load_columns(uow, device_id, to_us(start), to_us(end - _STEP))
    parts = [stored]
    there = set(zip(stored.t_us.tolist(), stored.event_id, strict=True))
    for driver_id in sorted(drivers) if archive is not None else ():
        assert archive is not None  # noqa: S101 - the loop is empty without
        found = of_frame(await archive.events(uow, driver_id, start, end))
        mine = np.array([name == device_id for name in found.devices], np.bool_)[found.device]
        # A month on its way out is in both for a while.
        twice = [key in there for key in zip(found.t_us.tolist(), found.event_id, strict=True)]
        parts.append(found.where(mine & ~np.array(twice, np.bool_)))
    events = columns.join([part for part in parts if len(part)] or [columns.empty()])
    events = events.where(events.received_us <= to_us(known))
    return KnownEvents(events.take(events.order()), sum(len(part) for part in parts[1:]))


def of_frame(frame: pl.DataFrame) -> Columns:
    """Return archived events as columns."""
    devices, device = columns.coded(frame["device_id"].to_list())
    drivers, driver = columns.coded(frame["driver_id"].to_list())
    phone = [columns.UNKNOWN if value is None else value for value in frame["phone_in_use"].to_list()]
    trip_ids = frame["device_trip_id"].to_list()
    extras = [None if value is None else canonical_extra(json.loads(value))[0] for value in frame["extra"].to_list()]
    return Columns(
        devices=devices,
        drivers=drivers,
        device=device,
        driver=driver,
        t_us=_instants(frame, "timestamp"),
        received_us=_instants(frame, "received_at"),
        event_id=frame["event_id"].to_list(),
        latitude=_numbers(frame, "latitude", np.float64),
        longitude=_numbers(frame, "longitude", np.float64),
        event_type=np.array([columns.EVENT_CODE[kind] for kind in frame["event_type"].to_list()], np.int8),
        phone_in_use=np.array(phone, np.int8),
        quality=frame["quality"].to_numpy().astype(np.int16),
        device_trip_id=trip_ids if any(trip_ids) else None,
        extra=extras if any(value is not None for value in extras) else None,
        **{name: _numbers(frame, _COLUMN.get(name, name), np.float32) for name in columns.SINGLES},
    )


def _instants(frame: pl.DataFrame, name: str) -> columns.Ints:
    import polars as pl  # noqa: PLC0415 - only who looks into the archive needs it

    return frame[name].cast(pl.Int64).to_numpy().astype(np.int64)


def _numbers(frame: pl.DataFrame, name: str, dtype: type[np.floating[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
    """Return a column with NaN where it has no value."""
    return np.array([np.nan if value is None else value for value in frame[name].to_list()], dtype)
