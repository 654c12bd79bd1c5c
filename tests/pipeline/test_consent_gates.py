"""What a driver does not allow is not taken, on either engine: the door refuses, the worker stores nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import text

from auto_insurance import bootstrap
from auto_insurance.bootstrap import Container
from auto_insurance.contracts import topics
from auto_insurance.drivers.schemas import DeviceAssign, DriverCreate, Purpose
from auto_insurance.drivers.service import DriverService
from auto_insurance.identity.schemas import DevicePrincipal
from auto_insurance.infra.bus.protocol import NewRecord
from auto_insurance.infra.bus.runner import Runner, RunnerOptions
from auto_insurance.kernel import clock
from auto_insurance.kernel.clock import to_us
from auto_insurance.telematics.service import IngestService
from tests.conformance.engines import NAMES
from tests.integration.privacy.conftest import DEVICE, ME, drive_of
from tests.integration.privacy.test_consents import decide
from tests.integration.trips.conftest import event_of
from tests.support.kafka import KafkaBroker
from tests.support.product import product

EACH = 60
"""Events of one upload."""


@pytest.fixture(params=NAMES)
async def container(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Container]:
    """The product on one engine, with DRV001 and a device."""
    settings: dict[str, object] = {"EVENT_LOG": request.param}
    if request.param == "kafka":
        broker: KafkaBroker = request.getfixturevalue("kafka_broker")
        broker.clear()
        settings["KAFKA_BOOTSTRAP_SERVERS"] = broker.address
    async with product(database_url, **settings) as built:
        await built.log.ensure_topics(topics.ALL)
        drivers = built.get(DriverService)
        async with built.database.begin() as uow:
            await drivers.ensure_driver(uow, 1, DriverCreate(state="CA"))
            wanted = DeviceAssign(device_id=DEVICE, effective_from=clock.now() - timedelta(days=9))
            await drivers.assign_device(uow, ME, wanted, backdated=True)
        yield built


@asynccontextmanager
async def consuming(container: Container) -> AsyncIterator[None]:
    """Run a worker's consumer of driving events."""
    options = RunnerOptions(poll_timeout_s=0.1, tick_interval_s=0.5)
    runner = Runner(container.database, container.log, bootstrap.telemetry_handler(container), options)
    stop = asyncio.Event()
    task = asyncio.create_task(runner.run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


def upload(hours: float) -> list[dict[str, object]]:
    """Return a drive that began some hours ago."""
    return [event_of(one) for one in drive_of(DEVICE, to_us(clock.now() - timedelta(hours=hours)))]


async def at_the_door(container: Container, hours: float) -> tuple[int, set[str]]:
    """Upload a drive; return how many events were taken and why others were not."""
    body = msgspec.json.encode({"events": upload(hours)})
    sender = DevicePrincipal(device_id=DEVICE, driver_id=None, scopes=frozenset({"ingest"}))
    receipt = await container.get(IngestService).batch(body, sender, any_age=False, request_id=None)
    return receipt.accepted, {reason.code for reasons in receipt.refused.values() for reason in reasons}


async def past_the_door(container: Container, hours: float) -> None:
    """Append a drive that a door took before it heard of the withdrawal."""
    await container.log.append([NewRecord(topics.TELEMATICS_EVENTS, DEVICE, msgspec.json.encode(upload(hours)))])


async def state(container: Container) -> tuple[int, int, int]:
    """Return the records that are done with, the events that are stored, and the dead letters."""
    query = (
        "SELECT (SELECT coalesce(sum(next_offset), 0)::int FROM consumer_offsets), "
        "(SELECT count(*) FROM telematics_events), (SELECT count(*) FROM dead_letters)"
    )
    async with container.database.read() as uow:
        done, stored, dead = (await uow.conn.execute(text(query))).one()
    return done, stored, dead


async def eventually(probe: Callable[[], Awaitable[object]], wanted: object) -> None:
    async with asyncio.timeout(60):
        while await probe() != wanted:
            await asyncio.sleep(0.05)


@pytest.mark.timeout(150)
async def test_nothing_is_taken_from_the_withdrawal_on(container: Container) -> None:
    async with consuming(container):
        assert await at_the_door(container, 9) == (EACH, set())
        await eventually(lambda: state(container), (1, EACH, 0))
        await decide(container, Purpose.TELEMATICS, False)
        await past_the_door(container, 6)
        await eventually(lambda: state(container), (2, EACH, 0))
        taken = 0
        async with asyncio.timeout(60):  # the door hears of it within some seconds
            while (answer := await at_the_door(container, 3)) != (0, {"consent_withheld"}):
                assert answer == (EACH, set())
                taken += 1
                await asyncio.sleep(0.2)
        await eventually(lambda: state(container), (2 + taken, EACH, 0))
        await decide(container, Purpose.TELEMATICS, True)
        await past_the_door(container, 1)
        await eventually(lambda: state(container), (3 + taken, 2 * EACH, 0))
    async with container.database.read() as uow:
        query = "SELECT count(*) FROM telematics_events WHERE timestamp BETWEEN now() - interval '7 hours' "
        query += "AND now() - interval '2 hours'"
        assert await uow.conn.scalar(text(query)) == 0
