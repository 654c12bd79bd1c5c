"""A late event changes a closed trip: score and indicated premium follow as new versions that say why."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import RowMapping, select

from auto_insurance.contracts import topics
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel.clock import FrozenClock, from_us, use_clock
from auto_insurance.kernel.events import Envelope, encode
from auto_insurance.pricing import handlers as pricing_handlers
from auto_insurance.pricing.models import premiums
from auto_insurance.risk import handlers as risk_handlers
from auto_insurance.telematics.schemas import Sample
from tests.integration.trips.conftest import Worker
from tests.integration.trips.conftest import worker as worker  # noqa: PLC0414 (a fixture)
from tests.support.scoring import World, add_trip, deliver, make_world, published
from tests.support.trips import Drive
from tests.support.wire import wrong_event

DRIVER = "DRV001"


class Line:
    """Carries domain events from trips over risk to pricing, each once, as relay and runners do."""

    def __init__(self, db: Database, world: World) -> None:
        self._db = db
        self._steps = (
            (topics.TRIPS, risk_handlers.subscription(world.risk)),
            (topics.RISK_SCORES, pricing_handlers.subscription(world.pricing)),
        )
        self._done: dict[str, int] = {}

    async def run(self) -> list[Envelope]:
        """Deliver what is new; return the announcements of premiums so far."""
        for topic, subscription in self._steps:
            waiting = (await published(self._db, topic))[self._done.get(topic, 0) :]
            self._done[topic] = self._done.get(topic, 0) + len(waiting)
            await deliver(self._db, subscription, waiting)
        return await published(self._db, topics.PREMIUMS)


async def _versions(db: Database) -> list[RowMapping]:
    async with db.read() as uow:
        query = select(premiums).where(premiums.c.driver_id == DRIVER).order_by(premiums.c.version)
        return list((await uow.conn.execute(query)).mappings())


def _wild(miles: int = 12) -> list[Sample]:
    """A long drive that brakes hard every kilometre."""
    drive = Drive()
    for _ in range(miles):
        drive.go(25.0, 60).go(12.0, 3).go(5.0, 3)
    return drive.samples


async def _drove(db: Database, until: datetime) -> None:
    """Give the driver some experience before, so that its driving counts."""
    async with db.begin() as uow:
        for days in (20, 40):
            await add_trip(uow, DRIVER, until - timedelta(days=days), distance_miles=150.0, harsh_braking_count=8)


async def test_a_late_event_corrects_the_indicated_premium_with_a_new_version(worker: Worker, db: Database) -> None:
    samples = _wild()
    late = samples[200:420]
    with use_clock(FrozenClock(from_us(samples[-1].t_us) + timedelta(days=3))):
        line = Line(db, make_world(db))
        await _drove(db, from_us(samples[0].t_us))
        await worker.send([sample for sample in samples if sample not in late])
        await worker.tick_after(samples)
        await line.run()
        before = await _versions(db)
        assert [(row["version"], row["kind"], row["reason"]) for row in before] == [
            (1, "charged", "enrolment"),
            (2, "indicated", "trip.completed"),
        ]
        await worker.send(late)
        await worker.tick_after(samples)
        told = await line.run()
        after = await _versions(db)
        assert [event.type for event in await worker.told()] == ["trip.completed", "trip.amended"]
        assert after[:2] == before, "no version is ever overwritten"
        assert [(row["version"], row["kind"], row["reason"]) for row in after[2:]] == [
            (3, "indicated", "correction of version 2: trip.amended")
        ]
        assert after[2]["score_id"] != before[1]["score_id"]
        assert after[2]["worksheet"] != before[1]["worksheet"]
        assert told[-1].data["reason"] == after[2]["reason"]
        for topic in (topics.TRIPS, topics.RISK_SCORES, topics.PREMIUMS):
            for event in await published(db, topic):
                assert wrong_event(encode(event)) == []
        await worker.send(late)  # what is stored already
        assert len(await line.run()) == len(told)
        assert await _versions(db) == after


async def test_a_withdrawn_trip_corrects_it_too(worker: Worker, db: Database) -> None:
    """Late events show that two trips were one: one is withdrawn, the other amended."""
    one = Drive().go(15.0, 400)
    gap = one.t_us
    bridge = Drive(t_us=gap, lat=one.lat, lon=one.lon).go(15.0, 700)
    two = Drive(t_us=bridge.t_us, lat=bridge.lat, lon=bridge.lon).go(15.0, 400)
    with use_clock(FrozenClock(from_us(two.t_us) + timedelta(days=3))):
        line = Line(db, make_world(db))
        await _drove(db, from_us(one.samples[0].t_us))
        await worker.send([*one.samples, *two.samples])
        await worker.tick_after(two.samples)
        await line.run()
        before = await _versions(db)
        await worker.send(bridge.samples)
        await worker.tick_after(two.samples)
        await line.run()
        assert sorted(event.type for event in (await worker.told())[2:]) == ["trip.amended", "trip.withdrawn"]
        added = (await _versions(db))[len(before) :]
    assert added
    assert all(row["reason"].startswith("correction of version ") for row in added)
