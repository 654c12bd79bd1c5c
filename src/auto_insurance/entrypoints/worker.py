"""The worker process: consumers of the driving events and of the domain events."""

from __future__ import annotations

import asyncio

import structlog

from auto_insurance import bootstrap
from auto_insurance.bootstrap import Container
from auto_insurance.entrypoints import process
from auto_insurance.infra.bus.runner import Runner, RunnerOptions
from auto_insurance.infra.config import Settings
from auto_insurance.telematics.service import ImportRunner

log = structlog.get_logger(__name__)


def runners(container: Container, consumers: int) -> list[Runner]:
    """Return ``consumers`` consumers of the driving events and one of each group of domain events."""
    options = RunnerOptions(drain_timeout_s=container.settings.server.shutdown_timeout_s / 2)
    telemetry = [bootstrap.telemetry_handler(container) for _ in range(consumers)]
    return [
        Runner(container.database, container.log, handler, options)
        for handler in (*telemetry, *bootstrap.domain_handlers(container))
    ]


async def work(container: Container, consumers: int, stop: asyncio.Event) -> None:
    """Run all consumers until ``stop``; one that can't go on ends the process with its error."""
    await bootstrap.prepare_log(container, stop)
    async with asyncio.TaskGroup() as group:
        group.create_task(container.get(ImportRunner).run(stop))
        for runner in runners(container, consumers):
            group.create_task(runner.run(stop))


def run(settings: Settings, consumers: int | None = None) -> None:
    """Work until SIGTERM or SIGINT; finish the batches at hand within the shutdown time."""
    process.prepare(settings, "worker")
    process.serve_metrics(settings)
    container = bootstrap.build(settings, "worker")

    async def body(stop: asyncio.Event) -> None:
        try:
            await work(container, consumers or settings.kafka.num_consumers, stop)
        finally:
            await container.close()

    process.run(body)
