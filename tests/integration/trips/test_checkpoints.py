"""Checkpoints are a short cut only: with the memory lost at any time the trips are those of one sorted pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from sqlalchemy import text

from auto_insurance.contracts import topics
from auto_insurance.drivers.service import DriverService
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.clock import from_us
from auto_insurance.telematics.columns import Columns
from auto_insurance.telematics.schemas import Sample
from auto_insurance.telematics.service import TelematicsService
from auto_insurance.trips.contents import TripContent
from auto_insurance.trips.pipeline import TelemetryHandler
from auto_insurance.trips.trace import TraceOptions
from tests.integration.trips.conftest import Worker, new_handler
from tests.support.trips import Drive, kept

ZONES = {"DRV001": "America/Chicago", "DRV002": "Europe/Berlin"}
HAND_OVER_US = 1_767_603_600_000_000


def one_pass(samples: Sequence[Sample]) -> list[TripContent]:
    """Return the trips of one sorted pass, each sample with the driver that it had."""
    drivers = ["DRV001" if s.t_us < HAND_OVER_US else "DRV002" for s in samples]
    return kept([msgspec.structs.replace(s, driver_id=d) for s, d in zip(samples, drivers, strict=True)], zones=ZONES)


async def facts(worker: Worker) -> list[tuple[Any, ...]]:
    """Return what there is of trips."""
    return [(r["start_time"], r["end_time"], r["distance_miles"], r["sample_count"]) for r in await worker.trips()]


def expected(samples: Sequence[Sample]) -> list[tuple[Any, ...]]:
    """Return what there should be."""
    return [(from_us(t.start_us), from_us(t.end_us), t.distance_miles, t.sample_count) for t in one_pass(samples)]


def two_legs() -> list[Sample]:
    """Return two trips with events of every kind before, across and after the places where batches are cut."""
    drive = Drive().go(12.0, 90, accel_g=0.0).go(12.0, 2, accel_g=-0.5).go(12.0, 60, accel_g=0.0, speed_limit_mph=15.0)
    drive.stand(240).go(15.0, 120, lateral_g=0.0).go(15.0, 2, lateral_g=0.6).go(15.0, 60, phone_in_use=True)
    return drive.stand(20).samples


@pytest.mark.parametrize("options", [{}, {"save_samples": 1}, {"save_samples": 10**9, "save_s": 1e9}])
async def test_a_restart_before_every_batch_changes_nothing(worker: Worker, options: dict[str, Any]) -> None:
    samples = two_legs()
    for start in range(0, len(samples), 45):
        worker.handler = new_handler(**options)
        await worker.send(samples[start : start + 45])
    worker.handler = new_handler(**options)
    await worker.tick_after(samples)
    assert await facts(worker) == expected(samples)
    assert [event.type for event in await worker.told()] == ["trip.completed"] * 2
    assert [row["revision"] for row in await worker.trips()] == [1, 1]


async def test_few_batches_write_a_checkpoint(worker: Worker) -> None:
    samples = Drive().go(12.0, 300).samples
    for start in range(0, 300, 10):
        await worker.send(samples[start : start + 10])
    async with worker.db.read() as uow:
        version, last = (await uow.conn.execute(text("SELECT version, last_event_us FROM device_trip_state"))).one()
    assert version <= 2
    assert last < samples[-1].t_us


async def test_a_stale_deadline_closes_nothing_and_is_brought_up_to_date(worker: Worker) -> None:
    samples = Drive().go(12.0, 550).samples
    for start in range(0, 550, 25):
        await worker.send(samples[start : start + 25])
    worker.handler = new_handler()
    await worker.tick_after(samples[:40])
    assert [row["status"] for row in await worker.trips()] == ["in_progress"]
    async with worker.db.read() as uow:
        deadline = await uow.conn.scalar(text("SELECT silence_deadline FROM device_trip_state"))
    assert deadline > from_us(samples[-1].t_us)
    await worker.tick_after(samples)
    assert await facts(worker) == expected(samples)


@pytest.mark.parametrize("remembered", [0, 100_000])
@pytest.mark.parametrize("late", [slice(60, 64), slice(108, 112), slice(150, 160)])
async def test_a_late_upload_is_folded_from_memory_or_checkpoints(
    worker: Worker, late: slice, remembered: int
) -> None:  # fmt: skip
    samples = two_legs()
    worker.handler = new_handler(recent_samples=remembered, save_samples=40, older_s=30.0)
    rest = samples[: late.start] + samples[late.stop :]
    for start in range(0, late.start + 30, 6):
        await worker.send(rest[start : min(start + 6, late.start + 30)])
    await worker.send(samples[late])
    await worker.send(rest[late.start + 30 :])
    await worker.tick_after(samples)
    assert await facts(worker) == expected(samples)
    assert [event.type for event in await worker.told()] == ["trip.completed"] * 2


async def test_a_state_of_another_form_is_made_anew_from_the_events(worker: Worker) -> None:
    samples = two_legs()
    await worker.send(samples[:200])
    async with worker.db.begin() as uow:
        await uow.conn.execute(text("UPDATE device_trip_state SET state = '\\x9c'"))
    worker.handler = new_handler()
    await worker.send(samples[200:])
    await worker.tick_after(samples)
    assert await facts(worker) == expected(samples)


class Counting(TelematicsService):
    """Counts the events that are read back."""

    read = 0

    async def load_columns(self, uow: UnitOfWork, device_id: str, from_us: int, to_us: int) -> Columns:
        found = await super().load_columns(uow, device_id, from_us, to_us)
        self.read += len(found)
        return found


async def test_a_late_event_of_an_endless_session_costs_no_more_than_a_few_marks(worker: Worker) -> None:
    """A device that reports for hours without a pause: the bound is two marks and a trip, not the session."""
    drive = Drive(period_s=10.0, t_us=HAND_OVER_US)
    for _ in range(12):
        drive.go(12.0, 600).stand(600)
    samples = drive.samples
    late = samples[300:302]
    rest = samples[:300] + samples[302:]
    telematics = Counting()
    drivers = DriverService(cast("Any", None), cast("Any", None))
    options = TraceOptions(mark_s=1200.0, save_samples=40, older_s=60.0, recent_samples=0)
    worker.handler = TelemetryHandler(telematics, drivers, group="test", options=options)
    for start in range(0, len(rest), 60):
        await worker.send(rest[start : start + 60])
    before = {row["trip_id"]: row["revision"] for row in await worker.trips()}
    telematics.read = 0
    await worker.send(late)
    assert telematics.read <= 3 * 120 + 120
    assert len(samples) > 1_400
    await worker.tick_after(samples)
    assert await facts(worker) == expected(samples)
    after = {row["trip_id"]: row["revision"] for row in await worker.trips()}
    assert after.keys() == before.keys()
    assert sum(revision == 2 for revision in after.values()) == 1
    assert [event.type for event in await worker.told(topics.TRIPS)].count("trip.amended") == 1
    assert bool(np.all(np.array(list(after.values())) >= 1))
