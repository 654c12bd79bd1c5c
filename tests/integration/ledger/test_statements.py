from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace
from sqlalchemy.exc import DBAPIError

from auto_insurance.contracts.trips import TRIP_AMENDED, TRIP_COMPLETED, TRIP_WITHDRAWN, TripChanged
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import ids
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.kernel.events import new_event
from auto_insurance.policies.billing_handlers import miles_subscription
from auto_insurance.policies.ledger_verify import verify
from auto_insurance.policies.postings import EntryKind, MileRate
from auto_insurance.policies.statements import Statements, state_month, state_until
from auto_insurance.policies.statements_miles import CorrectionLine
from auto_insurance.trips.schemas import TripFacts, TripFilter
from tests.support.ledger import START, Books, Policy

RATE = MileRate(START, Decimal("0.06"), Decimal(250))
JANUARY, FEBRUARY = date(2026, 1, 1), date(2026, 2, 1)


class Trips:
    """Trips of one driver, as the trips service lists them."""

    def __init__(self) -> None:
        self.all: list[TripFacts] = []

    def drive(self, day: date, miles: float, hour: int = 18) -> TripFacts:
        start = datetime.combine(day, time(hour), UTC)
        facts: dict[str, Any] = {
            "trip_id": ids.new_uuid(), "driver_id": "DRV001", "device_id": "DEV001", "vehicle_id": None,
            "status": "completed", "revision": 1, "start_time": start, "end_time": start, "end_reason": None,
            "time_zone": "America/Los_Angeles", "start_latitude": 0.0, "start_longitude": 0.0, "end_latitude": 0.0,
            "end_longitude": 0.0, "avg_speed_mph": 30.0, "max_speed_mph": 50.0, "crash_reported": False,
            "distance_miles": miles,
        }  # fmt: skip
        self.all.append(TripFacts(**facts))
        return self.all[-1]

    def change(self, trip_id: UUID, miles: float | None) -> None:
        """Give a trip another distance, or take it away."""
        rest = [trip for trip in self.all if trip.trip_id != trip_id]
        changed = [] if miles is None else [replace(t, distance_miles=miles) for t in self.all if t.trip_id == trip_id]
        self.all = rest + changed

    async def list_trips(
        self, uow: UnitOfWork, driver_ids: Sequence[str] | None, filters: TripFilter, page: int, page_size: int
    ) -> tuple[list[TripFacts], int]:
        assert filters.since is not None
        assert filters.until is not None
        assert filters.statuses == ("completed",)
        found = [trip for trip in self.all if filters.since <= trip.start_time < filters.until]
        return found[(page - 1) * page_size : page * page_size], len(found)


class Office:
    """A policy that charges miles, and its statements."""

    def __init__(self, books: Books, frozen: FrozenClock) -> None:
        self.books, self.frozen, self.trips = books, frozen, Trips()
        self.statements = Statements(books.ledger, books.invoices, self.trips)
        self.policy = Policy()

    def on(self, day: date) -> None:
        self.frozen.set(datetime.combine(day, time(12), UTC))

    async def until(self, today: date) -> int:
        self.on(today)
        return await state_until(self.books.db, self.statements, today, 5)

    async def tell(self, trip: TripFacts, type: str = TRIP_COMPLETED, reason: str = "completed") -> None:
        data = TripChanged(
            trip_id=trip.trip_id, driver_id=trip.driver_id, device_id=trip.device_id, revision=1,
            start_time=trip.start_time, end_time=trip.start_time, distance_miles=trip.distance_miles, reason=reason,
        )  # fmt: skip
        event = new_event(data, type=type, version=1, key=trip.driver_id)
        async with self.books.db.begin() as uow:
            await miles_subscription(self.statements).handlers[type](uow, event)

    async def all(self) -> list[Any]:
        async with self.books.db.read() as uow:
            return (await self.statements.listed(uow, "POL-1", limit=100, offset=0))[0][::-1]

    async def entries(self, kind: EntryKind = EntryKind.USAGE) -> list[Any]:
        async with self.books.db.read() as uow:
            found, _ = await self.books.ledger.entries(uow, "POL-1")
        return [entry for entry in found[::-1] if entry.kind is kind]


@pytest.fixture
async def office(books: Books, frozen: FrozenClock) -> Office:
    made = Office(books, frozen)
    await books.book(made.policy.bind("240.00", per_mile=(RATE,)))
    return made


async def test_a_month_is_stated_once_with_its_cap(office: Office) -> None:
    office.trips.drive(date(2026, 1, 3), 12.34)
    office.trips.drive(date(2026, 1, 3), 20.0)
    office.trips.drive(date(2026, 1, 10), 400.0)
    office.trips.drive(date(2026, 2, 1), 5.0, hour=7)  # 23:00 of 31 January in California
    office.trips.drive(date(2026, 2, 1), 99.0, hour=9)
    assert await office.until(date(2026, 2, 5)) == 0, "late trips have five days"
    assert await office.until(date(2026, 2, 6)) == 1
    assert await office.until(date(2026, 2, 7)) == 0
    [statement] = await office.all()
    assert [(day.on.day, float(day.miles), float(day.charged_miles), str(day.amount)) for day in statement.days] == [
        (3, 32.3, 32.3, "1.94"),
        (10, 400.0, 250.0, "15.00"),
        (31, 5.0, 5.0, "0.30"),
    ]
    assert (statement.month, statement.amount, statement.miles) == (JANUARY, Decimal("17.24"), Decimal("437.3"))
    [entry] = await office.entries()
    assert (entry.reference, entry.reason) == ("statement:POL-1:2026-01", "miles of 2026-01")
    assert (await office.books.balance()).owed == Decimal("257.24")
    assert (await verify(office.books.db)).faults == ()


@pytest.mark.parametrize(
    ("type", "reason", "miles", "amount"),
    [
        (TRIP_AMENDED, "late_events", 50.0, "2.40"),
        (TRIP_WITHDRAWN, "dispute", None, "-0.60"),
    ],
)
async def test_what_comes_late_ends_as_one_correction_entry(
    office: Office, type: str, reason: str, miles: float | None, amount: str
) -> None:
    """From the event of the trip to the entry, whatever the number of events."""
    trip = office.trips.drive(date(2026, 1, 3), 10.0)
    office.trips.drive(date(2026, 1, 4), 10.0)
    await office.until(date(2026, 2, 6))
    office.trips.change(trip.trip_id, miles)
    for _ in range(3):
        await office.tell(trip, type, reason)
    office.trips.drive(date(2026, 2, 3), 100.0)
    await office.until(date(2026, 3, 6))
    statement = (await office.all())[-1]
    line = CorrectionLine(
        date(2026, 1, 3), reason.replace("_", " "), Decimal("10.0"), Decimal(str(miles or 0)), Decimal(amount)
    )
    assert statement.corrections == (line,)
    assert statement.amount == Decimal("6.00") + Decimal(amount)
    corrections = [entry for entry in await office.entries() if entry.reference.startswith("correction:")]
    assert [entry.reason for entry in corrections] == [f"correction of earlier miles: {reason.replace('_', ' ')}"]
    assert (await office.books.balance()).earned == Decimal("1.20") + Decimal("6.00") + Decimal(amount)
    assert (await office.all())[0].amount == Decimal("1.20"), "what is stated stays"
    assert (await verify(office.books.db)).faults == ()


async def test_a_correction_is_corrected(office: Office) -> None:
    trip = office.trips.drive(date(2026, 1, 3), 10.0)
    await office.until(date(2026, 2, 6))
    for number, miles in ((2, 30.0), (3, 20.0), (4, 20.0)):
        office.trips.change(trip.trip_id, miles)
        await office.tell(trip, TRIP_AMENDED, "late_events")
        await office.until(date(2026, number + 1, 6))
    assert [[str(one.amount) for one in s.corrections] for s in await office.all()] == [[], ["1.20"], ["-0.60"], []]


async def test_a_late_trip_after_the_end_gets_a_last_statement(office: Office) -> None:
    end = date(2026, 1, 20)
    await office.books.book(office.policy.change(JANUARY, (START, end, "240.00"), per_mile=(RATE,), kind="cancelled"))
    office.trips.drive(date(2026, 1, 25), 70.0)
    await office.until(date(2026, 3, 6))
    [only] = await office.all()
    assert (only.amount, only.charged_miles) == (0, 0), "without cover nothing is charged"
    await office.tell(office.trips.drive(date(2026, 1, 5), 10.0))
    await office.until(date(2026, 4, 6))
    assert [str(one.amount) for one in await office.all()] == ["0.00", "0.60"]


async def test_a_trip_of_this_month_needs_no_note(office: Office) -> None:
    office.on(date(2026, 1, 20))
    await office.tell(office.trips.drive(date(2026, 1, 19), 10.0))
    await office.until(date(2026, 2, 6))
    assert [one.corrections for one in await office.all()] == [()]


async def test_a_late_trip_before_the_statement_is_in_it(office: Office) -> None:
    office.on(date(2026, 2, 3))
    await office.tell(office.trips.drive(date(2026, 1, 19), 10.0))
    await office.until(date(2026, 2, 6))
    await office.until(date(2026, 3, 6))
    assert [(len(one.days), one.corrections) for one in await office.all()] == [(1, ()), (0, ())]


async def test_rates_change_within_a_month(office: Office) -> None:
    rates = (RATE, MileRate(date(2026, 1, 16), Decimal("0.10"), None))
    await office.books.book(office.policy.change(START, (START, office.policy.term.ends_on, "250.00"), per_mile=rates))
    office.trips.drive(date(2026, 1, 15), 300.0)
    office.trips.drive(date(2026, 1, 16), 300.0)
    await office.until(date(2026, 2, 6))
    [statement] = await office.all()
    assert [str(day.amount) for day in statement.days] == ["15.00", "30.00"]


async def test_policies_that_charge_no_miles_have_no_statements(office: Office) -> None:
    await office.books.book(Policy("POL-2").bind())
    office.on(FEBRUARY)
    assert await state_month(office.books.db, office.statements, JANUARY) == 1
    async with office.books.db.begin() as uow:
        assert await office.statements.make(uow, "POL-2", "DRV002", JANUARY) is None
        assert await office.statements.make(uow, "POL-1", "DRV001", JANUARY) is None, "there is one already"
        assert await office.statements.make(uow, "POL-404", "DRV404", JANUARY) is None


@pytest.mark.parametrize("sql", ["UPDATE statements SET amount = 0", "DELETE FROM statements"])
async def test_a_statement_is_final(office: Office, sql: str) -> None:
    await office.until(date(2026, 2, 6))
    with pytest.raises(DBAPIError, match="append-only"):
        await office.books.execute(sql)


async def test_many_trips_are_read_in_pages(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auto_insurance.policies.statements.TRIP_PAGE", 4)
    for number in range(10):
        office.trips.drive(START + timedelta(days=number), 10.0)
    await office.until(date(2026, 2, 6))
    assert (await office.all())[0].miles == 100
