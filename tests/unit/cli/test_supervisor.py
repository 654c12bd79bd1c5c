"""The supervisor on real child processes."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

from auto_insurance.entrypoints.supervisor import ChildSpec, CrashHistory, RestartPolicy, Supervisor, SupervisorError
from auto_insurance.infra.embedded.process import child_environment

QUICK = RestartPolicy(max_crashes=2, window_s=30.0, first_pause_s=0.01, max_pause_s=0.05)
OBEDIENT = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = """
    import os, signal, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open(sys.argv[1], "w").close()
    time.sleep(60)
"""
DRAINS = """
    import signal, sys, time
    def finish(*_):
        time.sleep(0.3)
        open(sys.argv[1], "a").write("drained")
        sys.exit(0)
    signal.signal(signal.SIGTERM, finish)
    open(sys.argv[1], "w").close()
    time.sleep(60)
"""


def child(name: str, code: str, *args: object, log: Path | None = None, **more: object) -> ChildSpec:
    argv = [sys.executable, "-c", textwrap.dedent(code), *map(str, args)]
    return ChildSpec(name, argv, log_file=log, **more)  # type: ignore[arg-type]


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


async def test_starts_in_order_and_ends_all_on_stop(tmp_path: Path) -> None:
    order: list[str] = []
    ready = tmp_path / "ready"

    async def first_is_ready() -> bool:
        order.append("asked")
        return ready.exists()

    def note(pids: Mapping[str, int]) -> None:
        order.append("+".join(pids))

    specs = [
        child("api", f"open({str(ready)!r}, 'w'); " + OBEDIENT, ready=first_is_ready),
        child("worker", OBEDIENT, log=tmp_path / "logs" / "worker.log"),
    ]
    supervisor = Supervisor(specs, on_change=note)
    stop, up = asyncio.Event(), asyncio.Event()

    async def started() -> None:
        up.set()

    run = asyncio.create_task(supervisor.run(stop, started=started))
    await asyncio.wait_for(up.wait(), 10)
    pids = list(supervisor.pids.values())
    assert order.index("api+worker") > order.index("asked") > order.index("api")
    assert all(os.getsid(pid) == pid for pid in pids), "Ctrl-C reaches the supervisor alone"
    await until(lambda: (tmp_path / "logs" / "worker.log").read_text() == "up\n")
    stop.set()
    await asyncio.wait_for(run, 10)
    assert not any(psutil.pid_exists(pid) for pid in pids)


async def test_a_crashed_child_is_started_again_and_its_death_told(tmp_path: Path) -> None:
    deaths: list[int] = []
    supervisor = Supervisor([child("worker", OBEDIENT)], policy=QUICK, on_death=deaths.append)
    stop = asyncio.Event()
    run = asyncio.create_task(supervisor.run(stop))
    await until(lambda: bool(supervisor.pids))
    first = supervisor.pids["worker"]
    os.kill(first, 9)
    await until(lambda: supervisor.pids.get("worker", first) != first)
    assert deaths == [first]
    stop.set()
    await asyncio.wait_for(run, 10)


async def test_gives_up_on_a_crash_loop_with_the_last_words_and_ends_the_others(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    deaths: list[int] = []
    specs = [child("api", OBEDIENT), child("worker", "import sys; sys.exit('no such table')", log=log)]
    supervisor = Supervisor(specs, policy=QUICK, on_death=deaths.append)
    with pytest.raises(SupervisorError, match=r"(?s)'worker' keeps crashing \(3 times\).* exit code 1.*no such table"):
        await asyncio.wait_for(supervisor.run(asyncio.Event()), 20)
    assert len(deaths) == 4
    assert not any(psutil.pid_exists(pid) for pid in deaths)
    assert log.read_text().count("no such table") == 3


async def test_a_stop_drains_within_the_deadline_and_kills_after_it(tmp_path: Path) -> None:
    drains, stubborn = tmp_path / "drains", tmp_path / "stubborn"
    supervisor = Supervisor([child("a", DRAINS, drains), child("b", STUBBORN, stubborn)], drain_timeout_s=1.0)
    stop = asyncio.Event()
    run = asyncio.create_task(supervisor.run(stop))
    await until(lambda: drains.exists() and stubborn.exists())
    pids = list(supervisor.pids.values())
    begun = time.monotonic()
    stop.set()
    await asyncio.wait_for(run, 10)
    assert 0.9 < time.monotonic() - begun < 5
    assert drains.read_text() == "drained"
    assert not any(psutil.pid_exists(pid) for pid in pids)


async def test_a_second_stop_does_not_wait(tmp_path: Path) -> None:
    stubborn = tmp_path / "stubborn"
    supervisor = Supervisor([child("b", STUBBORN, stubborn)], drain_timeout_s=60.0)
    stop, force = asyncio.Event(), asyncio.Event()
    run = asyncio.create_task(supervisor.run(stop, force=force))
    await until(stubborn.exists)
    stop.set()
    await asyncio.sleep(0.1)
    force.set()
    await asyncio.wait_for(run, 5)


async def test_a_child_that_never_gets_ready_is_an_error(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    spec = child("api", OBEDIENT, log=tmp_path / "api.log", ready=never, ready_timeout_s=0.3)
    with pytest.raises(SupervisorError, match=r"'api' is not ready after 0 s; its log is .*api.log"):
        await asyncio.wait_for(Supervisor([spec]).run(asyncio.Event()), 10)


async def test_a_child_that_was_never_ready_is_given_up_early(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    patient = RestartPolicy(max_crashes=50, max_crashes_at_start=1, first_pause_s=0.01)
    spec = child("api", "import sys; sys.exit(3)", ready=never)
    with pytest.raises(SupervisorError, match=r"'api' keeps crashing \(2 times\).*exit code 3"):
        await asyncio.wait_for(Supervisor([spec], policy=patient).run(asyncio.Event()), 10)


async def test_a_failure_beside_the_children_ends_them() -> None:
    pids: list[int] = []

    async def broken() -> None:
        raise LookupError("the demo broke")

    supervisor = Supervisor([child("api", OBEDIENT)], on_change=lambda now: pids.extend(now.values()))
    with pytest.raises(LookupError, match="the demo broke"):
        await asyncio.wait_for(supervisor.run(asyncio.Event(), started=broken), 10)
    assert pids
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_pauses_grow_up_to_a_bound_and_end_in_none() -> None:
    history = CrashHistory(RestartPolicy(max_crashes=4, window_s=60, first_pause_s=1, max_pause_s=3))
    assert [history.crashed() for _ in range(5)] == [1, 2, 3, 3, None]


def test_an_old_crash_is_forgiven() -> None:
    history = CrashHistory(RestartPolicy(max_crashes=1, window_s=0.0, first_pause_s=1))
    for _ in range(4):
        assert history.crashed() == 1
        time.sleep(0.01)


def test_a_setting_that_is_passed_on_hides_its_other_spellings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTO_INSURANCE_DATABASE_URL", "postgresql://elsewhere/x")
    monkeypatch.setenv("DATABASE_URL_FILE", "/run/secrets/url")
    env = child_environment({"DATABASE_URL": "postgresql://here/x"})
    assert env["DATABASE_URL"] == "postgresql://here/x"
    assert "AUTO_INSURANCE_DATABASE_URL" not in env
    assert "DATABASE_URL_FILE" not in env
    assert env["PATH"] == os.environ["PATH"]
