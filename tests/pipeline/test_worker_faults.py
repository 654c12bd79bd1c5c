"""Faults of worker processes while a stream runs: nothing is lost, nothing counts twice, trips stay the same."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from auto_insurance.contracts.topics import TELEMATICS_EVENTS
from tests.support.driving import Event, chunks, day_out, expected_contents, key_of
from tests.support.installations import NewSystem
from tests.support.system import QUICK_TAKE_OVER, TELEMETRY_GROUP, System, wait_for
from tests.support.trips import START_US

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
ZONE = "America/Chicago"
PARTITIONS = 12


class Fleet:
    """Devices of some drivers with a day out each, and what the system accepted of it."""

    def __init__(self, system: System, size: int, seed: int) -> None:
        self.system = system
        self.random = random.Random(seed)
        drivers = [system.enrol(ZONE) for _ in range(3)]
        self.owners = {f"car-{number:02d}": drivers[number % 3] for number in range(size)}
        self.keys = {device: system.device(owner, device) for device, owner in self.owners.items()}
        self.events = {device: day_out(device, START_US, number) for number, device in enumerate(self.owners)}
        self.accepted: set[tuple[str, int, str]] = set()

    def uploads(self, size: int = 60) -> list[list[Event]]:
        """Return uploads of all devices side by side: some late by a few, one in five twice."""
        parts = [(place, part) for events in self.events.values() for place, part in enumerate(chunks(events, size))]
        parts += self.random.sample(parts, len(parts) // 5)
        parts.sort(key=lambda item: item[0] + self.random.uniform(0, 2.5))
        return [part for _, part in parts]

    def send(self, part: list[Event]) -> None:
        """Upload a part; it has to be taken whole."""
        answer = self.system.send(self.keys[part[0]["device_id"]], part, importing=True)
        assert answer.status_code == 202, answer.text
        assert answer.json()["accepted"] == len(part)
        self.accepted |= {key_of(event) for event in part}

    def stream(self, uploads: list[list[Event]], pause_s: float) -> None:
        """Send one upload after the other."""
        for part in uploads:
            self.send(part)
            time.sleep(pause_s)

    def assert_exact(self) -> None:
        """Check that the stored set is the accepted set, and the trips those of one sorted pass; effects once."""
        self.system.wait_settled()
        devices = list(self.owners)
        assert self.system.stored(devices) == self.accepted
        found = self.system.contents(devices)
        for device, events in self.events.items():
            assert found[device] == expected_contents(events, self.owners[device], ZONE), device
            assert len(found[device]) == 2
        self.system.assert_effects_once()


def _holders(system: System) -> dict[str, int]:
    rows = system.fetch(
        "SELECT member, count(*) FROM bus_leases WHERE group_name = $1 AND topic = $2 GROUP BY member",
        TELEMETRY_GROUP,
        TELEMATICS_EVENTS,
    )
    return {row[0]: row[1] for row in rows}


def _consumed(system: System) -> int:
    return int(system.value("SELECT coalesce(sum(next_offset), 0) FROM consumer_offsets"))


def _wait_for_progress(system: System) -> None:
    before = _consumed(system)
    wait_for(lambda: _consumed(system) > before or system.undone() == 0, "progress", every_s=0.05)


def test_kill_9_at_random_points_while_a_stream_runs(new_system: NewSystem) -> None:
    system = new_system(**QUICK_TAKE_OVER).start_all()
    fleet = Fleet(system, 12, seed=1)
    kills = 0
    with ThreadPoolExecutor(1) as pool:
        stream = pool.submit(fleet.stream, fleet.uploads(), 0.08)
        while kills < 3:
            _wait_for_progress(system)
            time.sleep(fleet.random.uniform(0, 0.3))
            for worker in system.of("worker"):
                worker.kill()
            kills += 1
            system.start("worker")
        stream.result(120)
    fleet.assert_exact()


def test_one_of_two_workers_dies_and_the_other_takes_over(new_system: NewSystem) -> None:
    system = new_system(**QUICK_TAKE_OVER).start_all()
    first = system.of("worker")[0]
    wait_for(lambda: sum(_holders(system).values()) == PARTITIONS, "one worker holds all")
    system.start("worker")
    wait_for(lambda: sorted(_holders(system).values()) == [PARTITIONS // 2] * 2, "two share fairly")
    fleet = Fleet(system, 8, seed=2)
    uploads = fleet.uploads()
    half = len(uploads) // 2
    for part in uploads[:half]:
        fleet.send(part)
    first.kill()
    began = time.monotonic()
    for part in uploads[half:]:
        fleet.send(part)
    wait_for(lambda: list(_holders(system).values()) == [PARTITIONS], "take-over", within_s=40)
    print(f"take-over after {time.monotonic() - began:.1f} s")  # noqa: T201
    fleet.assert_exact()


def test_a_frozen_worker_that_wakes_up_does_no_harm(new_system: NewSystem) -> None:
    import psutil

    system = new_system(**QUICK_TAKE_OVER).start_all()
    fleet = Fleet(system, 6, seed=3)
    uploads = fleet.uploads()
    third = len(uploads) // 3
    for part in uploads[:third]:
        fleet.send(part)
    frozen = psutil.Process(system.of("worker")[0].pid)
    frozen.suspend()
    try:
        system.start("worker")
        for part in uploads[third:]:
            fleet.send(part)
        system.wait_settled()
    finally:
        frozen.resume()
    time.sleep(2.0)
    fleet.assert_exact()
    assert len(system.of("worker")) == 2, "the one that lost its partitions goes on as a member"
