"""Drivers found for whole batches are those that each event's own look-up finds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.drivers.schemas import Assignment, DeviceHistory, Span
from auto_insurance.telematics.columns import Columns, empty
from auto_insurance.trips.owners import find_owners

DEVICES = ["a", "b", "c", "stranger"]


@st.composite
def histories(draw: st.DrawFn) -> dict[str, DeviceHistory]:
    found = {}
    for device in DEVICES[:3]:
        edges = sorted(draw(st.sets(st.integers(0, 20), max_size=6)))
        spans = [
            Span(from_us=start, to_us=end, assignment=_of(draw(st.sampled_from("XYZ"))))
            for start, end in zip(edges[::2], edges[1::2], strict=False)
        ]
        if len(edges) % 2:
            spans.append(Span(from_us=edges[-1], to_us=None, assignment=_of("Z")))
        found[device] = DeviceHistory(device_id=device, spans=tuple(spans))
    return found


def _of(driver: str) -> Assignment:
    return Assignment(driver_id=driver, vehicle_id=None, time_zone=f"Zone/{driver}")


@given(histories(), st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 22)), max_size=30))
def test_each_event_has_the_driver_of_its_time(found: dict[str, DeviceHistory], events: list[tuple[int, int]]) -> None:
    columns: Columns = empty()
    columns.devices = DEVICES
    columns.device = np.array([device for device, _ in events], np.int32)
    columns.t_us = np.array([t_us for _, t_us in events], np.int64)
    owners = find_owners(columns, found)
    assert len(set(owners.drivers)) == len(owners.drivers)
    for (device, t_us), code in zip(events, owners.driver.tolist(), strict=True):
        history = found.get(DEVICES[device])
        want = None if history is None else history.at(t_us)
        assert (owners.drivers[code] if code >= 0 else None) == (want.driver_id if want else None)
    used = {owners.drivers[code] for code in owners.driver.tolist() if code >= 0}
    assert all(owners.zones[driver] == f"Zone/{driver}" for driver in used)
