from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from auto_insurance.entrypoints import process
from auto_insurance.infra import metrics
from auto_insurance.infra.config import load_settings


async def test_a_job_runs_now_and_again_until_the_stop() -> None:
    stop, runs = asyncio.Event(), 0

    async def job() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            stop.set()

    await asyncio.wait_for(process.every(stop, 0.01, "count", job), 5)
    assert runs == 3


async def test_a_failing_job_is_tried_again() -> None:
    stop, runs = asyncio.Event(), 0

    async def job() -> None:
        nonlocal runs
        runs += 1
        if runs == 2:
            stop.set()
        raise ConnectionError("away")

    await asyncio.wait_for(process.every(stop, 0.01, "fragile", job), 5)
    assert runs == 2


async def test_the_stop_ends_a_long_pause_at_once_and_no_job_starts_after_it() -> None:
    stop, runs = asyncio.Event(), 0

    async def job() -> None:
        nonlocal runs
        runs += 1

    task = asyncio.create_task(process.every(stop, 3600, "rare", job))
    await asyncio.sleep(0.05)
    stop.set()
    await asyncio.wait_for(task, 5)
    await asyncio.wait_for(process.every(stop, 3600, "rare", job), 5)
    assert runs == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_set_the_stop(number: signal.Signals) -> None:
    seen: list[bool] = []

    async def body(stop: asyncio.Event) -> None:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 5)
        seen.append(True)

    process.run(body)
    assert seen == [True]


def test_metrics_are_served_by_a_process_alone_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    served: list[int] = []
    monkeypatch.setattr(metrics, "start_metrics_server", lambda host, port: served.append(port))
    settings = load_settings({"METRICS_PORT": "9191"}, tmp_path)
    monkeypatch.setattr(process, "multiprocess_dir", lambda: str(tmp_path))
    process.serve_metrics(settings)
    assert served == []
    monkeypatch.setattr(process, "multiprocess_dir", lambda: None)
    process.serve_metrics(settings)
    assert served == [9191]
    process.serve_metrics(load_settings({"ENABLE_METRICS": "false"}, tmp_path))
    assert served == [9191]
