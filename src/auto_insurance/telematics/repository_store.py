"""The SQL of storing: how far devices are stored, which events are there, and the insert that is always right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import text

from auto_insurance.infra.db.copy import copy_columns
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.telematics import rows
from auto_insurance.telematics.columns import Columns, Ints, Mask

_NAMES = ", ".join(rows.COLUMNS)
_STAGING = "telematics_staging"
_NEWEST = text(
    """
    SELECT d, (SELECT e.timestamp FROM telematics_events AS e WHERE e.device_id = d ORDER BY e.timestamp DESC LIMIT 1)
    FROM unnest(CAST(:devices AS text[])) AS d
    """
)
_STORED = text(
    """
    SELECT CAST(k.n - 1 AS integer)
    FROM unnest(CAST(:devices AS text[]), CAST(:times AS timestamptz[]), CAST(:ids AS text[]))
        WITH ORDINALITY AS k (d, t, i, n)
    WHERE (
        SELECT true FROM telematics_events AS e
        WHERE e.device_id = k.d AND e.timestamp = k.t AND e.event_id = k.i
            AND e.timestamp BETWEEN :first AND :last
        LIMIT 1
    )
    """
)
_CREATE = text(f"CREATE TEMP TABLE {_STAGING} ON COMMIT DROP AS SELECT {_NAMES} FROM telematics_events WITH NO DATA")  # noqa: S608 - names from the constants above
# In the order of the key: two writers of the same rows take turns instead of dead-locking.
_INSERT = text(
    f"INSERT INTO telematics_events ({_NAMES}) SELECT {_NAMES} FROM {_STAGING}"  # noqa: S608 - names from the constants above
    " ORDER BY device_id, timestamp, event_id"
    " ON CONFLICT DO NOTHING RETURNING device_id, timestamp, event_id"
)


async def newest_stored(uow: UnitOfWork, devices: Sequence[str]) -> dict[str, int]:
    """Return the newest stored event time of each device that has one, in microseconds since the epoch."""
    found = await uow.conn.execute(_NEWEST, {"devices": list(devices)})
    return {row[0]: clock.to_us(row[1]) for row in found if row[1] is not None}


async def are_stored(uow: UnitOfWork, events: Columns, places: Ints) -> Ints:
    """Return which of ``places`` (as indices into it) hold an event that is stored."""
    times = [clock.from_us(t_us) for t_us in events.t_us[places].tolist()]
    params = {
        "devices": [events.devices[code] for code in events.device[places].tolist()],
        "times": times,
        "ids": [events.event_id[place] for place in places.tolist()],
        "first": min(times),
        "last": max(times),
    }
    found = await uow.conn.execute(_STORED, params)
    return np.array(found.scalars().all(), np.int64)


async def insert_missing(uow: UnitOfWork, events: Columns, wanted: Mask) -> Mask:
    """Insert those of the wanted events that are not stored, whoever else writes; return which these were.

    No two wanted events may be copies of each other.
    """
    new = events.where(wanted)
    await uow.conn.execute(text(f"DROP TABLE IF EXISTS {_STAGING}"))
    await uow.conn.execute(_CREATE)
    await copy_columns(uow, _STAGING, rows.COLUMNS, rows.of_columns(new), len(new))
    result = await uow.conn.execute(_INSERT)
    inserted = {(row[0], clock.to_us(row[1]), row[2]) for row in result}
    fresh = wanted.copy()
    for place in np.flatnonzero(wanted).tolist():
        key = (events.devices[events.device[place]], int(events.t_us[place]), events.event_id[place])
        fresh[place] = key in inserted
    return fresh
