"""Events as columns: one array per field, so that a batch is checked, stored and folded without an object per event.

Pure: numpy only. Missing numbers are NaN, a missing ``phone_in_use`` is -1. A :class:`Sample` is one row of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auto_insurance.telematics.schemas import EventType, Sample

EVENT_TYPES: tuple[str, ...] = tuple(str(kind) for kind in EventType)
"""The codes of ``Columns.event_type``; new kinds are added at the end."""
EVENT_CODE: dict[str, int] = {kind: code for code, kind in enumerate(EVENT_TYPES)}
NO_DRIVER = -1
UNKNOWN = -1

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Doubles = NDArray[np.float64]
Singles = NDArray[np.float32]
Bytes = NDArray[np.int8]
Mask = NDArray[np.bool_]
SINGLES = ("speed_mph", "accel_g", "lateral_g", "heading_deg", "altitude_m", "gps_accuracy_m", "speed_limit_mph")
"""The single-precision columns, named as in ``Sample``."""


@dataclass(slots=True)
class Columns:
    """Events as columns of equal length, in no particular order. Units as in ``Sample``."""

    devices: list[str]
    """Distinct device ids; ``device`` holds indices into it."""
    drivers: list[str]
    """Distinct driver ids; ``driver`` holds indices into it, ``NO_DRIVER`` where not resolved."""
    device: Codes
    driver: Codes
    t_us: Ints
    received_us: Ints
    event_id: list[str]
    latitude: Doubles
    longitude: Doubles
    speed_mph: Singles
    accel_g: Singles
    lateral_g: Singles
    heading_deg: Singles
    altitude_m: Singles
    gps_accuracy_m: Singles
    speed_limit_mph: Singles
    event_type: Bytes
    phone_in_use: Bytes
    quality: NDArray[np.int16]
    device_trip_id: list[str | None] | None
    """None if no event has one; likewise ``extra`` (canonical JSON)."""
    extra: list[str | None] | None

    def __len__(self) -> int:
        return len(self.t_us)

    def take(self, index: NDArray[np.intp] | Ints) -> Columns:
        """Return the events at these places, in this order; the lists of devices and drivers stay whole."""
        places = index.tolist()
        taken: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in {"devices", "drivers"} or value is None:
                taken[field.name] = value
            elif isinstance(value, list):
                taken[field.name] = [value[i] for i in places]
            else:
                taken[field.name] = value[index]
        return Columns(**taken)

    def where(self, mask: Mask) -> Columns:
        """Return the events for which ``mask`` holds, itself if that is all of them."""
        return self if bool(mask.all()) else self.take(np.flatnonzero(mask))

    def order(self) -> Ints:
        """Return places that sort by device (its code), time, and event id by code points.

        The id decides only between events of one device and instant, which are rare: just those compare as text.
        """
        order = np.lexsort((self.t_us, self.device)).astype(np.int64)
        device, t_us = self.device[order], self.t_us[order]
        same = np.flatnonzero((device[1:] == device[:-1]) & (t_us[1:] == t_us[:-1]))
        if not len(same):
            return order
        starts = same[np.concatenate(([True], np.diff(same) > 1))]
        for start in starts.tolist():
            end = start + 1
            while end < len(order) and device[end] == device[start] and t_us[end] == t_us[start]:
                end += 1
            order[start:end] = sorted(order[start:end].tolist(), key=self.event_id.__getitem__)
        return order

    def sample(self, place: int) -> Sample:
        """Return one event."""
        driver = int(self.driver[place])
        phone = int(self.phone_in_use[place])
        return Sample(
            device_id=self.devices[self.device[place]],
            driver_id="" if driver == NO_DRIVER else self.drivers[driver],
            t_us=int(self.t_us[place]),
            event_id=self.event_id[place],
            received_us=int(self.received_us[place]),
            latitude=_number(self.latitude[place]),
            longitude=_number(self.longitude[place]),
            event_type=EVENT_TYPES[self.event_type[place]],
            phone_in_use=None if phone == UNKNOWN else bool(phone),
            quality=int(self.quality[place]),
            device_trip_id=None if self.device_trip_id is None else self.device_trip_id[place],
            extra=None if self.extra is None else self.extra[place],
            **{name: _number(getattr(self, name)[place]) for name in SINGLES},
        )

    def samples(self) -> list[Sample]:
        """Return all events, one object each: for tests and small numbers."""
        return [self.sample(place) for place in range(len(self))]


def of_samples(samples: Iterable[Sample]) -> Columns:
    """Return samples as columns, in the order given."""
    rows = list(samples)
    devices, device = coded(row.device_id for row in rows)
    named, driver = coded(row.driver_id or None for row in rows)
    trip_ids = [row.device_trip_id for row in rows]
    extras = [row.extra for row in rows]
    return Columns(
        devices=devices,
        drivers=named,
        device=device,
        driver=driver,
        t_us=np.array([row.t_us for row in rows], np.int64),
        received_us=np.array([row.received_us for row in rows], np.int64),
        event_id=[row.event_id for row in rows],
        latitude=_numbers([row.latitude for row in rows], np.float64),
        longitude=_numbers([row.longitude for row in rows], np.float64),
        event_type=np.array([EVENT_CODE[row.event_type] for row in rows], np.int8),
        phone_in_use=np.array([UNKNOWN if row.phone_in_use is None else row.phone_in_use for row in rows], np.int8),
        quality=np.array([row.quality for row in rows], np.int16),
        device_trip_id=trip_ids if any(trip_ids) else None,
        extra=extras if any(value is not None for value in extras) else None,
        **{name: _numbers([getattr(row, name) for row in rows], np.float32) for name in SINGLES},
    )


def empty() -> Columns:
    """Return columns without events."""
    return of_samples([])


def join(parts: Sequence[Columns]) -> Columns:
    """Return the events of all parts, one after the other, with common lists of devices and drivers."""
    if len(parts) == 1:
        return parts[0]
    joined: dict[str, Any] = {}
    for codes, names in (("device", "devices"), ("driver", "drivers")):
        known: dict[str, int] = {}
        recoded = []
        for part in parts:
            # One more entry at the end, so that the code -1 (none) stays -1.
            table = [known.setdefault(name, len(known)) for name in getattr(part, names)]
            recoded.append(np.array([*table, UNKNOWN], np.int32)[getattr(part, codes)])
        joined[names] = list(known)
        joined[codes] = np.concatenate(recoded) if recoded else np.empty(0, np.int32)
    for field in fields(Columns):
        name = field.name
        if name in joined:
            continue
        values = [getattr(part, name) for part in parts]
        if name in {"device_trip_id", "extra"}:
            joined[name] = _joined_optional(values, parts)
        elif name == "event_id":
            joined[name] = [value for part in values for value in part]
        else:
            joined[name] = np.concatenate(values) if values else getattr(empty(), name)
    return Columns(**joined)


def coded(names: Iterable[str | None]) -> tuple[list[str], Codes]:
    """Return the distinct names in order of appearance and each one's index among them, -1 for None."""
    known: dict[str, int] = {}
    codes = [UNKNOWN if name is None else known.setdefault(name, len(known)) for name in names]
    return list(known), np.array(codes, np.int32)


def _joined_optional(values: Sequence[list[str | None] | None], parts: Sequence[Columns]) -> list[str | None] | None:
    if all(value is None for value in values):
        return None
    joined: list[str | None] = []
    for value, part in zip(values, parts, strict=True):
        joined += [None] * len(part) if value is None else value
    return joined


def _number(value: np.floating[Any]) -> float | None:
    number = float(value)
    return None if number != number else number  # noqa: PLR0124 - NaN


def _numbers(values: Sequence[float | None], dtype: type[np.floating[Any]]) -> NDArray[Any]:
    return np.array([np.nan if value is None else value for value in values], dtype)
