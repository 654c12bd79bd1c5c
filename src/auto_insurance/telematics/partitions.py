"""The months of the events: which are there, which are archived, and what a writer must know of them."""

from __future__ import annotations

import time
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from auto_insurance.infra.db import partitions
from auto_insurance.infra.db.partitions import Month
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.telematics import repository_archives as repository

TABLE = "telematics_events"
MONTH_ARCHIVED = "month_archived"
"""Why an event is refused whose month is archived, at the door and in the worker alike."""
CACHE_S = 30.0

_cache: WeakKeyDictionary[object, tuple[float, frozenset[Month]]] = WeakKeyDictionary()


async def archived_months(uow: UnitOfWork) -> frozenset[Month]:
    """Return the months whose events are refused until restored, as they were at most ``CACHE_S`` ago.

    For the door, where an old answer does no harm: the worker asks again, in the transaction that stores.
    """
    engine, now = uow.conn.sync_engine, time.monotonic()
    kept = _cache.get(engine)
    if kept is not None and kept[0] > now:
        return kept[1]
    found = await repository.read_closed(uow)
    _cache[engine] = now + CACHE_S, found
    return found


async def claim(uow: UnitOfWork, t_us: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    """Make the months of these instants ready to store in, until the transaction ends.

    Returns which instants can't be stored as their month is archived; None if all can, which costs no query when the
    months are recent and known.
    """
    indices = partitions.month_indices(t_us)
    months = [partitions.month_at(index) for index in np.unique(indices).tolist()]
    closed = await partitions.claim_months(uow, TABLE, months)
    return np.isin(indices, [month.number for month in closed]) if closed else None


def forget(database: Database) -> None:
    """Forget what this process knows of a database's months, after changing them."""
    _cache.pop(database.engine.sync_engine, None)
    partitions.forget(database)
