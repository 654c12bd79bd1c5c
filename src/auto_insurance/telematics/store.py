"""Stores events once: COPY into a staging table of the session, then INSERT ... ON CONFLICT DO NOTHING."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import text

from auto_insurance.infra import metrics
from auto_insurance.infra.db import partitions
from auto_insurance.infra.db.copy import copy_rows
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.telematics.schemas import Sample, SampleKey, key_of

TABLE = "telematics_events"
COLUMNS = (
    "device_id",
    "timestamp",
    "event_id",
    "driver_id",
    "received_at",
    "latitude",
    "longitude",
    "speed_mph",
    "acceleration_g",
    "lateral_acceleration_g",
    "heading_deg",
    "altitude_m",
    "gps_accuracy_m",
    "event_type",
    "speed_limit_mph",
    "phone_in_use",
    "quality",
    "device_trip_id",
    "extra",
)
_STAGING = "telematics_staging"
_NAMES = ", ".join(COLUMNS)
# A table of the session, emptied at each commit: made once per connection, not per batch. ``extra`` travels as text.
_CREATE = text(
    f"CREATE TEMP TABLE IF NOT EXISTS {_STAGING} ON COMMIT DELETE ROWS AS"  # noqa: S608 - names from the constants above
    f" SELECT {_NAMES.replace(', extra', ', extra::text AS extra')} FROM {TABLE} WITH NO DATA"
)
# In the order of the key: two writers of the same rows take turns instead of dead-locking.
_INSERT = text(
    f"INSERT INTO {TABLE} ({_NAMES})"  # noqa: S608 - names from the constants above
    f" SELECT {_NAMES.replace(', extra', ', extra::jsonb')} FROM {_STAGING} ORDER BY device_id, timestamp, event_id"
    " ON CONFLICT DO NOTHING RETURNING device_id, timestamp, event_id"
)


async def store_samples(uow: UnitOfWork, samples: Sequence[Sample]) -> list[Sample]:
    """Store samples whose driver is known; return the really new ones in the order given.

    Of copies within the batch the first counts. Makes missing partitions. Raises ``ValueError`` for a sample without a
    driver, and what the database raises.
    """
    unique: dict[SampleKey, Sample] = {}
    for sample in samples:
        if not sample.driver_id:
            raise ValueError("a sample without a driver can't be stored")
        unique.setdefault(key_of(sample), sample)
    if not unique:
        return []
    await partitions.ensure_months(uow, TABLE, partitions.months_of_us(key.t_us for key in unique))
    await uow.conn.execute(_CREATE)
    # A second call within one transaction finds the rows of the first.
    await uow.conn.execute(text(f"TRUNCATE {_STAGING}"))
    await copy_rows(uow, _STAGING, COLUMNS, _rows(unique))
    with metrics.time_query("copy", TABLE):
        result = await uow.conn.execute(_INSERT)
    new = {SampleKey(row[0], clock.to_us(row[1]), row[2]) for row in result}
    return [sample for key, sample in unique.items() if key in new]


def _rows(samples: dict[SampleKey, Sample]) -> Iterator[tuple[Any, ...]]:
    for s in samples.values():
        yield (
            s.device_id,
            clock.from_us(s.t_us),
            s.event_id,
            s.driver_id,
            clock.from_us(s.received_us),
            s.latitude,
            s.longitude,
            s.speed_mph,
            s.accel_g,
            s.lateral_g,
            s.heading_deg,
            s.altitude_m,
            s.gps_accuracy_m,
            s.event_type,
            s.speed_limit_mph,
            s.phone_in_use,
            s.quality,
            s.device_trip_id,
            s.extra,
        )
