"""From records to trips, in and out of order, with silence, crashes and restarts."""

from __future__ import annotations

import random
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import text

from auto_insurance.admin.business_metrics import collect
from auto_insurance.contracts import topics
from auto_insurance.infra import metrics
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel.clock import from_us
from auto_insurance.kernel.outcome import Dead, Drop, Ok
from auto_insurance.telematics.schemas import Quality
from auto_insurance.trips.states import StateConflict
from tests.integration.trips.conftest import TP, Worker, assign, new_handler
from tests.support.trips import Drive, kept

ZONES = {"DRV001": "America/Chicago", "DRV002": "Europe/Berlin"}


def day() -> Drive:
    """Return three trips with a hand-over, a gap, stops, drift, stray points and the device's own assertions."""
    drive = Drive().stand(20).go(12.0, 300, speed_limit_mph=20.0).stand(40, [(0, 0), (9, -9)])
    drive.go(8.0, 30, phone_in_use=True).emit(8.0, event_type="harsh_brake", accel_g=-0.5).wait(1)
    drive.go(20.0, 120).wait(50)
    drive.move(800.0)
    drive.go(16.0, 60).emit(16.0, latitude=drive.lat + 2.0).wait(1).stand(400, [(3, 3), (0, -4)])
    drive.go(14.0, 200).wait(2000)
    drive.t_us -= drive.t_us % 1_000_000
    drive.move(5000.0)
    return drive.go(15.0, 900).stand(30)


async def test_a_stream_in_order_becomes_trips(worker: Worker) -> None:
    samples = day().samples
    for i in range(0, len(samples), 300):
        await worker.send(samples[i : i + 300])
    assert [trip["status"] for trip in await worker.trips()] == ["completed", "completed", "completed", "in_progress"]
    assert [event.type for event in await worker.told()] == ["trip.completed"] * 3
    await worker.tick_after(samples)
    rows = await worker.trips()
    assert [row["status"] for row in rows] == ["completed"] * 4
    assert [row["end_reason"] for row in rows] == ["standstill", "silence", "driver_change", "silence"]
    assert [row["driver_id"] for row in rows] == ["DRV001", "DRV001", "DRV001", "DRV002"]
    assert [row["vehicle_id"] for row in rows] == ["VEH001", "VEH001", "VEH001", None]
    assert [row["time_zone"] for row in rows] == ["America/Chicago"] * 3 + ["Europe/Berlin"]
    told = await worker.told()
    assert [event.data["trip_id"] for event in told] == [str(row["trip_id"]) for row in rows]
    assert {event.key for event in told} == {"DRV001", "DRV002"}
    assert all(row["revision"] == 1 for row in rows)


async def test_a_batch_with_everything_equals_the_stream(worker: Worker) -> None:
    samples = day().samples
    await worker.send(samples)
    await worker.tick_after(samples)
    resolved = [msgspec.structs.replace(s, driver_id=_driver(s.t_us)) for s in samples]
    want = kept(resolved, zones=ZONES)
    rows = await worker.trips()
    assert [row["distance_miles"] for row in rows] == [trip.distance_miles for trip in want]
    assert [row["sample_count"] for row in rows] == [trip.sample_count for trip in want]
    assert [event.type for event in await worker.told()] == ["trip.completed"] * 4


def _driver(t_us: int) -> str:
    return "DRV001" if t_us < 1_767_603_600_000_000 else "DRV002"


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_any_order_with_copies_crashes_and_restarts_gives_the_same_bytes(worker: Worker, seed: int) -> None:
    samples = day().samples
    await worker.send(samples)
    await worker.tick_after(samples)
    want = await worker.contents()
    async with worker.db.begin() as uow:
        await uow.conn.execute(text("TRUNCATE trips, trip_events, device_trip_state, telematics_events, outbox"))
    worker.handler = new_handler(max_cached=1)
    rng = random.Random(seed)
    chunks = [samples[i : i + 60] for i in range(0, len(samples), 60)]
    chunks += rng.sample(chunks, k=4)
    rng.shuffle(chunks)
    for number, chunk in enumerate(chunks):
        if number % 5 == 2:
            await worker.send(chunk, crash=True)
        await worker.send(chunk)
        if number % 7 == 3:
            worker.handler = new_handler()
        if number % 11 == 5:
            await worker.tick_after(samples)
    await worker.tick_after(samples)
    assert await worker.contents() == want
    states: dict[str, int] = {}
    for event in await worker.told():
        before = states.get(event.data["trip_id"], 0)
        assert event.data["revision"] == before + 1
        assert (event.type == "trip.completed") == (before == 0)
        states[event.data["trip_id"]] = event.data["revision"]
    current = {str(row["trip_id"]): row["revision"] for row in await worker.trips()}
    assert {key: states[key] for key in current} == current


async def test_sending_all_again_changes_nothing(worker: Worker) -> None:
    samples = day().samples
    await worker.send(samples)
    await worker.tick_after(samples)
    rows, told = await worker.trips(), await worker.told()
    outcomes = await worker.handle([worker.record_of(samples[:100])])
    assert outcomes == [Drop()]
    worker.handler = new_handler()
    await worker.send(samples)
    await worker.tick_after(samples)
    assert await worker.trips() == rows
    assert len(await worker.told()) == len(told)


async def test_a_late_event_amends_the_trip_and_keeps_its_id(worker: Worker) -> None:
    samples = Drive().go(12.0, 200).stand(200).samples
    late = samples[50:80]
    await worker.send(samples[:50] + samples[80:])
    (before,) = await worker.trips()
    await worker.send(late)
    (after,) = await worker.trips()
    assert after["trip_id"] == before["trip_id"]
    assert (before["revision"], after["revision"]) == (1, 2)
    assert after["sample_count"] == before["sample_count"] + 30
    assert [(e.type, e.data["reason"]) for e in await worker.told()] == [
        ("trip.completed", "completed"),
        ("trip.amended", "late_events"),
    ]


async def test_a_late_event_that_changes_nothing_of_a_trip_tells_nobody(worker: Worker) -> None:
    samples = Drive().go(12.0, 200).stand(300).samples
    await worker.send(samples[:-20] + samples[-19:])
    await worker.send(samples[-20:-19])
    assert [event.type for event in await worker.told()] == ["trip.completed"]
    (row,) = await worker.trips()
    assert row["revision"] == 1


async def test_late_events_merge_two_trips(worker: Worker) -> None:
    samples = Drive().go(12.0, 1500).samples
    await worker.send(samples[:400] + samples[1100:])
    await worker.tick_after(samples)
    first, second = await worker.trips()
    await worker.send(samples[400:1100])
    await worker.tick_after(samples)
    (merged,) = await worker.trips()
    assert merged["trip_id"] == first["trip_id"]
    told = [(e.type, e.data["reason"], e.data["trip_id"]) for e in await worker.told()][2:]
    assert ("trip.withdrawn", "merged", str(second["trip_id"])) in told
    assert ("trip.amended", "late_events", str(first["trip_id"])) in told


async def test_silence_waits_for_the_backlog_and_a_continuation_reopens(worker: Worker) -> None:
    samples = Drive().go(12.0, 300).samples
    await worker.send(samples[:200])
    arrived = from_us(samples[199].received_us)
    await worker.tick(arrived + timedelta(seconds=590))
    (row,) = await worker.trips()
    assert row["status"] == "in_progress"
    assert row["end_time"] is None
    await worker.tick(arrived + timedelta(seconds=700))
    (closed,) = await worker.trips()
    assert (closed["status"], closed["end_reason"]) == ("completed", "silence")
    await worker.tick(arrived + timedelta(seconds=900))
    await worker.send(samples[200:])
    (reopened,) = await worker.trips()
    assert (reopened["status"], reopened["trip_id"]) == ("in_progress", row["trip_id"])
    await worker.tick_after(samples)
    (again,) = await worker.trips()
    assert (again["status"], again["revision"], again["trip_id"]) == ("completed", 2, row["trip_id"])
    assert [event.type for event in await worker.told()] == ["trip.completed", "trip.amended"]


async def test_an_import_settles_soon_after_its_last_arrival(worker: Worker) -> None:
    old = Drive(t_us=1_500_000_000_000_000).go(12.0, 100).samples
    now_us = 1_767_600_000_000_000
    record = worker.record(worker.record_of(old).value, now_us)
    await worker.handle([record])
    await worker.tick(from_us(now_us) + timedelta(seconds=29))
    assert [row["status"] for row in await worker.trips()] == ["in_progress"]
    await worker.tick(from_us(now_us) + timedelta(seconds=31))
    assert [row["status"] for row in await worker.trips()] == ["completed"]


async def test_a_trip_that_was_open_and_stays_short_leaves_no_trace(worker: Worker) -> None:
    samples = Drive().go(8.0, 50).samples
    await worker.send(samples)
    assert [row["status"] for row in await worker.trips()] == ["in_progress"]
    await worker.tick_after(samples)
    assert await worker.trips() == []
    assert await worker.told() == []


async def test_each_wrong_event_gets_its_dead_letter_and_the_rest_is_stored(worker: Worker, db: Database) -> None:
    drive = Drive().go(12.0, 60)
    drive.samples[10] = msgspec.structs.replace(drive.samples[10], event_type="flying")
    foreign = msgspec.structs.replace(drive.samples[20], device_id="nobodys")
    early = msgspec.structs.replace(drive.samples[30], t_us=1_262_304_000_000_000)
    samples = [*drive.samples[:20], foreign, early, *drive.samples[21:]]
    record = worker.record_of(samples)
    outcomes = await worker.handle([record, worker.record(b"{nonsense", drive.t_us)])
    assert isinstance(outcomes[0], Ok)
    assert isinstance(outcomes[1], Dead)
    async with db.read() as uow:
        rows = (
            await uow.conn.execute(text("SELECT reason, index_in_record, value FROM dead_letters ORDER BY 2"))
        ).all()
        stored = await uow.conn.scalar(text("SELECT count(*) FROM telematics_events"))
    assert [(row[0], row[1]) for row in rows] == [("invalid", 10), ("unknown_device", 20), ("no_driver_assigned", 21)]
    assert b'"nobodys"' in bytes(rows[1][2])
    assert stored == 58


async def test_stray_points_are_flagged_in_the_store_and_crashes_raise_an_alert(worker: Worker, db: Database) -> None:
    drive = Drive().go(12.0, 60).emit(12.0, latitude=0.5).wait(1).go(12.0, 60)
    drive.emit(12.0, event_type="crash", accel_g=-3.0)
    await worker.send(drive.samples)
    await worker.send(drive.samples)
    async with db.read() as uow:
        flagged = await uow.conn.scalar(
            text("SELECT count(*) FROM telematics_events WHERE quality = :q"), {"q": int(Quality.IMPLIED_SPEED)}
        )
    assert flagged == 1
    (alert,) = await worker.told(topics.ALERTS)
    assert (alert.type, alert.data["device_id"], alert.key) == ("crash.reported", "dev-1", "DRV001")
    await worker.tick_after(drive.samples)
    (row,) = await worker.trips()
    assert row["crash_reported"]


async def test_a_state_that_somebody_else_wrote_is_not_overwritten(worker: Worker) -> None:
    samples = Drive().go(12.0, 200).samples
    worker.handler = new_handler(save_samples=1)
    await worker.send(samples[:100])
    other = Worker(worker.db, new_handler(save_samples=1))
    await other.send(samples[100:150])
    with pytest.raises(StateConflict):
        await worker.send(samples[150:])
    worker.handler.rolled_back()
    await worker.send(samples[150:])
    await worker.tick_after(samples)
    (row,) = await worker.trips()
    assert row["sample_count"] == 200


async def test_memory_is_bounded_and_forgets_revoked_partitions(worker: Worker) -> None:
    worker.handler = new_handler(max_cached=2)
    for number in range(4):
        await assign(worker.db, f"car-{number}", "DRV001", "2015-01-01T00:00:00Z")
        await worker.send(Drive(device_id=f"car-{number}").go(12.0, 5).samples)
    assert len(worker.handler.tracer.cache) == 2
    await worker.handler.revoked([TP])
    assert len(worker.handler.tracer.cache) == 0


async def test_units_suspected_are_kept_with_the_state(worker: Worker, db: Database) -> None:
    drive = Drive()
    for _ in range(700):
        drive.move(20.0)
        drive.emit(20.0 * 1.609344).wait(1)
    await worker.send(drive.samples)
    async with db.read() as uow:
        assert await uow.conn.scalar(text("SELECT units_suspect FROM device_trip_state")) == "kmh_as_mph"


async def test_the_gauge_of_trips_under_way_follows_the_driving(worker: Worker) -> None:
    async def shown() -> float | None:
        await collect(worker.db)
        return metrics.REGISTRY.get_sample_value("active_trips_total")

    await assign(worker.db, "dev-2", "DRV002", "2015-01-01T00:00:00Z")
    assert await shown() == 0
    first = Drive().go(15.0, 120).samples
    await worker.send(first)
    assert await shown() == 1
    second = Drive(device_id="dev-2", driver_id="DRV002", lat=45.0).go(15.0, 300).samples
    await worker.send(second)
    assert await shown() == 2
    await worker.send(Drive(t_us=first[-1].t_us + 1_000_000, lat=first[-1].latitude or 0.0).stand(400).samples)
    assert await shown() == 1, "the first one stands and its trip is over"
    await worker.tick_after(second)
    assert await shown() == 0
    assert [trip["status"] for trip in await worker.trips()] == ["completed"] * 2
