"""Back-pressure from end to end: nobody reads, the log fills up to its limit, the door says 503, memory stays flat."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from auto_insurance.kernel import clock
from tests.pipeline.conftest import Stage
from tests.support.driving import key_of
from tests.support.system import System, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
UPLOAD, CLIENTS = 500, 4
ROOM_MIB = 60
"""How much the API may grow while events pile up, buffers of its allocator included; 200,000 events are 40 MB."""
LONG = pytest.mark.faults


def upload(device: str, first: int) -> list[dict[str, Any]]:
    """Return the events number ``first`` and following of a parked device."""
    now = int(clock.now().timestamp() * 1000) - 86_400_000
    place = {"latitude": 41.2, "longitude": -96.0, "speed": 0}
    return [
        {"device_id": device, "event_id": f"e{n}", "timestamp": now + n * 100, **place}
        for n in range(first, first + UPLOAD)
    ]


def resident(system: System) -> float:
    """Return the API's resident memory in MiB."""
    return float(psutil.Process(system.of("api")[0].pid).memory_info().rss) / 2**20


class Pressure:
    """Clients that send until they are refused or done, and send again what was refused."""

    def __init__(self, system: System, events: int) -> None:
        self.system = system
        owner = system.enrol()
        self.keys = {f"parked-{n}": system.device(owner, f"parked-{n}") for n in range(CLIENTS)}
        self.uploads = [
            (device, upload(device, first)) for first in range(0, events // CLIENTS, UPLOAD) for device in self.keys
        ]
        self.waiting = list(self.uploads)
        self.accepted: set[tuple[str, int, str]] = set()
        self.refused = 0

    def push(self) -> None:
        """Offer all that waits once, side by side; keep what is refused."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            answers = list(pool.map(lambda item: self.system.send(self.keys[item[0]], item[1]), self.waiting))
        left = []
        for item, answer in zip(self.waiting, answers, strict=True):
            if answer.status_code == 503:
                assert int(answer.headers["Retry-After"]) > 0
                self.refused += 1
                left.append(item)
            else:
                assert answer.status_code == 202, answer.text
                self.accepted |= {key_of(event) for event in item[1]}
        self.waiting = left


@pytest.mark.parametrize(
    ("engine", "events"),
    [("postgres", 20_000), *(pytest.param(name, 200_000, marks=LONG) for name in ("postgres", "kafka"))],
)
def test_a_stopped_worker_makes_the_door_refuse_and_nobody_grow(engine: str, events: int, stage: Stage) -> None:
    limit = events // UPLOAD * 3 // 4
    system = stage.system(engine, KAFKA_MAX_BACKLOG=str(limit))
    pressure = Pressure(system, events)
    system.send(pressure.keys["parked-0"], pressure.uploads[0][1])  # warm
    for worker in system.of("worker"):
        worker.kill()
    before = resident(system)
    pressure.push()
    wait_for(lambda: _offer(pressure), "refused at the limit", 60, every_s=1.0)
    grown = resident(system) - before
    print(f"{engine}: {len(pressure.accepted):,} taken, {pressure.refused} refused, API +{grown:.0f} MiB")  # noqa: T201
    assert grown < ROOM_MIB
    system.start("worker")
    deadline = time.monotonic() + 240
    while pressure.waiting:
        assert time.monotonic() < deadline, "the door stays shut"
        time.sleep(1.0)
        pressure.push()
    assert len(pressure.accepted) == events
    wait_for(lambda: system.undone() == 0, "everything read", 240, every_s=1.0)
    stored = system.value("SELECT count(*) FROM telematics_events")
    assert stored == events
    assert resident(system) - before < ROOM_MIB


def _offer(pressure: Pressure) -> bool:
    """Offer more until something is refused: the log looks at its backlog once a second."""
    if not pressure.refused:
        pressure.waiting = pressure.waiting or pressure.uploads[:CLIENTS]
        pressure.push()
    return pressure.refused > 0
