"""Scores after trips on a real log: one for trips of a moment, and none lost or repeated by crashes of consumers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select

from auto_insurance.contracts import topics
from auto_insurance.contracts.trips import TRIP_COMPLETED
from auto_insurance.infra.bus.events import EventHandler
from auto_insurance.infra.bus.models import handled_events
from auto_insurance.infra.bus.postgres import PostgresLog
from auto_insurance.infra.bus.protocol import NewRecord
from auto_insurance.infra.bus.runner import Runner, RunnerOptions
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import clock, events
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.risk.due import DueOptions, DueScores
from auto_insurance.risk.handlers import subscription
from auto_insurance.risk.models import due_scores, risk_scores
from auto_insurance.risk.service import RiskService
from auto_insurance.trips.service import TripService
from tests.integration.bus.conftest import FAST
from tests.support.scoring import add_trip, make_world, trip_event

MOMENT = timedelta(seconds=5)
DRIVERS = ("DRV001", "DRV002", "DRV003")
TRIPS = 4


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[PostgresLog]:
    opened = PostgresLog(database_url, FAST)
    await opened.ensure_topics(topics.ALL)
    yield opened
    await opened.close()


class Dying(DueScores):
    """Loses its connection after the scores were made and before they are committed, so many times."""

    def __init__(self, risk: RiskService, deaths: int) -> None:
        super().__init__(risk, DueOptions(MOMENT))
        self.deaths = deaths

    async def score_due(self, uow: UnitOfWork) -> None:
        await super().score_due(uow)
        made = await uow.conn.scalar(select(func.count()).select_from(risk_scores))
        if made and self.deaths:
            self.deaths -= 1
            raise ConnectionResetError


def service(db: Database) -> RiskService:
    return RiskService(TripService(), make_world(db).drivers)


async def drive(db: Database, driver_id: str) -> UUID:
    async with db.begin() as uow:
        return await add_trip(uow, driver_id, clock.now() - timedelta(hours=2), distance_miles=10.0)


async def send(log: PostgresLog, trips: Sequence[tuple[str, UUID]]) -> None:
    told = [trip_event(TRIP_COMPLETED, trip_id, driver_id) for driver_id, trip_id in trips]
    await log.append([NewRecord(topics.TRIPS, event.key, events.encode(event)) for event in told])


async def scores(db: Database) -> dict[str, list[int]]:
    """Return the trips that each driver's scores saw, in order."""
    async with db.read() as uow:
        query = select(risk_scores.c.driver_id, risk_scores.c.trip_count).order_by(risk_scores.c.calculated_at)
        found: dict[str, list[int]] = {}
        for driver_id, trips in await uow.conn.execute(query):
            found.setdefault(driver_id, []).append(trips)
        return found


async def waiting(db: Database) -> int:
    async with db.read() as uow:
        return int(await uow.conn.scalar(select(func.count()).select_from(due_scores)) or 0)


async def handled(db: Database) -> int:
    async with db.read() as uow:
        return int(await uow.conn.scalar(select(func.count()).select_from(handled_events)) or 0)


async def settle(db: Database) -> None:
    async with asyncio.timeout(20):
        while set(await scores(db)) != set(DRIVERS) or await waiting(db):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("deaths", [0, 2])
async def test_trips_of_a_moment_lead_to_one_score_whatever_dies(
    db: Database, log: PostgresLog, frozen: FrozenClock, deaths: int
) -> None:
    trips = [(driver, await drive(db, driver)) for _ in range(TRIPS) for driver in DRIVERS]
    due = Dying(service(db), deaths)
    options = RunnerOptions(tick_interval_s=0.1, poll_timeout_s=0.1, backoff_first_s=0.05, max_records=3)
    handler = EventHandler(subscription(service(db), due))
    stop = asyncio.Event()
    members = [asyncio.create_task(Runner(db, log, handler, options).run(stop)) for _ in range(2)]
    await send(log, trips)
    async with asyncio.timeout(20):
        while await handled(db) < len(trips):
            await asyncio.sleep(0.02)
    assert await scores(db) == {}
    frozen.advance(MOMENT)
    await settle(db)
    stop.set()
    await asyncio.gather(*members)
    assert due.deaths == 0
    assert await scores(db) == {driver: [TRIPS] for driver in DRIVERS}


async def test_who_is_due_when_all_stop_is_scored_by_the_next_consumer(
    db: Database, log: PostgresLog, frozen: FrozenClock
) -> None:
    trips = [(driver, await drive(db, driver)) for driver in DRIVERS]
    options = RunnerOptions(tick_interval_s=0.1, poll_timeout_s=0.1)
    slow = EventHandler(subscription(service(db), DueScores(service(db), DueOptions(MOMENT))))
    first, stop = Runner(db, log, slow, options), asyncio.Event()
    working = asyncio.create_task(first.run(stop))
    await send(log, trips)
    async with asyncio.timeout(15):
        while await waiting(db) < len(DRIVERS):
            await asyncio.sleep(0.02)
    stop.set()
    await working
    assert await scores(db) == {}
    frozen.advance(MOMENT)
    again, stop = Runner(db, log, slow, options), asyncio.Event()
    working = asyncio.create_task(again.run(stop))
    await settle(db)
    stop.set()
    await working
    assert await scores(db) == {driver: [1] for driver in DRIVERS}
