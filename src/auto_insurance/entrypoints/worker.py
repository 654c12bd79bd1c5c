"""The worker process: consumers of the driving events and of the domain events."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from auto_insurance import bootstrap
from auto_insurance.bootstrap import Container
from auto_insurance.entrypoints import pool, process
from auto_insurance.infra import metrics
from auto_insurance.infra.bus.runner import Runner, RunnerOptions
from auto_insurance.infra.config import Settings
from auto_insurance.telematics.service import ImportRunner
from auto_insurance.trips import fold

log = structlog.get_logger(__name__)
RATE_EVERY_S = 5.0
TRIM_EVERY_S = 2.0


def runners(container: Container, consumers: int) -> list[Runner]:
    """Return ``consumers`` consumers of the driving events and one of each group of domain events."""
    kafka = container.settings.kafka
    common = RunnerOptions(
        member=kafka.instance_id or "", drain_timeout_s=container.settings.server.shutdown_timeout_s / 2
    )
    large = replace(
        common,
        max_records=kafka.batch_records,
        max_batch_bytes=kafka.batch_bytes,
        batch_wait_s=kafka.batch_wait_ms / 1000,
    )
    telemetry = [
        Runner(
            container.database,
            container.log,
            bootstrap.telemetry_handler(container),
            large if number == 1 or not large.member else replace(large, member=f"{large.member}-{number}"),
        )
        for number in range(1, consumers + 1)
    ]
    domain = bootstrap.domain_handlers(container)
    return [*telemetry, *(Runner(container.database, container.log, handler, common) for handler in domain)]


async def work(container: Container, consumers: int, stop: asyncio.Event) -> None:
    """Run all consumers until ``stop``; one that can't go on ends the process with its error."""
    # Rules are compiled before the first transaction: on a new machine it takes longer than one may stand idle.
    await asyncio.gather(bootstrap.prepare_log(container, stop), asyncio.to_thread(fold.warm))
    async with asyncio.TaskGroup() as group:
        group.create_task(container.get(ImportRunner).run(stop))
        group.create_task(process.every(stop, RATE_EVERY_S, "event_rate", metrics.EventRate().sample))
        group.create_task(process.every(stop, TRIM_EVERY_S, "heap", process.trim_heap))
        for runner in runners(container, consumers):
            group.create_task(runner.run(stop))


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; finish the batches at hand within the shutdown time.

    Several consumers are processes of their own (``pool``): one process is bound by one core.
    """
    if settings.kafka.num_consumers > 1:
        pool.run(settings)
        return
    process.prepare(settings, "worker")
    process.serve_metrics(settings)
    container = bootstrap.build(settings, "worker")

    async def body(stop: asyncio.Event) -> None:
        try:
            await work(container, 1, stop)
        finally:
            await container.close()

    process.run(body)
