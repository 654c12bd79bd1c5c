"""Devices that drive while something breaks, and what has to be true afterwards."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.support.driving import Event, chunks, day_out, expected_contents, key_of
from tests.support.system import System
from tests.support.trips import START_US

ZONE = "America/Chicago"


@dataclass(frozen=True)
class Counts:
    """What a run came to."""

    accepted: int
    stored: int
    duplicates: int
    trips: int


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
        self.sent = 0
        self.refused = 0

    def uploads(self, size: int = 60, again: float = 0.2) -> list[list[Event]]:
        """Return uploads of all devices side by side: some late by a few, a share of them twice."""
        parts = [(place, part) for events in self.events.values() for place, part in enumerate(chunks(events, size))]
        parts += self.random.sample(parts, round(len(parts) * min(again, 1.0)))
        parts.sort(key=lambda item: item[0] + self.random.uniform(0, 2.5))
        return [part for _, part in parts]

    def send(self, part: list[Event]) -> None:
        """Upload a part until it is taken whole, as a device does."""
        deadline = time.monotonic() + 120
        while (answer := self.system.send(self.keys[part[0]["device_id"]], part, importing=True)).status_code == 503:
            assert int(answer.headers["Retry-After"]) > 0
            assert time.monotonic() < deadline, "refused for too long"
            self.refused += 1
            time.sleep(0.2)
        assert answer.status_code == 202, answer.text
        assert answer.json()["accepted"] == len(part)
        self.accepted |= {key_of(event) for event in part}
        self.sent += len(part)

    def stream(self, uploads: Sequence[list[Event]], pause_s: float = 0.0) -> None:
        """Send one upload after the other."""
        for part in uploads:
            self.send(part)
            time.sleep(pause_s)

    def check(self, dead: int = 0) -> Counts:
        """Check that the stored set is the accepted set, the trips those of one sorted pass, and effects once."""
        self.system.wait_settled(120)
        devices = list(self.owners)
        stored = self.system.stored(devices)
        assert stored == self.accepted
        found = self.system.contents(devices)
        for device, events in self.events.items():
            assert found[device] == expected_contents(events, self.owners[device], ZONE), device
            assert len(found[device]) == 2
        rows = self.system.value("SELECT count(*) FROM telematics_events WHERE device_id = ANY($1)", devices)
        assert rows == len(stored), "nothing twice"
        self.system.assert_effects_once(dead)
        priced = self.system.value("SELECT count(DISTINCT driver_id) FROM premiums WHERE score_id IS NOT NULL")
        assert priced == 3, "premiums follow"
        return Counts(len(self.accepted), rows, self.sent - len(self.accepted), sum(map(len, found.values())))
