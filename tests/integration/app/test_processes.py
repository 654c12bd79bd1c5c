from __future__ import annotations

import asyncio
from datetime import timedelta

from sqlalchemy import text

from auto_insurance import bootstrap
from auto_insurance.bootstrap import Container
from auto_insurance.entrypoints import scheduler, worker
from auto_insurance.infra.db.locks import leading
from auto_insurance.kernel import clock


async def partitions(container: Container) -> set[str]:
    async with container.database.read() as uow:
        query = text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'telematics_events'::regclass")
        return set((await uow.conn.execute(query)).scalars())


async def test_the_worker_runs_every_group_and_stops(container: Container) -> None:
    made = worker.runners(container, 2)
    assert len(made) == 2 + len(bootstrap.domain_handlers(container))
    stop = asyncio.Event()
    working = asyncio.create_task(worker.work(container, 1, stop))
    await asyncio.sleep(1.0)
    assert not working.done()
    stop.set()
    await asyncio.wait_for(working, 15)


async def test_the_scheduler_makes_partitions_and_stops(container: Container) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(scheduler.schedule(container, stop))
    next_month = (clock.now().replace(day=1) + timedelta(days=32)).strftime("%Y_%m")
    async with asyncio.timeout(15):
        while not any(
            next_month in name or next_month.replace("_", "") in name for name in await partitions(container)
        ):
            await asyncio.sleep(0.05)
    stop.set()
    await asyncio.wait_for(running, 15)


async def test_only_the_leader_does_the_work(container: Container) -> None:
    before = await partitions(container)
    async with leading(container.database, "partitions") as uow, leading(container.database, "prune") as other:
        assert uow is not None
        assert other is not None
        await scheduler.ensure_partitions(container)
        await scheduler.prune(container)
        assert await partitions(container) == before
    await scheduler.ensure_partitions(container)
    await scheduler.prune(container)
    assert await partitions(container) >= before
