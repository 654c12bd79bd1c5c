"""Sums over the trips of a whole book, as columns: one pass over the table per piece of the book."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from sqlalchemy import Float, cast, func, select

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.trips.models import trips
from auto_insurance.trips.reads import of_drivers
from auto_insurance.trips.repository_disputes import counts
from auto_insurance.trips.schemas import BookTotals, TripSums

SUMS = TripSums.__struct_fields__


async def totals_of_book(uow: UnitOfWork, driver_ids: Sequence[str], since: datetime, until: datetime) -> BookTotals:
    """Return the sums over completed trips that started in [since, until) of those drivers that have any."""
    c = trips.c
    seconds = cast(func.extract("epoch", func.max(c.end_time) - func.min(c.start_time)), Float)
    query = (
        select(
            c.driver_id,
            func.max(c.end_time),
            cast(func.count(), Float),
            func.greatest(seconds, 0.0) / 86_400.0,
            *(cast(func.sum(c[name]), Float) for name in SUMS),
        )
        .where(of_drivers(driver_ids), counts(), c.start_time >= since, c.start_time < until)
        .group_by(c.driver_id)
        .order_by(c.driver_id)
    )
    rows = (await uow.conn.execute(query)).all()
    numbers = np.array([row[2:] for row in rows], np.float64).reshape(len(rows), len(SUMS) + 2)
    return BookTotals(
        driver_ids=[row[0] for row in rows],
        sums={name: np.ascontiguousarray(numbers[:, place + 2]) for place, name in enumerate(SUMS)},
        trip_count=numbers[:, 0].astype(np.int64),
        observed_days=numbers[:, 1],
        last_end=[row[1] for row in rows],
    )
