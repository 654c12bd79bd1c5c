"""Turns one event as it was sent into a sample, or into the reasons why not. Pure: no clock, no I/O.

The same function runs at the door and behind the log, with the arrival time in the place of the current time, so
that both come to the same verdict however long a record waited.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from math import isfinite
from typing import Any, get_type_hints

import msgspec

from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.telematics import event_ids
from auto_insurance.telematics.extras import canonical_extra
from auto_insurance.telematics.limits import (
    EARLIEST_US,
    MAX_TEXT,
    NULL_ISLAND_DEG,
    US_PER_S,
    IngestPolicy,
    Reason,
    ReasonCode,
)
from auto_insurance.telematics.schemas import EventType, Quality, Sample
from auto_insurance.telematics.timestamps import parse_timestamp

DEFAULT_POLICY = IngestPolicy()
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_EVENT_TYPES = frozenset(EventType)
_FIELDS = get_type_hints(TelemetryEvent)
_REQUIRED = ("device_id", "timestamp")
_SINGLE = struct.Struct("<f")


def normalise(
    event: TelemetryEvent,
    *,
    received_us: int,
    now_us: int,
    policy: IngestPolicy = DEFAULT_POLICY,
    any_age: bool = False,
) -> Sample | list[Reason]:
    """Return the sample (with an empty ``driver_id``) or all reasons against it.

    ``received_us`` is the arrival and ``now_us`` the instant that age and clock skew are judged by, both microseconds
    since the epoch. ``any_age`` lifts the late window (scope ``import``). Never raises, whatever the event holds.
    """
    reasons: list[Reason] = []
    _check_ids(event, reasons)
    t_us = _timestamp(event.timestamp, now_us, policy, any_age, reasons)
    latitude, longitude = _position(event, reasons)
    numbers = _numbers(event, policy, reasons)
    if event.event_type not in _EVENT_TYPES:
        reasons.append(Reason(ReasonCode.UNKNOWN_EVENT_TYPE, "event_type", "event_type is not one of the known types."))
    extra, problem = canonical_extra(event.extra)
    if problem:
        reasons.append(Reason(ReasonCode.INVALID_EXTRA, "extra", problem))
    if reasons or t_us is None:
        return reasons
    return _sample(event, t_us, received_us, (latitude, longitude), numbers, extra, policy)


def read_event(value: object) -> TelemetryEvent | list[Reason]:
    """Return the typed event that a JSON value holds, or all reasons why there is none. Never raises."""
    if not isinstance(value, Mapping):
        return [Reason(ReasonCode.NOT_AN_OBJECT, "", "An event must be a JSON object.")]
    reasons = [
        Reason(ReasonCode.MISSING_FIELD, name, f"{name} is required.") for name in _REQUIRED if value.get(name) is None
    ]
    missing = {reason.field for reason in reasons}
    fields: dict[str, Any] = {}
    for name, type_ in _FIELDS.items():
        if name not in value or name in missing:
            continue
        try:
            fields[name] = msgspec.convert(value[name], type_)
        except (msgspec.ValidationError, OverflowError, RecursionError):
            reasons.append(Reason(ReasonCode.WRONG_TYPE, name, f"{name} has the wrong type."))
    return reasons or TelemetryEvent(**fields)


def normalise_json(
    value: object,
    *,
    received_us: int,
    now_us: int,
    policy: IngestPolicy = DEFAULT_POLICY,
    any_age: bool = False,
) -> tuple[TelemetryEvent | None, Sample | list[Reason]]:
    """Return the typed event, if it has the right types, and what :func:`normalise` says of it, for any JSON value."""
    event = read_event(value)
    if not isinstance(event, TelemetryEvent):
        return None, event
    return event, normalise(event, received_us=received_us, now_us=now_us, policy=policy, any_age=any_age)


def valid_device_id(value: str) -> bool:
    """Return whether ``value`` may name a device: 1 to 64 letters, digits or ``._:-``, no sign first."""
    return _ID.fullmatch(value) is not None


def _check_ids(event: TelemetryEvent, reasons: list[Reason]) -> None:
    rule = "must be 1 to 64 letters, digits or ._:- and start with a letter or digit."
    if not valid_device_id(event.device_id):
        reasons.append(Reason(ReasonCode.INVALID_DEVICE_ID, "device_id", f"device_id {rule}"))
    if event.driver_id is not None and not valid_device_id(event.driver_id):
        reasons.append(Reason(ReasonCode.INVALID_DRIVER_ID, "driver_id", f"driver_id {rule}"))
    for name, code in (("event_id", ReasonCode.INVALID_EVENT_ID), ("trip_id", ReasonCode.INVALID_TRIP_ID)):
        text: str | None = getattr(event, name)
        if text is not None and not (0 < len(text) <= MAX_TEXT and text.isprintable()):
            reasons.append(Reason(code, name, f"{name} must be 1 to {MAX_TEXT} printable characters."))


def _timestamp(
    value: str | float, now_us: int, policy: IngestPolicy, any_age: bool, reasons: list[Reason]
) -> int | None:
    t_us = parse_timestamp(value)
    if t_us is None:
        message = "timestamp must be ISO 8601 with an offset, or milliseconds since 1970."
        reasons.append(Reason(ReasonCode.INVALID_TIMESTAMP, "timestamp", message))
    elif t_us < EARLIEST_US:
        message = "timestamp is before the year 2000; numbers are milliseconds, not seconds."
        reasons.append(Reason(ReasonCode.INVALID_TIMESTAMP, "timestamp", message))
    elif t_us > now_us + policy.clock_skew_s * US_PER_S:
        message = f"timestamp is more than {policy.clock_skew_s:g} s in the future; check the device's clock."
        reasons.append(Reason(ReasonCode.TIMESTAMP_IN_FUTURE, "timestamp", message))
    elif not any_age and t_us < now_us - policy.late_window_s * US_PER_S:
        message = f"timestamp is older than {policy.late_window_s / 86_400:g} days; older events need an import."
        reasons.append(Reason(ReasonCode.TOO_OLD, "timestamp", message))
    elif policy.archived.hold(t_us):
        message = "timestamp lies in a month that is archived; it can be sent once that month is restored."
        reasons.append(Reason(ReasonCode.MONTH_ARCHIVED, "timestamp", message))
    return t_us


def _position(event: TelemetryEvent, reasons: list[Reason]) -> tuple[float | None, float | None]:
    latitude, longitude = event.latitude, event.longitude
    if latitude is None and longitude is None:
        return None, None
    if latitude is None or longitude is None:
        name = "latitude" if latitude is None else "longitude"
        message = f"{name} is missing; send both coordinates or neither."
        reasons.append(Reason(ReasonCode.INCOMPLETE_POSITION, name, message))
        return None, None
    for name, value, limit in (("latitude", latitude, 90), ("longitude", longitude, 180)):
        if not -limit <= value <= limit:
            message = f"{name} must be between -{limit} and {limit} degrees."
            reasons.append(Reason(ReasonCode.INVALID_COORDINATES, name, message))
    return latitude + 0.0, longitude + 0.0  # -0.0 becomes 0.0


def _numbers(event: TelemetryEvent, policy: IngestPolicy, reasons: list[Reason]) -> dict[str, float | None]:
    g = policy.max_acceleration_g
    bounds = (
        ("speed", 0.0, policy.max_speed_mph, "mph"),
        ("acceleration", -g, g, "g"),
        ("lateral_acceleration", -g, g, "g"),
        ("heading", 0.0, 360.0, "degrees"),
        ("altitude", -1_000.0, 20_000.0, "m"),
        ("gps_accuracy", 0.0, 100_000.0, "m"),
        ("speed_limit", 0.0, policy.max_speed_mph, "mph"),
    )
    found: dict[str, float | None] = {}
    for name, low, high, unit in bounds:
        value: float | None = getattr(event, name)
        if value is None:
            found[name] = None
        elif isfinite(value) and low <= value <= high:
            found[name] = single(value)
        else:
            message = f"{name} must be between {low:g} and {high:g} {unit}."
            reasons.append(Reason(ReasonCode.OUT_OF_RANGE, name, message))
    return found


def single(value: float) -> float:
    """Round to single precision, as the database stores it; -0.0 becomes 0.0."""
    rounded: float = _SINGLE.unpack(_SINGLE.pack(value))[0]
    return rounded + 0.0


def _sample(
    event: TelemetryEvent,
    t_us: int,
    received_us: int,
    position: tuple[float | None, float | None],
    numbers: Mapping[str, float | None],
    extra: str | None,
    policy: IngestPolicy,
) -> Sample:
    latitude, longitude = position
    accuracy = numbers["gps_accuracy"]
    heading = 0.0 if numbers["heading"] == 360.0 else numbers["heading"]
    # Devices that don't know the limit send 0: unknown is None, never zero.
    limit = numbers["speed_limit"] or None
    content = event_ids.Content(
        device_id=event.device_id,
        t_us=t_us,
        latitude=latitude,
        longitude=longitude,
        speed_mph=numbers["speed"],
        accel_g=numbers["acceleration"],
        lateral_g=numbers["lateral_acceleration"],
        heading_deg=heading,
        altitude_m=numbers["altitude"],
        gps_accuracy_m=accuracy,
        speed_limit_mph=limit,
        phone_in_use=event.phone_in_use,
        event_type=event.event_type,
        trip_id=event.trip_id,
        extra=extra,
    )
    return Sample(
        device_id=event.device_id,
        driver_id="",
        t_us=t_us,
        event_id=event.event_id or event_ids.derive(content),
        received_us=received_us,
        latitude=latitude,
        longitude=longitude,
        speed_mph=numbers["speed"],
        accel_g=numbers["acceleration"],
        lateral_g=numbers["lateral_acceleration"],
        heading_deg=heading,
        altitude_m=numbers["altitude"],
        gps_accuracy_m=accuracy,
        event_type=event.event_type,
        speed_limit_mph=limit,
        phone_in_use=event.phone_in_use,
        quality=int(_quality(latitude, longitude, accuracy, policy)),
        device_trip_id=event.trip_id,
        extra=extra,
    )


def _quality(latitude: float | None, longitude: float | None, accuracy: float | None, policy: IngestPolicy) -> Quality:
    if latitude is None or longitude is None:
        return Quality.NO_POSITION
    quality = Quality.GOOD
    if abs(latitude) <= NULL_ISLAND_DEG and abs(longitude) <= NULL_ISLAND_DEG:
        quality |= Quality.NULL_ISLAND
    if accuracy is not None and accuracy > policy.low_accuracy_m:
        quality |= Quality.LOW_ACCURACY
    return quality
