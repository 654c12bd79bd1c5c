"""Whose events a batch holds: drivers found for all events of a device at once."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from auto_insurance.drivers.schemas import Assignment, DeviceHistory, Span
from auto_insurance.telematics.columns import NO_DRIVER, Codes, Columns, Ints, Mask

_NEVER = int(np.iinfo(np.int64).max)
_NOBODYS = Span(from_us=_NEVER, to_us=None, assignment=Assignment(driver_id="", vehicle_id=None, time_zone=""))


class Owners(msgspec.Struct, frozen=True):
    """The drivers of a batch, and for each event which it is (-1: nobody's)."""

    drivers: list[str]
    driver: Codes
    zones: dict[str, str]
    """IANA time zone by driver."""
    withheld: Mask | None = None
    """The events whose driver does not allow telemetry; None if there are none."""


def find_owners(events: Columns, histories: Mapping[str, DeviceHistory]) -> Owners:
    """Return whose each event is, by the device's assignments at the event's time.

    Nearly every device has had one driver: those are resolved by one comparison of arrays, the others device by device.
    """
    found = [*map(histories.get, events.devices)]
    several = [code for code, history in enumerate(found) if history is not None and len(history.spans) > 1]
    spans = [history.spans[0] if history is not None and history.spans else _NOBODYS for history in found]
    begin = np.array([span.from_us for span in spans], np.int64)
    end = np.array([_NEVER if span.to_us is None else span.to_us for span in spans], np.int64)
    assignments = [span.assignment for span in spans if span is not _NOBODYS]
    assignments += [span.assignment for code in several for span in histories[events.devices[code]].spans]
    zones = {assignment.driver_id: assignment.time_zone for assignment in assignments}
    known = {driver_id: code for code, driver_id in enumerate(zones)}
    owner = np.array([known.get(span.assignment.driver_id, NO_DRIVER) for span in spans], np.int32)
    device, t_us = events.device, events.t_us
    driver = np.where((begin[device] <= t_us) & (t_us < end[device]), owner[device], NO_DRIVER).astype(np.int32)
    for code in several:
        places = np.flatnonzero(device == code)
        driver[places] = _at(histories[events.devices[code]], t_us[places], known)
    barred = {known[assignment.driver_id] for assignment in assignments if assignment.withheld}
    withheld = np.isin(driver, sorted(barred)) if barred else None
    return Owners(list(known), driver, zones, withheld)


def _at(history: DeviceHistory, t_us: Ints, known: Mapping[str, int]) -> Codes:
    begins = np.array([span.from_us for span in history.spans], np.int64)
    ends = np.array([_NEVER if span.to_us is None else span.to_us for span in history.spans], np.int64)
    owners = np.array([known[span.assignment.driver_id] for span in history.spans], np.int32)
    span = np.searchsorted(begins, t_us, side="right") - 1
    return np.where((span >= 0) & (t_us < ends[span]), owners[span], NO_DRIVER).astype(np.int32)
