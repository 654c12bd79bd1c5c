"""Steady load: all devices, every second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from auto_insurance.devicekit.simulator.fleet import FleetOptions
from auto_insurance.devicekit.simulator.steady import SteadyLoad
from auto_insurance.kernel import geo

START = datetime(2026, 3, 6, 5, tzinfo=UTC)
DEVICES = [f"L{i:03d}" for i in range(7)]


@pytest.fixture(scope="module")
def load() -> SteadyLoad:
    return SteadyLoad(FleetOptions(seed=2), DEVICES, traces=3)


def test_every_device_sends_every_second_with_unique_ids(load: SteadyLoad) -> None:
    items = list(load.stream(START, START + timedelta(seconds=20)))
    assert len(items) == 7 * 20
    assert {(e["device_id"], e["timestamp"]) for _, e in items} == {
        (d, int(START.timestamp() + k) * 1000) for d in DEVICES for k in range(20)
    }
    assert len({e["event_id"] for _, e in items}) == len(items)
    assert load.devices == tuple(DEVICES)


def test_any_cut_and_any_choice_of_devices_equals_that_part_of_the_whole(load: SteadyLoad) -> None:
    end = START + timedelta(seconds=40)
    whole = list(load.stream(START, end))
    cut = START + timedelta(seconds=12.5)
    assert list(load.stream(START, cut)) + list(load.stream(cut, end)) == whole
    assert list(load.stream(START, end, [2, 5])) == [item for item in whole if item[0] in (2, 5)]


def test_a_device_drives_without_jumps_round_after_round(load: SteadyLoad) -> None:
    events = [e for _, e in load.stream(START, START + timedelta(hours=2), [0])]
    points = [
        (e["latitude"], e["longitude"])
        for e in events
        if "latitude" in e and e["latitude"] != 0.0 and e["gps_accuracy"] < 50
    ]
    steps = sorted(geo.haversine_m(*a, *b) for a, b in pairwise(points))
    assert steps[len(steps) // 2] > 3.0, "it moves most of the time"
    assert sum(step > 90 for step in steps) < 25, "but for gaps and outliers"
    assert len({e["trip_id"] for e in events}) >= 2


def test_endless_without_an_end_and_refused_without_devices(load: SteadyLoad) -> None:
    stream = load.stream(START, None)
    assert sum(1 for _ in zip(range(1000), stream, strict=False)) == 1000
    with pytest.raises(ValueError, match="needs devices"):
        SteadyLoad(FleetOptions(), [])
