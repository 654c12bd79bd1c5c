"""What others read of trips."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from auto_insurance.trips.schemas import TripFilter, TripSums
from auto_insurance.trips.service import TripService
from tests.integration.trips.conftest import Worker, assign
from tests.support.trips import Drive

SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
async def filled(worker: Worker) -> Worker:
    await assign(worker.db, "dev-2", "DRV002", "2015-01-01T00:00:00Z")
    one = Drive().go(12.0, 200, speed_limit_mph=20.0).stand(200).go(15.0, 100).wait(700)
    two = Drive(device_id="dev-2").go(20.0, 100).emit(20.0, event_type="harsh_brake")
    await worker.send(one.samples)
    await worker.send(two.samples)
    await worker.tick_after(one.samples)
    await worker.send(Drive(t_us=one.t_us).go(10.0, 60).samples)
    return worker


async def test_totals_are_the_sums_of_completed_trips(filled: Worker) -> None:
    service = TripService()
    async with filled.db.read() as uow:
        totals = await service.totals(uow, ["DRV001", "DRV002", "DRV009"], SINCE, UNTIL)
        listed, total = await service.list_trips(uow, ["DRV001"], TripFilter(), 1, 20)
    assert total == len(listed) == totals["DRV001"].trip_count == 2
    for name in TripSums.__struct_fields__:
        assert getattr(totals["DRV001"], name) == pytest.approx(sum(getattr(trip, name) for trip in listed))
    assert totals["DRV001"].first_start == min(trip.start_time for trip in listed)
    assert totals["DRV001"].last_end == max(trip.end_time for trip in listed if trip.end_time)
    assert totals["DRV001"].max_speed_mph == max(trip.max_speed_mph for trip in listed)
    assert isinstance(totals["DRV001"].sample_count, int)
    assert totals["DRV002"].trip_count == 1
    assert totals["DRV009"].trip_count == 0
    async with filled.db.read() as uow:
        none = await service.totals(uow, ["DRV001"], UNTIL, UNTIL)
    assert none["DRV001"].distance_miles == 0.0


async def test_sums_of_a_book_are_those_of_each_driver_and_end_at_the_cut_off(filled: Worker) -> None:
    service = TripService()
    drivers = ["DRV001", "DRV002", "DRV009"]
    async with filled.db.read() as uow:
        single = await service.totals(uow, drivers, SINCE, UNTIL)
        book = await service.totals_of_book(uow, drivers, SINCE, UNTIL)
        trips, _ = await service.list_trips(uow, ["DRV001"], TripFilter(), 1, 20)
        later = max(trip.start_time for trip in trips)
        before = await service.totals_of_book(uow, drivers, SINCE, later)
    assert book.driver_ids == ["DRV001", "DRV002"]
    assert set(book.sums) == set(TripSums.__struct_fields__)
    for place, driver_id in enumerate(book.driver_ids):
        for name in TripSums.__struct_fields__:
            assert book.sums[name][place] == pytest.approx(getattr(single[driver_id], name), rel=1e-12)
    assert book.sums["speed_known_s"][0] > 0
    assert before.trip_count[0] == 1
    (first,) = [trip for trip in trips if trip.start_time < later]
    for name in TripSums.__struct_fields__:
        assert before.sums[name][0] == getattr(first, name)


async def test_lists_are_filtered_and_paged(filled: Worker) -> None:
    service = TripService()
    async with filled.db.read() as uow:
        everything, total = await service.list_trips(uow, None, TripFilter(statuses=()), 1, 3)
        rest, _ = await service.list_trips(uow, None, TripFilter(statuses=()), 2, 3)
        still_open, _ = await service.list_trips(uow, None, TripFilter(statuses=("in_progress",)), 1, 20)
        of_device, _ = await service.list_trips(uow, None, TripFilter(device_id="dev-2"), 1, 20)
        none, nothing = await service.list_trips(uow, [], TripFilter(since=SINCE, until=UNTIL), 1, 20)
    assert total == 4
    assert (len(everything), len(rest)) == (3, 1)
    starts = [trip.start_time for trip in [*everything, *rest]]
    assert starts == sorted(starts, reverse=True)
    assert [trip.end_time for trip in still_open] == [None]
    assert [trip.driver_id for trip in of_device] == ["DRV002"]
    assert (none, nothing) == ([], 0)


async def test_a_trip_and_its_events(filled: Worker) -> None:
    service = TripService()
    async with filled.db.read() as uow:
        (trip,), _ = await service.list_trips(uow, ["DRV002"], TripFilter(), 1, 20)
        assert await service.get(uow, trip.trip_id) == trip
        assert await service.get(uow, uuid4()) is None
        events = await service.events_of(uow, trip.trip_id)
    assert [(event.kind, event.asserted, event.peak) for event in events] == [("harsh_brake", True, None)]
