"""The devices that a worker has in memory: one row each in arrays of records, for the compiled rules. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from auto_insurance.trips.calendar import Clock, clock_of
from auto_insurance.trips.contents import EventTuple, Owner, Ref
from auto_insurance.trips.rules import TripRules
from auto_insurance.trips.segment import Tables
from auto_insurance.trips.state import (
    DEVICE,
    NOW,
    TRIP,
    Device,
    Longs,
    Rows,
    Trip,
    blank_device,
    blank_trip,
    limits_of,
    numbers_of,
)

FIRST_ROWS = 256
_FORM = zlib.crc32(repr((DEVICE.descr, TRIP.descr)).encode())
_VERSION = b"\x02"


class Names:
    """Numbers for names, given in order of appearance."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self.names: list[str] = []

    def number(self, name: str) -> int:
        """Return a name's number."""
        known = self._numbers.get(name)
        if known is None:
            known = self._numbers[name] = len(self.names)
            self.names.append(name)
        return known

    def numbers(self, names: Iterable[str]) -> Longs:
        """Return the number of each name."""
        known = self._numbers
        found = [known[name] if name in known else self.number(name) for name in names]
        return np.array(found, np.int64)


class _Saved(msgspec.Struct, array_like=True):
    """A device as it is saved: its records' bytes, and what has no fixed size."""

    form: int
    driver: str
    zone: str
    device: bytes
    trip: bytes
    ref: Ref | None
    events: list[EventTuple]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Saved)


class DeviceTable:
    """Rows of devices. Growing replaces the arrays: take ``tables`` anew after :meth:`add`."""

    def __init__(self, rules: TripRules) -> None:
        self.drivers = Names()
        self.zones = Names()
        self.events: dict[int, list[EventTuple]] = {}
        """By slot: the events of the open trip that can't change any more."""
        self.refs: dict[int, tuple[int, Ref]] = {}
        """By slot: the row of the open trip, with the trip's number."""
        self.slot_of: dict[str, int] = {}
        self.ids: list[str] = []
        self._free: list[int] = []
        self._clock = clock_of(())
        self.tables = Tables(
            np.zeros(FIRST_ROWS, DEVICE),
            np.zeros(FIRST_ROWS, TRIP),
            blank_device(),
            blank_trip(),
            np.zeros(1, NOW),
            limits_of(rules),
        )

    def __len__(self) -> int:
        return len(self.slot_of)

    @property
    def devices(self) -> Rows:
        """The devices' records, by slot."""
        return self.tables.devices

    @property
    def trips(self) -> Rows:
        """The records of their open trips, by slot."""
        return self.tables.trips

    @property
    def clock(self) -> Clock:
        """The clocks of all zones that have a number."""
        if len(self._clock.first) != len(self.zones.names) + 1:
            self._clock = clock_of(self.zones.names)
        return self._clock

    def slots(self, device_ids: Sequence[str]) -> Longs:
        """Return the slot of each device, -1 for those not here."""
        known = self.slot_of
        return np.array([known.get(device_id, -1) for device_id in device_ids], np.int64)

    def add(self, device_id: str) -> int:
        """Give a device that is not here a slot, as one that nothing is known of."""
        if self._free:
            slot = self._free.pop()
            self.ids[slot] = device_id
        else:
            slot = len(self.ids)
            self.ids.append(device_id)
            if slot >= len(self.devices):
                self._grow()
        self.slot_of[device_id] = slot
        self.reset(slot)
        return slot

    def reset(self, slot: int) -> None:
        """Forget all of a device but its slot."""
        self.devices[slot] = self.tables.blank_device[0]
        self.trips[slot] = self.tables.blank_trip[0]
        self.events.pop(slot, None)
        self.refs.pop(slot, None)

    def remove(self, slot: int) -> None:
        """Forget a device; its slot is given to another one."""
        self.reset(slot)
        del self.slot_of[self.ids[slot]]
        self._free.append(slot)

    def _grow(self) -> None:
        """Make room for an eighth more."""
        tables = self.tables
        more = max(FIRST_ROWS, len(tables.devices) // 8)
        self.tables = tables._replace(
            devices=np.concatenate([tables.devices, np.zeros(more, DEVICE)]),
            trips=np.concatenate([tables.trips, np.zeros(more, TRIP)]),
        )

    def device(self, slot: int) -> Device:
        """Return a device's record, to look at."""
        record: Device = self.devices[slot]
        return record

    def trip(self, slot: int) -> Trip:
        """Return a device's trip record, to look at."""
        record: Trip = self.trips[slot]
        return record

    def owner(self, slot: int, driver: int, zone: int) -> Owner:
        """Return whose a trip is."""
        return Owner(self.drivers.names[driver], self.ids[slot], self.zones.names[zone])

    def ref(self, slot: int) -> Ref | None:
        """Return which row the open trip of a device has."""
        number, ref = self.refs.get(slot, (-1, None))
        device = self.device(slot)
        return ref if device.open and number == device.number else None

    def events_of(self, slot: int, number: int) -> list[EventTuple]:
        """Return the finished events of a trip."""
        return [event for event in self.events.get(slot, ()) if event[1] == number]

    def dump(self, slot: int) -> bytes:
        """Return a device as bytes; floats keep every bit."""
        device = numbers_of(self.devices[slot])
        has_driver = device["driver"] >= 0
        return _VERSION + _encoder.encode(
            _Saved(
                form=_FORM,
                driver=self.drivers.names[device["driver"]] if has_driver else "",
                zone=self.zones.names[device["zone"]] if has_driver else "UTC",
                device=self.devices[slot : slot + 1].tobytes(),
                trip=self.trips[slot : slot + 1].tobytes() if device["open"] else b"",
                ref=self.ref(slot),
                events=self.events_of(slot, device["number"]) if device["open"] else [],
            )
        )

    def load(self, slot: int, raw: bytes) -> bool:
        """Put a saved device into a slot; false, and nothing done, if it was saved in another form."""
        saved = _saved(raw)
        if saved is None:
            return False
        self.reset(slot)
        self.devices[slot] = np.frombuffer(saved.device, DEVICE)[0]
        if saved.trip:
            self.trips[slot] = np.frombuffer(saved.trip, TRIP)[0]
        device = self.device(slot)
        if saved.driver:
            device.driver, device.zone = self.drivers.number(saved.driver), self.zones.number(saved.zone)
        if saved.ref is not None:
            self.refs[slot] = (device.number, saved.ref)
        if saved.events:
            self.events[slot] = [(slot, *event[1:]) for event in saved.events]
        return True


def _saved(raw: bytes) -> _Saved | None:
    if raw[:1] != _VERSION:
        return None
    try:
        saved = _decoder.decode(raw[1:])
    except msgspec.DecodeError:
        return None
    return saved if saved.form == _FORM else None


def same_state(one: bytes, other: bytes) -> bool:
    """Tell whether two saved devices go on alike: the check of units and the trips' numbers aside."""
    a, b = _saved(one), _saved(other)
    return a is not None and b is not None and _comparable(a) == _comparable(b)


_BESIDE = (
    "units_steps", "units_reported_m", "units_implied_m", "units_suspect", "number", "unsaved", "marked_us",
    "arrival_us", "driver", "zone", "silent",
)  # fmt: skip


def _comparable(saved: _Saved) -> tuple[Any, ...]:
    devices: NDArray[Any] = np.frombuffer(saved.device, DEVICE).copy()
    trips: NDArray[Any] = np.frombuffer(saved.trip, TRIP).copy()
    for name in (
        "units_steps",
        "units_reported_m",
        "units_implied_m",
        "units_suspect",
        "number",
        "unsaved",
        "marked_us",
    ):
        devices[name] = 0
    for name in ("arrival_us", "driver", "zone", "silent"):
        devices[name] = 0
    trips["number"] = 0
    trips["shown"] = False
    events = [event[2:] for event in saved.events]
    return saved.driver, saved.zone, devices.tobytes(), trips.tobytes(), repr(events)
