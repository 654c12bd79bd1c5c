"""Whose events a batch holds: drivers found for all events of a device at once."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from auto_insurance.drivers.schemas import DeviceHistory
from auto_insurance.telematics.columns import NO_DRIVER, Codes, Columns, Ints

_NEVER = np.iinfo(np.int64).max


class Owners(msgspec.Struct, frozen=True):
    """The drivers of a batch, and for each event which it is (-1: nobody's)."""

    drivers: list[str]
    driver: Codes
    zones: dict[str, str]
    """IANA time zone by driver."""


def find_owners(events: Columns, histories: Mapping[str, DeviceHistory]) -> Owners:
    """Return whose each event is, by the device's assignments at the event's time.

    Nearly every device has had one driver: those are resolved by one comparison of arrays, the others device by device.
    """
    count = len(events.devices)
    known: dict[str, int] = {}
    zones: dict[str, str] = {}
    begin = np.full(count, _NEVER, np.int64)
    end = np.full(count, _NEVER, np.int64)
    owner = np.full(count, NO_DRIVER, np.int32)
    several: list[int] = []
    for code, device_id in enumerate(events.devices):
        history = histories.get(device_id)
        if history is None or not history.spans:
            continue
        for span in history.spans:
            assignment = span.assignment
            zones[assignment.driver_id] = assignment.time_zone
            known.setdefault(assignment.driver_id, len(known))
        if len(history.spans) > 1:
            several.append(code)
            continue
        begin[code], owner[code] = span.from_us, known[span.assignment.driver_id]
        if span.to_us is not None:
            end[code] = span.to_us
    device, t_us = events.device, events.t_us
    driver = np.where((begin[device] <= t_us) & (t_us < end[device]), owner[device], NO_DRIVER).astype(np.int32)
    for code in several:
        places = np.flatnonzero(device == code)
        driver[places] = _at(histories[events.devices[code]], t_us[places], known)
    return Owners(list(known), driver, zones)


def _at(history: DeviceHistory, t_us: Ints, known: Mapping[str, int]) -> Codes:
    begins = np.array([span.from_us for span in history.spans], np.int64)
    ends = np.array([_NEVER if span.to_us is None else span.to_us for span in history.spans], np.int64)
    owners = np.array([known[span.assignment.driver_id] for span in history.spans], np.int32)
    span = np.searchsorted(begins, t_us, side="right") - 1
    return np.where((span >= 0) & (t_us < ends[span]), owners[span], NO_DRIVER).astype(np.int32)
