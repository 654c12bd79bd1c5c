from __future__ import annotations

from datetime import timedelta

import pytest

from auto_insurance.admin import queries
from auto_insurance.admin.business_metrics import collect
from auto_insurance.bootstrap import metadata
from auto_insurance.infra import metrics
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel.clock import FrozenClock, to_us, use_clock
from auto_insurance.telematics.columns import of_samples
from auto_insurance.telematics.service import TelematicsService
from tests.support.scoring import TODAY, add_driver, add_trip, make_world
from tests.support.trips import Drive


async def test_an_empty_book(db: Database) -> None:
    async with db.read() as uow:
        numbers = await queries.business_numbers(uow)
    assert numbers == queries.BusinessNumbers(0, 0, 0.0)


async def test_the_gauges_tell_of_the_book(db: Database) -> None:
    with use_clock(FrozenClock(TODAY)):
        world = make_world(db)
        drive = Drive(t_us=to_us(TODAY) - 40_000_000)
        for _ in range(30):
            drive.emit(10.0)
            drive.t_us += 1_000_000
        async with db.begin() as uow:
            for number in (1, 2):
                await add_driver(uow, f"DRV00{number}")
            await add_driver(uow, "DRV003", status="erasure_requested")
            await add_trip(uow, "DRV001", TODAY - timedelta(hours=1), status="in_progress", end_time=None)
            await TelematicsService().store(uow, of_samples(drive.samples))
            first = await world.risk.score_driver(uow, "DRV001", "test")
        async with db.read() as uow:
            numbers = await queries.business_numbers(uow)
        await collect(db)
    assert (numbers.active_drivers, numbers.active_trips) == (2, 1)
    assert numbers.average_risk_score == pytest.approx(first.risk_score)
    assert metrics.ACTIVE_DRIVERS_TOTAL._value.get() == 2
    assert metrics.AVERAGE_RISK_SCORE._value.get() == pytest.approx(first.risk_score)
    assert 0 <= metrics.DB_INDEX_HIT_RATIO._value.get() <= 1
    sizes = {table: metrics.DB_TABLE_SIZE_BYTES.labels(table)._value.get() for table in metadata().tables}
    assert sizes["telematics_events"] > 0
    assert sizes["drivers"] > 0


async def test_sizes_of_partitions_count_for_their_parent(db: Database) -> None:
    async with db.read() as uow:
        sizes = await queries.table_sizes(uow)
    assert "telematics_events" in sizes
    assert not [name for name in sizes if name.startswith("telematics_events_")]
