"""Several consumers as processes of their own, supervised: one that dies is replaced, hopelessness ends the pool."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from auto_insurance.entrypoints import process
from auto_insurance.entrypoints.supervisor import ChildSpec, RestartPolicy, Supervisor, SupervisorError
from auto_insurance.infra import metrics
from auto_insurance.infra.config import Settings
from auto_insurance.infra.config.process_env import multiprocess_dir, share_metrics

log = structlog.get_logger(__name__)
POOL_SIZE, POOL_OVERFLOW = 6, 4
"""Connections that one consumer's process needs: its batch, its look ahead, the domain events and imports."""
ROLE = "worker_pool"


def consumer_argv() -> list[str]:
    """Return the command line of one consumer."""
    return [sys.executable, "-m", "auto_insurance", "worker", "--consumers", "1"]


def specs(settings: Settings, argv: list[str]) -> list[ChildSpec]:
    """Return the consumers' processes: each with few connections and, if ours has one, a name that stays."""
    database = settings.database
    shared = {
        "DB_POOL_SIZE": str(min(database.pool_size, POOL_SIZE)),
        "DB_MAX_OVERFLOW": str(min(database.max_overflow, POOL_OVERFLOW)),
    }
    named = settings.kafka.instance_id
    return [
        ChildSpec(
            f"consumer-{number}", argv, env=shared | ({"KAFKA_INSTANCE_ID": f"{named}-{number}"} if named else {})
        )
        for number in range(1, settings.kafka.num_consumers + 1)
    ]


def run(
    settings: Settings, *, policy: RestartPolicy | None = None, argv_of: Callable[[], list[str]] = consumer_argv
) -> None:
    """Run the pool until SIGTERM or SIGINT. Raises ``SystemExit`` (1) when a consumer is hopeless.

    ``policy`` and ``argv_of`` are replaced by tests alone.
    """
    own = None if multiprocess_dir() is not None else Path(tempfile.mkdtemp(prefix="auto-insurance-metrics-"))
    if own is not None:
        share_metrics(own)  # before anything counts; the children inherit it
    try:
        process.prepare(settings, ROLE)
        if own is not None:
            process.serve_shared_metrics(settings)
        process.run(partial(_keep, settings, policy or RestartPolicy(), argv_of()))
    except SupervisorError as error:
        log.error("consumer_pool_failed", reason=str(error))
        raise SystemExit(1) from None
    finally:
        if own is not None:
            shutil.rmtree(own, ignore_errors=True)


async def _keep(settings: Settings, policy: RestartPolicy, argv: list[str], stop: asyncio.Event) -> None:
    folder = multiprocess_dir()

    def forget(pid: int) -> None:
        if folder is not None:
            metrics.forget_process(pid, folder)

    supervisor = Supervisor(
        specs(settings, argv),
        policy=policy,
        drain_timeout_s=settings.server.shutdown_timeout_s,
        on_death=forget,
    )
    await supervisor.run(stop)
