"""What a consumer remembers of assignments is what the database says, whoever changed it in whatever order."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from auto_insurance.drivers import known_devices, repository_devices
from auto_insurance.drivers.known_devices import KnownDevices
from auto_insurance.infra.db.uow import Database, UnitOfWork
from tests.support.people import People

GIVE = (
    "INSERT INTO device_assignments (device_id, driver_id, valid_from, valid_to)"
    " VALUES (:device, :driver, '2026-01-01', '2026-02-01')"
)


async def give(uow: UnitOfWork, device: str, driver: str = "DRV001") -> None:
    await uow.conn.execute(
        text("INSERT INTO devices (device_id, kind, created_at) VALUES (:d, 'obd', now()) ON CONFLICT DO NOTHING"),
        {"d": device},
    )
    await uow.conn.execute(text(GIVE), {"device": device, "driver": driver})


async def seen(known: KnownDevices, db: Database, *devices: str) -> dict[str, list[tuple[str, str]]]:
    async with db.read() as uow:
        found = await known.load(uow, devices)
    return {
        name: [(span.assignment.driver_id, span.assignment.time_zone) for span in history.spans]
        for name, history in found.items()
    }


@pytest.fixture
async def zone(people: People) -> str:
    async with people.db.begin() as uow:
        await uow.conn.execute(text("UPDATE drivers SET time_zone = 'America/Chicago'"))
        for device in ("car-1", "car-2"):
            await give(uow, device)
    return "America/Chicago"


async def test_every_kind_of_change_is_seen_by_the_next_batch(people: People, zone: str) -> None:
    known, db = KnownDevices(), people.db
    first = {"car-1": [("DRV001", zone)], "car-2": [("DRV001", zone)]}
    assert await seen(known, db, "car-1", "car-2", "nobodys") == first
    for change, expected in (
        ("UPDATE device_assignments SET driver_id = 'DRV002' WHERE device_id = 'car-1'", [("DRV002", zone)]),
        ("UPDATE drivers SET time_zone = 'Europe/Berlin' WHERE driver_id = 'DRV002'", [("DRV002", "Europe/Berlin")]),
        (
            "INSERT INTO device_assignments (device_id, driver_id, valid_from)"
            " VALUES ('car-1', 'DRV001', '2026-02-01')",
            [("DRV002", "Europe/Berlin"), ("DRV001", zone)],
        ),
        ("DELETE FROM device_assignments WHERE driver_id = 'DRV002'", [("DRV001", zone)]),
        ("DELETE FROM device_assignments WHERE device_id = 'car-1'", []),
    ):
        async with db.begin() as uow:
            await uow.conn.execute(text(change))
        assert await seen(known, db, "car-1", "car-2") == first | {"car-1": expected}


async def test_what_is_known_is_not_read_again(people: People, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known, reads = KnownDevices(), list[list[str]]()
    original = repository_devices.histories

    async def counted(uow: UnitOfWork, names: list[str]) -> object:
        reads.append(list(names))
        return await original(uow, names)

    monkeypatch.setattr(repository_devices, "histories", counted)
    for _ in range(3):
        await seen(known, people.db, "car-1", "car-2")
    assert reads == [["car-1", "car-2"]]
    async with people.db.begin() as uow:
        await uow.conn.execute(text("UPDATE device_assignments SET valid_to = NULL WHERE device_id = 'car-2'"))
    await seen(known, people.db, "car-1", "car-2")
    assert reads[1:] == [["car-2"]]


async def test_a_transaction_that_began_early_and_commits_late_is_seen(people: People, zone: str) -> None:
    """A plain counter would miss it: others commit changes with later numbers in between."""
    known, db = KnownDevices(), people.db
    async with db.begin() as slow:
        await slow.conn.execute(text("UPDATE device_assignments SET driver_id = 'DRV002' WHERE device_id = 'car-1'"))
        for _ in range(3):
            async with db.begin() as quick:
                await quick.conn.execute(
                    text(
                        "UPDATE device_assignments SET valid_to = valid_to + interval '1 day' WHERE device_id = 'car-2'"
                    )
                )
            assert (await seen(known, db, "car-1", "car-2"))["car-1"] == [("DRV001", zone)]
    assert (await seen(known, db, "car-1", "car-2"))["car-1"] == [("DRV002", zone)]


async def test_a_change_that_is_rolled_back_never_was(people: People, zone: str) -> None:
    known = KnownDevices()
    with pytest.raises(RuntimeError):
        async with people.db.begin() as uow:
            await uow.conn.execute(text("UPDATE device_assignments SET driver_id = 'DRV002'"))
            assert (await known.load(uow, ["car-1"]))["car-1"].spans[0].assignment.driver_id == "DRV002"
            raise RuntimeError
    # A consumer changes no assignment in its own transactions; one that would, must start anew.
    assert await seen(KnownDevices(), people.db, "car-1") == {"car-1": [("DRV001", zone)]}


async def test_memory_is_bounded_and_a_long_rest_forgets_all(
    people: People, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = KnownDevices(capacity=1)
    assert set(await seen(known, people.db, "car-1", "car-2")) == {"car-1", "car-2"}
    assert len(known) == 1
    monkeypatch.setattr(known_devices, "MAX_REST_S", -1.0)
    assert set(await seen(known, people.db)) == set()
    assert len(known) == 0


async def test_changes_are_kept_for_a_day(people: People, zone: str) -> None:
    async with people.db.begin() as uow:
        await uow.conn.execute(text("UPDATE device_changes SET changed_at = now() - interval '25 hours'"))
        await give(uow, "car-3")
        kept = (await uow.conn.execute(text("SELECT device_id FROM device_changes"))).scalars().all()
    assert kept == ["car-3"]
