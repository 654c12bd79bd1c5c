"""Several consumers: processes of their own that are replaced, drained, and counted together."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from auto_insurance.entrypoints import pool, worker
from auto_insurance.infra.config import Settings, load_settings
from auto_insurance.infra.embedded.machine import free_port

SECRET = "a-secret-for-tests-of-32-bytes-and-more"
PROGRAM = """
    import sys
    from auto_insurance.entrypoints import pool
    from auto_insurance.entrypoints.supervisor import RestartPolicy
    from auto_insurance.infra.config import load_settings
    policy = RestartPolicy(max_crashes=2, first_pause_s=0.05, max_pause_s=0.1)
    pool.run(load_settings(), policy=policy, argv_of=lambda: [sys.executable, "-c", sys.argv[1]])
"""
CONSUMER = """
import os, signal, sys, threading
from auto_insurance.infra import metrics
metrics.init_series(role="worker")
metrics.EVENTS_STORED_TOTAL.inc(5)
done = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: done.set())
print("consumer", os.getpid(), os.environ.get("KAFKA_INSTANCE_ID"), os.environ["DB_POOL_SIZE"], flush=True)
done.wait(60)
print("drained", os.getpid(), flush=True)
"""


class Pool:
    """A running pool of scripts in place of consumers."""

    def __init__(self, folder: Path, script: str, **env: str) -> None:
        self.port = free_port()
        self.out = folder / "out.txt"
        own = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "JWT_SECRET_KEY": SECRET}
        own |= {"METRICS_PORT": str(self.port), "KAFKA_NUM_CONSUMERS": "2", **env}
        argv = [sys.executable, "-c", textwrap.dedent(PROGRAM), script]
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(argv, cwd=folder, env=dict(os.environ) | own, stdout=out, stderr=out)

    @property
    def said(self) -> str:
        return self.out.read_text()

    def pids(self) -> list[int]:
        return [int(pid) for pid in re.findall(r"^consumer (\d+)", self.said, re.MULTILINE)]

    def wait_for(self, condition: Callable[[], object], within_s: float = 100.0) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    def counted(self) -> tuple[float, float]:
        """Return the stored events and the number of consumers, of all processes together."""
        said = httpx.get(f"http://127.0.0.1:{self.port}/metrics", trust_env=False).text
        stored = re.findall(r"^events_stored_total ([\d.e+]+)", said, re.MULTILINE)
        count = re.findall(r'^process_count\{process="worker"\} ([\d.]+)', said, re.MULTILINE)
        return float(stored[0]), float(count[0])


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Pool]]:
    """Start pools; what is left of them is killed."""
    pools: list[Pool] = []

    def start(script: str = CONSUMER, **env: str) -> Pool:
        pools.append(Pool(tmp_path, script, **env))
        return pools[-1]

    yield start
    for one in pools:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait(10)


def test_a_consumer_that_dies_is_replaced_and_all_are_counted_together(run: Callable[..., Pool]) -> None:
    one = run(KAFKA_INSTANCE_ID="host-7", DB_POOL_SIZE="20")
    one.wait_for(lambda: len(one.pids()) == 2)
    assert set(re.findall(r"host-7-\d", one.said)) == {"host-7-1", "host-7-2"}, "names that stay"
    assert " 6\n" in one.said, "few connections each"
    assert one.counted() == (10.0, 2.0)
    first = one.pids()[0]
    os.kill(first, signal.SIGKILL)
    one.wait_for(lambda: len(one.pids()) == 3)
    assert one.counted() == (15.0, 2.0), "what the dead one counted stays"
    alive = [pid for pid in one.pids() if pid != first]
    one.process.terminate()
    assert one.process.wait(30) == 0, one.said
    assert {f"drained {pid}" for pid in alive} <= set(one.said.splitlines())
    assert not [pid for pid in alive if psutil.pid_exists(pid)]


def test_a_pool_that_can_not_recover_ends_with_code_1(run: Callable[..., Pool]) -> None:
    one = run("import sys; sys.exit('no way')")
    assert one.process.wait(60) == 1
    assert "consumer_pool_failed" in one.said
    assert "keeps crashing" in one.said


def test_one_consumer_needs_no_pool_and_several_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []
    monkeypatch.setattr(pool, "run", seen.append)
    settings = load_settings({"KAFKA_NUM_CONSUMERS": "3", "JWT_SECRET_KEY": SECRET})
    worker.run(settings)
    assert seen == [settings]
    made = pool.specs(settings, pool.consumer_argv())
    assert [spec.name for spec in made] == ["consumer-1", "consumer-2", "consumer-3"]
    assert all("KAFKA_INSTANCE_ID" not in spec.env for spec in made)
