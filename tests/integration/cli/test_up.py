"""`auto-insurance up`: starts, survives, stops, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
from pathlib import Path

import asyncpg
import psutil
import pytest

from auto_insurance.infra.embedded.running import find_running
from tests.integration.cli.conftest import Start, Up, all_gone


def execute(up: Up, sql: str) -> object:
    addresses = find_running(up.data_dir)
    assert addresses is not None
    assert addresses.database_url is not None

    async def run() -> object:
        conn = await asyncpg.connect(addresses.database_url, timeout=10)
        try:
            return await conn.fetchval(sql)
        finally:
            await conn.close()

    return asyncio.run(run())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_runs_stops_without_a_trace_and_keeps_data_and_secrets(start: Start, number: signal.Signals) -> None:
    up = start().wait_running()
    assert f"http://127.0.0.1:{up.port}" in up.said
    assert f"http://127.0.0.1:{up.port}/docs" in up.said
    assert set(up.info.children) == {"api", "worker", "scheduler"}
    execute(up, "CREATE TABLE kept AS SELECT 42 AS n")
    family = up.family()
    secret = up.data_dir / "secrets" / "jwt"
    before = secret.read_text()
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert up.stop(number) == 0
    assert len(family) >= 5
    assert all_gone(family)
    assert find_running(up.data_dir) is None

    again = start().wait_running()
    assert execute(again, "SELECT n FROM kept") == 42
    assert secret.read_text() == before


def test_second_up_on_the_same_directory_or_port_is_refused(start: Start, folder: Path) -> None:
    up = start().wait_running()
    second = start()
    assert second.process.wait(40) == 1
    assert f"in use by process {up.process.pid}" in second.said
    up.stop()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        third = start(port=port)
        assert third.process.wait(40) == 1
    assert f"Port {port} on 127.0.0.1 is taken" in third.said
    assert "--port" in third.said


def test_killed_engines_and_children_come_back(start: Start) -> None:
    up = start().wait_running()
    execute(up, "CREATE TABLE kept AS SELECT 7 AS n")
    before = dict(up.info.children)
    postgres = int((up.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    valkey = int((up.data_dir / "valkey" / "valkey.pid").read_text())
    for pid in (before["worker"].pid, postgres, valkey):
        os.kill(pid, signal.SIGKILL)
    up.wait_for(lambda: up.info.children.get("worker", before["worker"]) != before["worker"], "a new worker")

    def answers() -> bool:
        try:
            return execute(up, "SELECT n FROM kept") == 7
        except (OSError, asyncpg.PostgresError):
            return False

    up.wait_for(answers, "a new PostgreSQL on the old port")
    up.wait_for((up.data_dir / "valkey" / "valkey.pid").exists, "a new Valkey")
    assert up.info.children["api"] == before["api"]
    assert up.stop() == 0


def test_after_kill_9_of_up_the_next_one_starts_clean(start: Start) -> None:
    up = start().wait_running()
    execute(up, "CREATE TABLE kept AS SELECT 9 AS n")
    family = up.family()
    up.process.kill()
    up.process.wait(10)
    again = start(port=up.port).wait_running()
    assert all_gone(family)
    assert execute(again, "SELECT n FROM kept") == 9
    assert again.stop() == 0


def test_a_hopeless_child_ends_up_with_code_1_and_its_words(start: Start, folder: Path) -> None:
    (folder / "broken").touch()
    up = start()
    up.wait_for(lambda: up.process.poll() is not None, "giving up", within_s=60)
    assert up.process.returncode == 1
    assert "'worker' keeps crashing (6 times)" in up.said
    assert "the worker is broken" in up.said
    assert not [p for p in psutil.process_iter(["cwd"]) if str(up.data_dir) in (p.info["cwd"] or "")]


def test_a_stop_while_starting_leaves_nothing(start: Start) -> None:
    up = start()
    up.wait_for(lambda: "starting PostgreSQL" in up.said, "the first step")
    family = up.family()
    assert up.stop(signal.SIGINT) in {0, 130}
    assert all_gone(family)
