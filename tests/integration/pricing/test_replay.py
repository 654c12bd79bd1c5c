"""A stored price is made again from events, model and plan, to the cent; what was touched is named."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from auto_insurance.drivers.service import DriverService
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import ids
from auto_insurance.kernel.clock import FrozenClock, from_us, use_clock
from auto_insurance.pricing.corrections import Corrections
from auto_insurance.pricing.errors import PremiumNotFound
from auto_insurance.pricing.replay import Replayed, Source
from auto_insurance.pricing.replay_service import Replays
from auto_insurance.pricing.schemas import Premium
from auto_insurance.pricing.service import Score
from auto_insurance.pricing.service_rater import OnePlan
from auto_insurance.telematics.archive import Archiver
from auto_insurance.telematics.archive_reads import ArchiveReader
from auto_insurance.telematics.archive_steps import ArchiveOptions
from auto_insurance.telematics.schemas import Sample
from auto_insurance.telematics.service import TelematicsService
from auto_insurance.trips.service import TripService
from tests.integration.trips.conftest import Worker, assign
from tests.integration.trips.conftest import worker as worker  # noqa: PLC0414 (a fixture)
from tests.support.scoring import World, make_world
from tests.support.trips import START_US, Drive

DRIVER = "DRV001"


def _wild(t_us: int = START_US, kilometres: int = 8) -> list[Sample]:
    """A drive that brakes hard every kilometre and a half."""
    drive = Drive(t_us=t_us)
    for _ in range(kilometres):
        drive.go(25.0, 60).go(12.0, 3).go(5.0, 3)
    return drive.samples


def _late(samples: list[Sample], by: timedelta) -> list[Sample]:
    arrived = int(by.total_seconds() * 1e6)
    return [msgspec.structs.replace(sample, received_us=sample.received_us + arrived) for sample in samples]


@dataclass
class Book:
    """A driver with two drives, and what replays its premiums."""

    db: Database
    world: World
    worker: Worker
    replays: Replays
    options: ArchiveOptions
    clock: FrozenClock
    samples: list[Sample]

    async def charge(self) -> Premium:
        async with self.db.begin() as uow:
            await self.world.risk.score_driver(uow, DRIVER, "test")
            today = self.clock.now().date()
            return await self.world.pricing.charge(uow, DRIVER, reason="bind", effective_date=today)

    async def indicate(self) -> Premium:
        async with self.db.begin() as uow:
            made = await self.world.risk.score_driver(uow, DRIVER, "test")
            score = Score(
                score_id=made.score_id,
                relativity=made.relativity,
                confidence=made.confidence,
                model_version=made.model_version,
            )
            premium = await self.world.pricing.indicate(uow, DRIVER, score, "test")
        assert premium is not None
        return premium

    async def replay(self, premium: Premium, **how: Any) -> Replayed:
        async with self.db.read() as uow:
            return await self.replays.replay(uow, premium.premium_id, **how)

    async def touch(self, statement: str, **values: Any) -> None:
        """Change rows as somebody would who has the database in hand: what refuses to be changed is switched off."""
        async with self.db.begin() as uow:
            await uow.conn.execute(text("ALTER TABLE premiums DISABLE TRIGGER premiums_stay"))
            assert (await uow.conn.execute(text(statement), values)).rowcount

    async def lost(self, *tables: str) -> None:
        async with self.db.begin() as uow:
            for table in tables:
                await uow.conn.execute(text(f"DELETE FROM {table}"))


@pytest.fixture
async def book(db: Database, worker: Worker, tmp_path: Path) -> AsyncIterator[Book]:
    first = _wild()
    second = _wild(first[-1].t_us + 1_500_000_000)
    at = FrozenClock(from_us(second[-1].t_us) + timedelta(days=3))
    options = ArchiveOptions(tmp_path / "archive", quiet=timedelta(0), part_rows=700)
    with use_clock(at):
        world = make_world(db)
        telematics = TelematicsService(archive=ArchiveReader(options))
        replays = Replays(OnePlan(), world.risk, TripService(), telematics, world.drivers)
        samples = [*first, *second]
        await worker.send(samples)
        await worker.tick_after(samples)
        yield Book(db, world, worker, replays, options, at, samples)


async def test_charged_and_indicated_are_made_again_from_events(book: Book) -> None:
    charged, indicated = await book.charge(), await book.indicate()
    for premium in (charged, indicated):
        found = await book.replay(premium)
        assert (found.differences, found.exact, found.first) == ((), True, None)
        assert (found.source, found.events, found.trips) == (Source.EVENTS, len(book.samples), 2)
        assert found.annual_premium_again == str(premium.annual_premium)
        assert found.archived_events == 0


async def test_what_came_later_is_left_out(book: Book) -> None:
    charged = await book.charge()
    book.clock.advance(timedelta(days=2))
    last = book.samples[-1].t_us
    more = _late(_wild(last + 900_000_000), timedelta(days=4))
    await book.worker.send(more)
    await book.worker.tick_after(more)
    found = await book.replay(charged)
    assert (found.exact, found.trips, found.events) == (True, 2, len(book.samples))
    assert (await book.replay(await book.indicate())).trips == 3


async def test_an_archived_month_is_read_from_its_files(book: Book) -> None:
    charged = await book.charge()
    book.clock.advance(timedelta(days=400))
    await Archiver(book.db, book.options).retain()
    async with book.db.read() as uow:
        left = (await uow.conn.execute(text("SELECT count(*) FROM telematics_events"))).scalar_one()
    assert left == 0, "the month has left the database"
    found = await book.replay(charged)
    assert (found.exact, found.source) == (True, Source.EVENTS)
    assert (found.events, found.archived_events) == (len(book.samples), len(book.samples))


async def test_after_erasure_the_stored_features_stand_in(book: Book) -> None:
    charged = await book.charge()
    indicated = await book.indicate()
    await book.lost("telematics_events", "trips")
    for premium in (charged, indicated):
        found = await book.replay(premium)
        assert (found.exact, found.source, found.events, found.trips) == (True, Source.FEATURES, 0, 2)
    await book.lost("risk_scores")
    assert (await book.replay(charged)).source is Source.FEATURES, "they are kept with the charged premium"
    found = await book.replay(indicated)
    assert (found.exact, found.source) == (True, Source.INPUTS)


async def test_features_serve_if_asked_for(book: Book) -> None:
    found = await book.replay(await book.charge(), from_events=False)
    assert (found.exact, found.source) == (True, Source.FEATURES)


async def test_a_price_of_the_facts_alone(book: Book) -> None:
    async with book.db.begin() as uow:
        first = await book.world.pricing.charge_initial(uow, DRIVER)
    found = await book.replay(first)
    assert (found.exact, found.source, found.model_version) == (True, Source.NONE, None)


TAMPERED = (
    ("UPDATE premiums SET annual_premium = annual_premium + 0.01", "annual_premium"),
    ("UPDATE premiums SET monthly_premium = 1", "monthly_premium"),
    ("UPDATE premiums SET inputs = jsonb_set(inputs, '{prior_claims}', '3')", "worksheet line 7 (prior_claims): input"),
    (
        "UPDATE premiums SET inputs = jsonb_set(inputs, '{telematics,relativity}', '\"0.500000\"')",
        "inputs: relativity",
    ),
    (
        "UPDATE premiums SET worksheet = jsonb_set(worksheet, '{0,factor}', '\"900.00\"')",
        "worksheet line 1 (base): factor",
    ),
    ("UPDATE premiums SET worksheet = worksheet - 10", "worksheet line"),
    (
        "UPDATE premiums SET driving = jsonb_set(driving, '{features,harsh_braking_per_100mi}', '1')",
        "driving: harsh_braking",
    ),
    ("UPDATE premiums SET driving = jsonb_set(driving, '{relativity}', '0.5')", "model "),
    ("UPDATE telematics_events SET speed_mph = 40, acceleration_g = 0 WHERE speed_mph < 40", "driving: "),
    ("DELETE FROM telematics_events WHERE timestamp > CAST('2026-01-05 08:20Z' AS timestamptz)", "driving: trips"),
)


@pytest.mark.parametrize(("statement", "where"), TAMPERED)
async def test_the_first_place_that_was_tampered_with_is_named(book: Book, statement: str, where: str) -> None:
    charged = await book.charge()
    await book.touch(statement)
    found = await book.replay(charged)
    assert found.first is not None
    assert found.first.where.startswith(where), found.differences
    assert found.first.stored != found.first.again


async def test_an_unknown_premium(book: Book) -> None:
    with pytest.raises(PremiumNotFound):
        async with book.db.read() as uow:
            await book.replays.replay(uow, ids.new_uuid())


def _corrections(world: World) -> Corrections:
    return Corrections(OnePlan(), TripService(), world.risk)


async def test_a_correction_can_be_replayed_and_so_can_what_it_corrects(book: Book) -> None:
    charged = await book.charge()
    between = book.samples[len(book.samples) // 2 - 1].t_us
    late = _late(Drive(t_us=between + 700_000_000, device_id="dev-9").go(30.0, 400).samples, timedelta(days=5))
    await _assign(book.db, "dev-9")
    book.clock.advance(timedelta(days=5))
    await book.worker.send(late)
    await book.worker.tick_after(late)
    async with book.db.begin() as uow:
        (made,) = await _corrections(book.world).trip_changed(uow, DRIVER, from_us(late[0].t_us), "trip.completed")
    assert (made.corrects, made.reason) == (charged.version, f"correction of version {charged.version}: trip.completed")
    found, before = await book.replay(made), await book.replay(charged)
    assert (found.differences, found.trips, found.source) == ((), 3, Source.EVENTS)
    assert (before.differences, before.trips) == ((), 2)


async def _assign(db: Database, device_id: str) -> None:
    await assign(db, device_id, DRIVER, "2015-01-01T00:00:00Z")


async def test_services_of_drivers_know_whose_devices_they_were(book: Book) -> None:
    people: DriverService = book.world.drivers
    async with book.db.read() as uow:
        histories = await people.histories_of(uow, DRIVER)
        nobody = await people.histories_of(uow, "DRV404")
    assert list(histories) == ["dev-1"]
    assert [span.assignment.driver_id for span in histories["dev-1"].spans] == ["DRV001", "DRV002"]
    assert nobody == {}
