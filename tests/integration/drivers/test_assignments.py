from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, text

from auto_insurance.drivers.errors import AssignmentConflict, DriverNotFound
from auto_insurance.drivers.schemas import DeviceAssign, DriverCreate, VehicleCreate
from auto_insurance.identity.errors import InvalidDeviceKey
from auto_insurance.identity.schemas import IssuedKey
from auto_insurance.kernel import clock
from auto_insurance.kernel.clock import to_us
from tests.support.people import People

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def frozen() -> Iterator[clock.FrozenClock]:
    made = clock.FrozenClock(AT)
    with clock.use_clock(made):
        yield made


async def assign(people: People, driver_id: str, at: datetime | None = None, **options: bool) -> IssuedKey:
    async with people.db.begin() as uow:
        wanted = DeviceAssign(device_id="phone-1", effective_from=at)
        return await people.drivers.assign_device(uow, driver_id, wanted, **options)


async def owner(people: People, at: datetime) -> str | None:
    async with people.db.read() as uow:
        found = (await people.drivers.assignments(uow, ["phone-1"]))["phone-1"].at(to_us(at))
    return found.driver_id if found else None


async def test_a_hand_over_moves_nothing(people: People, frozen: clock.FrozenClock) -> None:
    first = await assign(people, "DRV001", AT - 10 * HOUR)
    second = await assign(people, "DRV002", AT + HOUR)
    for at, expected in [
        (AT - 11 * HOUR, None),
        (AT - 10 * HOUR, "DRV001"),
        (AT + HOUR - timedelta(microseconds=1), "DRV001"),
        (AT + HOUR, "DRV002"),
        (AT + 1000 * HOUR, "DRV002"),
    ]:
        assert await owner(people, at) == expected
    assert (await people.keys.check(first.key.get_secret_value())).device_id == "phone-1"
    frozen.advance(HOUR)
    with pytest.raises(InvalidDeviceKey):
        await people.keys.check(first.key.get_secret_value())
    await people.keys.check(second.key.get_secret_value())


async def test_the_past_stays_as_it_was(people: People, frozen: clock.FrozenClock) -> None:
    await assign(people, "DRV001", AT - 10 * HOUR)
    for wrong in (AT - HOUR, AT - 10 * HOUR, AT - 11 * HOUR):
        with pytest.raises(AssignmentConflict):
            await assign(people, "DRV002", wrong)
    with pytest.raises(AssignmentConflict):
        await assign(people, "DRV002", AT - 11 * HOUR, backdated=True)
    await assign(people, "DRV002", AT - HOUR, backdated=True)
    assert await owner(people, AT - 2 * HOUR) == "DRV001"
    assert await owner(people, AT) == "DRV002"


async def test_a_retired_device_can_come_back(people: People, frozen: clock.FrozenClock) -> None:
    await assign(people, "DRV001", AT - HOUR)
    async with people.db.begin() as uow:
        await people.drivers.retire_device(uow, "DRV001", "phone-1")
    with pytest.raises(AssignmentConflict):
        await assign(people, "DRV002", AT - timedelta(minutes=1))
    frozen.advance(HOUR)
    await assign(people, "DRV002")
    assert await owner(people, AT - timedelta(minutes=1)) == "DRV001"
    assert await owner(people, AT + timedelta(minutes=1)) is None
    assert await owner(people, AT + HOUR) == "DRV002"


async def test_an_assignment_to_come_is_cancelled_by_retiring(people: People, frozen: clock.FrozenClock) -> None:
    await assign(people, "DRV001", AT + HOUR)
    async with people.db.begin() as uow:
        await people.drivers.retire_device(uow, "DRV001", "phone-1")
        assert (await people.drivers.assignments(uow, ["phone-1"]))["phone-1"].spans == ()
    await assign(people, "DRV002")
    assert await owner(people, AT) == "DRV002"


async def test_hand_overs_at_once_take_turns(people: People) -> None:
    now = clock.now()
    results = await asyncio.gather(
        *(assign(people, f"DRV00{1 + n % 2}", now + timedelta(seconds=n)) for n in range(6)), return_exceptions=True
    )
    assert all(isinstance(result, IssuedKey | AssignmentConflict) for result in results), results
    assert any(isinstance(result, IssuedKey) for result in results)
    async with people.db.read() as uow:
        spans = (await people.drivers.assignments(uow, ["phone-1"]))["phone-1"].spans
    assert len(spans) == sum(isinstance(result, IssuedKey) for result in results)
    assert [span.to_us for span in spans] == [*(span.from_us for span in spans[1:]), None]


async def test_the_database_itself_refuses_two_owners_at_once(people: People) -> None:
    await assign(people, "DRV001", AT)
    with pytest.raises(Exception, match="ex_device_assignments_one_at_a_time"):
        async with people.db.begin() as uow:
            await uow.conn.execute(
                text(
                    "INSERT INTO device_assignments (device_id, driver_id, valid_from) "
                    "VALUES ('phone-1', 'DRV002', :at)"
                ),
                {"at": AT + HOUR},
            )


async def test_set_based_reads_take_one_query(people: People) -> None:
    await assign(people, "DRV001")
    statements: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(people.db.engine.sync_engine, "before_cursor_execute", note)
    async with people.db.read() as uow:
        assert set(await people.drivers.assignments(uow, ["phone-1", "unknown"])) == {"phone-1"}
        assert len(statements) == 1
        assert set(await people.drivers.facts_many(uow, ["DRV001", "DRV002", "DRV999"])) == {"DRV001", "DRV002"}
        assert len(statements) == 2
        assert await people.drivers.existing(uow, ["DRV001", "DRV999"]) == {"DRV001"}
        assert len(statements) == 3
        assert await people.drivers.assignments(uow, []) == {}
        assert await people.drivers.facts_many(uow, []) == {}
        assert await people.drivers.existing(uow, []) == frozenset()
        assert len(statements) == 3
        assert await people.drivers.driver_ids(uow, limit=1) == ["DRV001"]
        assert await people.drivers.driver_ids(uow, after="DRV001") == ["DRV002"]
        assert await people.drivers.exists(uow, "DRV001")
        assert not await people.drivers.exists(uow, "DRV999")


async def test_facts_name_the_newest_vehicle(people: People) -> None:
    async with people.db.begin() as uow:
        assert (await people.drivers.facts(uow, "DRV001")).vehicle is None
        for model in ("old", "new"):
            await people.drivers.add_vehicle(uow, "DRV001", VehicleCreate(make="m", model=model, year=2020))
        facts = await people.drivers.facts(uow, "DRV001")
        assert facts.vehicle is not None
        assert (facts.vehicle.model, facts.coverage, facts.state) == ("new", "standard", "IL")
        with pytest.raises(DriverNotFound):
            await people.drivers.facts(uow, "DRV999")


async def test_numbers_of_seeded_drivers_are_not_given_again(people: People) -> None:
    car = VehicleCreate(make="m", model="m", year=2020)
    async with people.db.begin() as uow:
        seeded = await people.drivers.ensure_driver(uow, 7, DriverCreate(state="IL", vehicle=car))
        again = await people.drivers.ensure_driver(uow, 7, DriverCreate(state="NY", vehicle=car))
        assert (seeded.driver_id, again.state) == ("DRV007", "IL")
        assert (await people.drivers.vehicles(uow, "DRV007"))[1] == 1
        assert (await people.drivers.create(uow, DriverCreate(state="IL"))).driver_id == "DRV008"


async def test_generated_device_ids_step_over_taken_ones(people: People) -> None:
    async with people.db.begin() as uow:
        await people.drivers.assign_device(uow, "DRV001", DeviceAssign(device_id="DEV001"))
        assert (await people.drivers.assign_device(uow, "DRV001", DeviceAssign())).device_id == "DEV002"
