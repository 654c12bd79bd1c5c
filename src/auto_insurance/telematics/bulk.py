"""Judges many events at once, column by column. Pure.

What is right is defined by :func:`auto_insurance.telematics.validate.normalise`, one event at a time. The checks here
say the same of whole columns; an event that any of them doubts goes through ``normalise`` by itself, for its reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.telematics import event_ids
from auto_insurance.telematics.columns import (
    EVENT_CODE,
    EVENT_TYPES,
    NO_DRIVER,
    UNKNOWN,
    Columns,
    Ints,
    Mask,
    of_samples,
)
from auto_insurance.telematics.extras import canonical_extra
from auto_insurance.telematics.limits import (
    EARLIEST_US,
    MAX_TEXT,
    NULL_ISLAND_DEG,
    US_PER_S,
    IngestPolicy,
    Reason,
)
from auto_insurance.telematics.schemas import Quality, Sample
from auto_insurance.telematics.timestamps import parse_timestamps
from auto_insurance.telematics.validate import normalise, valid_device_id

Doubles = NDArray[np.float64]
Singles = NDArray[np.float32]
_TYPE_WORDS = event_ids.text_words(EVENT_TYPES)


_ROW = frozenset(field.name for field in fields(Columns)) - {"devices", "drivers", "device", "driver"}


class _Codes(dict[str, int]):
    def __missing__(self, key: str) -> int:
        return UNKNOWN


_EVENT_CODES = _Codes(EVENT_CODE)


@dataclass(slots=True)
class Judged:
    """Events as columns, a row each in the order given, and why some are refused.

    The rows of refused events hold nothing of use. Who came without an id has an empty one, see :func:`derive_ids`.
    """

    columns: Columns
    named: list[str | None]
    """The drivers that the events name."""
    refused: dict[int, list[Reason]]

    def accepted(self) -> Mask:
        """Return which events are right."""
        mask = np.ones(len(self.columns), np.bool_)
        mask[list(self.refused)] = False
        return mask


def judge(
    events: Sequence[TelemetryEvent], received_us: Ints, policy: IngestPolicy, any_age: bool | Mask = False
) -> Judged:
    """Judge events that were read from JSON (so that no number is NaN), each by its arrival in ``received_us``.

    ``any_age`` (scope ``import``) is of all or of each. Never raises, whatever the events hold.
    """
    ageless = np.broadcast_to(np.asarray(any_age, np.bool_), len(events))
    bad = np.zeros(len(events), np.bool_)
    columns, named = _columns(events, received_us, policy, bad)
    _check_times(columns.t_us, received_us, policy, ageless, bad)
    refused: dict[int, list[Reason]] = {}
    for place in np.flatnonzero(bad).tolist():
        now_us = int(received_us[place])
        result = normalise(
            events[place], received_us=now_us, now_us=now_us, policy=policy, any_age=bool(ageless[place])
        )
        if isinstance(result, Sample):
            _put(columns, place, result)
        else:
            refused[place] = result
    return Judged(columns, named, refused)


def kept(columns: Columns, mask: Mask) -> Columns:
    """Return the events for which ``mask`` holds, and of the devices only theirs."""
    chosen = columns.where(mask)
    return columns if chosen is columns else pruned(chosen)


def pruned(columns: Columns) -> Columns:
    """Leave out the devices without events, in place."""
    codes, places = np.unique(columns.device, return_inverse=True)
    columns.device = places.astype(np.int32)
    columns.devices = [columns.devices[code] for code in codes.tolist()]
    return columns


def derive_ids(columns: Columns) -> None:
    """Give an id to each event that has none. All events must be right."""
    if all(columns.event_id):
        return
    places = [place for place, text in enumerate(columns.event_id) if not text]
    c = columns if len(places) == len(columns) else columns.take(np.array(places, np.int64))
    phone = np.where(c.phone_in_use == UNKNOWN, 2, c.phone_in_use).astype(np.uint64)
    matrix = np.empty((event_ids.WORDS, len(c)), np.uint64)
    matrix[0] = event_ids.text_words(c.devices)[c.device]
    matrix[1] = c.t_us.view(np.uint64)
    matrix[2] = event_ids.double_bits(c.latitude)
    matrix[3] = event_ids.double_bits(c.longitude)
    matrix[4] = event_ids.pair(c.speed_mph, c.accel_g)
    matrix[5] = event_ids.pair(c.lateral_g, c.heading_deg)
    matrix[6] = event_ids.pair(c.altitude_m, c.gps_accuracy_m)
    matrix[7] = event_ids.single_bits(c.speed_limit_mph) | phone << np.uint64(32)
    matrix[8] = _TYPE_WORDS[c.event_type]
    matrix[9] = 0 if c.device_trip_id is None else event_ids.text_words(c.device_trip_id)
    matrix[10] = 0 if c.extra is None else event_ids.text_words(c.extra)
    derived = event_ids.derive_many(matrix)
    if c is columns:
        columns.event_id[:] = derived
        return
    for place, text in zip(places, derived, strict=True):
        columns.event_id[place] = text


def _columns(
    events: Sequence[TelemetryEvent], received_us: Ints, policy: IngestPolicy, bad: Mask
) -> tuple[Columns, list[str | None]]:
    device_ids = [event.device_id for event in events]
    devices = list(dict.fromkeys(device_ids))
    index = dict(zip(devices, range(len(devices)), strict=True))
    named = [event.driver_id for event in events]
    given = [event.event_id for event in events]
    trips = [event.trip_id for event in events]
    types = np.fromiter(map(_EVENT_CODES.__getitem__, [event.event_type for event in events]), np.int8, len(events))
    bad |= types < 0
    _check_texts(device_ids, devices, valid_device_id, bad)
    _check_texts(named, {name for name in named if name is not None}, valid_device_id, bad)
    _check_ids(given, bad)
    trip_ids = {trip for trip in trips if trip is not None}
    _check_texts(trips, trip_ids, _valid_text, bad)
    latitude, longitude = _position(events, bad)
    numbers = _numbers(events, policy, bad)
    phone = _numbers_of([event.phone_in_use for event in events])
    return (
        Columns(
            devices=devices,
            drivers=[],
            device=np.fromiter(map(index.__getitem__, device_ids), np.int32, len(events)),
            driver=np.full(len(events), NO_DRIVER, np.int32),
            t_us=parse_timestamps([event.timestamp for event in events]),
            received_us=received_us,
            event_id=[text or "" for text in given],
            latitude=latitude,
            longitude=longitude,
            event_type=types,
            phone_in_use=np.where(np.isnan(phone), UNKNOWN, phone).astype(np.int8),
            quality=_quality(latitude, longitude, numbers["gps_accuracy_m"], policy),
            device_trip_id=trips if trip_ids else None,
            extra=_extras(events, bad),
            **numbers,
        ),
        named,
    )


def _numbers_of(values: list[Any]) -> Doubles:
    """Return numbers and NaN for None."""
    if not any(values) and values.count(None) == len(values):  # quick for what devices do not send
        return np.full(len(values), np.nan)
    return np.fromiter(values, np.float64, len(values))


def _position(events: Sequence[TelemetryEvent], bad: Mask) -> tuple[Doubles, Doubles]:
    latitude = _numbers_of([event.latitude for event in events]) + 0.0  # -0.0 becomes 0.0
    longitude = _numbers_of([event.longitude for event in events]) + 0.0
    bad |= np.isnan(latitude) != np.isnan(longitude)
    bad |= np.abs(latitude) > 90
    bad |= np.abs(longitude) > 180
    return latitude, longitude


def _numbers(events: Sequence[TelemetryEvent], policy: IngestPolicy, bad: Mask) -> dict[str, Singles]:
    g, mph = policy.max_acceleration_g, policy.max_speed_mph
    wide = np.empty((7, len(events)))
    wide[0] = _numbers_of([event.speed for event in events])
    wide[1] = _numbers_of([event.acceleration for event in events])
    wide[2] = _numbers_of([event.lateral_acceleration for event in events])
    wide[3] = _numbers_of([event.heading for event in events])
    wide[4] = _numbers_of([event.altitude for event in events])
    wide[5] = _numbers_of([event.gps_accuracy for event in events])
    wide[6] = _numbers_of([event.speed_limit for event in events])
    low = np.array([0.0, -g, -g, 0.0, -1_000.0, 0.0, 0.0])[:, None]
    high = np.array([mph, g, g, 360.0, 20_000.0, 100_000.0, mph])[:, None]
    outside = (wide < low) | (wide > high)  # false for NaN
    bad |= outside.any(axis=0)
    wide[outside] = np.nan  # no single could hold some of these
    speed, accel, lateral, heading, altitude, accuracy, limit = wide.astype(np.float32) + np.float32(0.0)
    heading[heading == 360] = 0.0
    limit[limit == 0] = np.nan  # devices that don't know the limit send 0
    return {
        "speed_mph": speed,
        "accel_g": accel,
        "lateral_g": lateral,
        "heading_deg": heading,
        "altitude_m": altitude,
        "gps_accuracy_m": accuracy,
        "speed_limit_mph": limit,
    }


def _quality(latitude: Doubles, longitude: Doubles, accuracy: Singles, policy: IngestPolicy) -> NDArray[np.int16]:
    island = (np.abs(latitude) <= NULL_ISLAND_DEG) & (np.abs(longitude) <= NULL_ISLAND_DEG)
    coarse = accuracy.astype(np.float64) > policy.low_accuracy_m
    flags = island * np.int16(Quality.NULL_ISLAND) + coarse * np.int16(Quality.LOW_ACCURACY)
    flags[np.isnan(latitude)] = Quality.NO_POSITION
    return flags


def _check_times(t_us: Ints, now_us: Ints, policy: IngestPolicy, any_age: Mask, bad: Mask) -> None:
    bad |= t_us < EARLIEST_US
    bad |= t_us > now_us + policy.clock_skew_s * US_PER_S
    bad |= (t_us < now_us - policy.late_window_s * US_PER_S) & ~any_age
    for start_us, end_us in policy.archived.spans:
        bad |= (t_us >= start_us) & (t_us < end_us)


def _check_texts(texts: Sequence[str | None], distinct: Iterable[str], valid: Callable[[str], bool], bad: Mask) -> None:
    wrong = {text for text in distinct if not valid(text)}
    if wrong:
        bad |= np.fromiter((text in wrong for text in texts), np.bool_, len(texts))


def _check_ids(given: Sequence[str | None], bad: Mask) -> None:
    """Check event ids together first: there are as many as events, and they are nearly always right."""
    texts = [text for text in given if text is not None]
    if texts and not (min(map(len, texts)) > 0 and max(map(len, texts)) <= MAX_TEXT and "".join(texts).isprintable()):
        bad |= np.fromiter((text is not None and not _valid_text(text) for text in given), np.bool_, len(given))


def _valid_text(text: str) -> bool:
    return 0 < len(text) <= MAX_TEXT and text.isprintable()


def _extras(events: Sequence[TelemetryEvent], bad: Mask) -> list[str | None] | None:
    given = [event.extra for event in events]
    if not any(given):
        return None
    found: list[str | None] = [None] * len(given)
    for place, value in enumerate(given):
        if value:
            found[place], problem = canonical_extra(value)
            if problem is not None:
                bad[place] = True
    return found


def _put(columns: Columns, place: int, sample: Sample) -> None:
    """Put an event that was doubted, but is right, into its row."""
    row = of_samples([sample])
    for name in _ROW:
        value = getattr(row, name)
        column = getattr(columns, name)
        if column is not None:
            column[place] = None if value is None else value[0]
