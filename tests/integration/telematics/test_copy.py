from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy import select

from auto_insurance.infra.db.copy import copy_rows
from auto_insurance.infra.db.partitions import Month, partition_of
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import clock
from auto_insurance.telematics.models import device_contacts

COLUMNS = ("device_id", "hour", "accepted", "rejected", "last_received_at")


async def test_rows_go_in_by_column_and_the_transaction_decides(db: Database) -> None:
    now = clock.now()
    async with db.begin() as uow:
        assert await copy_rows(uow, device_contacts, COLUMNS, [("d", now, 2**40, 1, now)]) == 1
        assert await copy_rows(uow, device_contacts, COLUMNS, []) == 0
    async with db.read() as uow:
        assert (await uow.conn.execute(select(device_contacts.c.accepted))).scalars().all() == [2**40]
    with pytest.raises(asyncpg.UniqueViolationError):
        async with db.begin() as uow:
            await copy_rows(uow, device_contacts, COLUMNS, [("e", now, 1, 1, now), ("d", now, 1, 1, now)])
    async with db.begin() as uow:
        with pytest.raises(ValueError, match="no column colour"):
            await copy_rows(uow, device_contacts, ["device_id", "colour"], [])


def test_partition_names_and_bounds() -> None:
    found = partition_of("telematics_events", Month(2026, 12))
    assert (found.name, found.start.isoformat(), found.end.isoformat()) == (
        "telematics_events_2026_12",
        "2026-12-01T00:00:00+00:00",
        "2027-01-01T00:00:00+00:00",
    )
    with pytest.raises(ValueError, match="plain"):
        partition_of('x"; DROP', Month(2026, 1))
