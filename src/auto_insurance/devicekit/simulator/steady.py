"""Steady load: any number of devices that all drive all the time, at 1 Hz, cheaply.

Some round trips are driven once; each device replays one of them over and over from its own point in time on. Seams
are at rest at the same place, so every device's data stay plausible.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from auto_insurance.devicekit.simulator.fleet import Fleet, FleetOptions
from auto_insurance.devicekit.simulator.habits import Leg
from auto_insurance.kernel import clock

Event = dict[str, Any]
_EPOCH = datetime(2026, 1, 5, 12, tzinfo=UTC)
_VARIES = ("device_id", "event_id", "timestamp", "trip_id")


class SteadyLoad:
    """``devices`` drive without a pause. ``traces`` round trips are precomputed; raises ``ValueError`` if either is
    below 1.
    """

    def __init__(self, options: FleetOptions, devices: Sequence[str], traces: int = 12) -> None:
        if not devices or traces < 1:
            raise ValueError("steady load needs devices and at least one trace")
        self._devices = tuple(devices)
        base = Fleet(replace(options, size=traces))
        self._traces = [_round_trip(base, i) for i in range(traces)]

    @property
    def devices(self) -> tuple[str, ...]:
        """The device ids, by index."""
        return self._devices

    def stream(
        self, from_: datetime, to: datetime | None, indices: Sequence[int] | None = None
    ) -> Iterator[tuple[int, Event]]:
        """Yield (device index, event) for every whole second in [from_, to), in order of time; every device sends
        each second.
        """
        chosen = range(len(self._devices)) if indices is None else indices
        count = len(self._traces)
        plan = [(i, self._devices[i], self._traces[i % count], i * 977) for i in chosen]
        second = -(-clock.to_us(from_) // 1_000_000)
        end = None if to is None else -(-clock.to_us(to) // 1_000_000)
        while end is None or second < end:
            stamp, tail = second * 1000, f"-{second:x}"
            for i, device, trace, phase in plan:
                lap, at = divmod(second + phase, len(trace))
                event = trace[at].copy()
                event["device_id"] = device
                event["event_id"] = device + tail
                event["timestamp"] = stamp
                event["trip_id"] = f"{device}-{lap}"
                yield i, event
            second += 1


def _round_trip(fleet: Fleet, index: int) -> list[Event]:
    """Drive from home to work and back with a perfect clock; the ids and times are left out."""
    driver = fleet.drivers()[index]
    home, away = driver.places.home, driver.places.work
    out: list[Event] = []
    for number, (a, b) in enumerate(((home, away), (away, home))):
        leg = Leg(_EPOCH + timedelta(hours=number), a, b, "load")
        out.extend(fleet.trace(index, leg, number))
    return [{k: v for k, v in event.items() if k not in _VARIES} for event in out]
