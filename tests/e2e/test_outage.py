"""PostgreSQL goes away under load: 503 with Retry-After, nothing accepted is lost, everything resumes by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from auto_insurance.infra.db import migrate
from auto_insurance.infra.embedded.postgres import PRODUCT, EmbeddedPostgres
from tests.support.driving import Event, chunks, day_out, expected_contents, key_of
from tests.support.system import System, scratch_folder
from tests.support.trips import START_US

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
OUTAGE_S = float(os.environ.get("OUTAGE_TEST_S", "5"))
LONGEST_S = 16.0
"""No request may take longer: connecting may take 10 s, and a busy machine some more."""
ZONE = "America/Chicago"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A database server to stop and start."""
    with scratch_folder("ai-outage-") as folder:
        own = EmbeddedPostgres(folder / "pg", fast=True)
        own.start()
        try:
            yield own
        finally:
            own.stop()


@pytest.fixture(scope="module")
def system(server: EmbeddedPostgres) -> Iterator[System]:
    """A system on that server; it has to live through all that the tests do to it."""
    url = asyncio.run(server.ensure_database(PRODUCT))
    migrate.upgrade(url)
    with scratch_folder("ai-outage-") as folder, System(url, None, folder, DB_STATEMENT_TIMEOUT_S="3") as own:
        yield own.start_all()


class Load:
    """Devices that send without a pause and send again what was not taken, and a person who looks at trips."""

    def __init__(self, system: System, name: str, size: int) -> None:
        self.system = system
        self.driver = system.enrol(ZONE)
        devices = [f"{name}-{number}" for number in range(size)]
        self.events = {device: day_out(device, START_US, n, leg_s=600) for n, device in enumerate(devices)}
        self.keys = {device: system.device(self.driver, device) for device in self.events}
        self.accepted: set[tuple[str, int, str]] = set()
        self.answers: Counter[tuple[str, int]] = Counter()
        self.odd: list[str] = []
        self.longest_s = 0.0
        self.done = threading.Event()

    def send_all(self, device: str, pause_s: float) -> None:
        """Send a device's events; an upload goes again until it is taken."""
        for part in chunks(self.events[device], 40):
            while self._post(device, part) != 202:
                time.sleep(0.3)
            self.accepted |= {key_of(event) for event in part}
            time.sleep(pause_s)

    def _post(self, device: str, part: list[Event]) -> int:
        return self._ask("upload", lambda: self.system.send(self.keys[device], part, importing=True))

    def look(self) -> None:
        """Read again and again."""
        while not self.done.is_set():
            self._ask("read", lambda: self.system.http.get(f"/drivers/{self.driver}/trips"))
            self._ask("sign-in", lambda: self.system.http.post("/auth/login", json={"username": "x", "password": "y"}))
            time.sleep(0.5)

    def _ask(self, what: str, call: object) -> int:
        began = time.monotonic()
        assert callable(call)
        try:
            answer: httpx.Response = call()
        except httpx.HTTPError as error:
            self.odd.append(f"{what}: {type(error).__name__} after {time.monotonic() - began:.1f} s")
            return 0
        self.longest_s = max(self.longest_s, time.monotonic() - began)
        self.answers[what, answer.status_code] += 1
        if answer.status_code == 503 and not int(answer.headers.get("Retry-After", "0")):
            self.odd.append(f"{what}: 503 without Retry-After")
        if answer.status_code not in {200, 202, 401, 429, 503}:
            self.odd.append(f"{what}: {answer.status_code} {answer.text[:300]}")
        return answer.status_code


def _outage(server: EmbeddedPostgres, how: str) -> None:
    if how == "stop":
        server.stop()
        time.sleep(OUTAGE_S)
        server.start()
        return
    assert server.pid is not None
    main = psutil.Process(server.pid)
    frozen = [main, *main.children(recursive=True)]
    for process in frozen:
        process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(OUTAGE_S)
    finally:
        for process in frozen:
            if process.is_running():
                process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("how", ["stop", pytest.param("freeze", marks=pytest.mark.faults)])
def test_the_database_goes_away_under_load(system: System, server: EmbeddedPostgres, how: str) -> None:
    load = Load(system, how, 6)
    parts = len(chunks(load.events[f"{how}-0"], 40))
    with ThreadPoolExecutor(7) as pool:
        sending = [pool.submit(load.send_all, device, (OUTAGE_S + 4.0) / parts) for device in load.events]
        looking = pool.submit(load.look)
        try:
            time.sleep(2.0)
            _outage(server, how)
            back = time.monotonic()
            for one in sending:
                one.result(120)
            print(f"{how}: all taken {time.monotonic() - back:.1f} s after the end of the outage")  # noqa: T201
        finally:
            load.done.set()
        looking.result(60)
    print(dict(load.answers), f"longest answer {load.longest_s:.1f} s")  # noqa: T201
    assert load.odd == []
    assert load.answers["upload", 503] > 0
    assert load.answers["read", 503] > 0 or how == "freeze", "a read may outlast a freeze"
    assert load.longest_s < LONGEST_S
    system.wait_settled()
    print(f"all done {time.monotonic() - back:.1f} s after the end of the outage")  # noqa: T201
    devices = list(load.events)
    assert system.stored(devices) == load.accepted == {key_of(e) for events in load.events.values() for e in events}
    found = system.contents(devices)
    for device, events in load.events.items():
        assert found[device] == expected_contents(events, load.driver, ZONE), device
    system.assert_effects_once()
    assert system.is_ready()
    current = system.http.get(f"/pricing/{load.driver}/current").json()
    assert current["indicated"] is not None, "the premium followed"
    assert all(service.alive for service in system.services), "no process had to be started again"
