"""What every process of ours does alike: logs, metrics, signals, a deadline for the end."""

from __future__ import annotations

import asyncio
import ctypes
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache
from importlib import import_module

import structlog
import uvloop

from auto_insurance import bootstrap
from auto_insurance.infra import metrics, tracing
from auto_insurance.infra.config import Settings
from auto_insurance.infra.config.process_env import multiprocess_dir
from auto_insurance.infra.logging import configure_logging

log = structlog.get_logger(__name__)
M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -8, -3, -1
HEAP = {M_ARENA_MAX: 2, M_MMAP_THRESHOLD: 1 << 20, M_TRIM_THRESHOLD: 8 << 20}
Body = Callable[[asyncio.Event], Awaitable[None]]


def prepare(settings: Settings, role: str) -> None:
    """Set up logs and metrics of this process."""
    _bound_heap()
    configure_logging(json=settings.log.format == "json", level=settings.log.level, traced=settings.tracing.enabled)
    trace(settings, role)
    for warning in settings.warnings:
        log.warning("setting_looks_misspelt", hint=warning)
    metrics.init_series(bootstrap.series_plan(settings), role=role)
    metrics.set_disk_path(settings.data_dir)


def _bound_heap() -> None:
    """Have glibc keep two heaps, not one for each of librdkafka's hundred threads, and hand back what is large.

    See mallopt(3); elsewhere there is nothing to do.
    """
    with suppress(AttributeError):
        for number, value in HEAP.items():
            _libc().mallopt(number, value)


async def trim_heap() -> None:
    """Give the system what batches left free between what stays; a tenth of a busy worker. See malloc_trim(3)."""
    with suppress(AttributeError):
        await asyncio.to_thread(_libc().malloc_trim, 0)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def trace(settings: Settings, role: str) -> None:
    """Send traces if the settings say so. Raises ``ModuleNotFoundError`` without the extra ``tracing``."""
    if settings.tracing.enabled:
        otel = import_module("auto_insurance.infra.tracing_otel")
        tracing.use(otel.OtelTraces(settings.tracing, role))


def serve_metrics(settings: Settings) -> None:
    """Serve this process's own metrics, unless it shares a folder with an API that serves them for all."""
    if multiprocess_dir() is None:
        serve_shared_metrics(settings)


def serve_shared_metrics(settings: Settings) -> None:
    """Serve the metrics of all processes of this one's folder; without a folder its own."""
    if settings.metrics.enabled:
        metrics.start_metrics_server(settings.server.host, settings.metrics.port)
        log.info("metrics_served", port=settings.metrics.port)


def run(body: Body) -> None:
    """Run ``body`` until it ends; SIGTERM and SIGINT set the event that it is given."""
    try:
        uvloop.run(_main(body))
    finally:
        tracing.close()


async def _main(body: Body) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await body(stop)


async def every(stop: asyncio.Event, interval_s: float, name: str, job: Callable[[], Awaitable[object]]) -> None:
    """Run ``job`` now and then every ``interval_s``; a failure is logged and the next turn tries again."""
    while not stop.is_set():
        try:
            await job()
        except Exception as error:
            log.warning("job_failed", job=name, error=type(error).__name__)
        try:
            async with asyncio.timeout(interval_s):
                await stop.wait()
        except TimeoutError:
            continue
