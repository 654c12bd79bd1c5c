"""Telemetry around a loss, frozen: its canonical form, its checksum, and what people look at. Pure.

The form is JSON with sorted keys and without blanks, one object per event in order of time and id. The checksum is
SHA-256 over a header line (claim, version, window, the checksum of the version before) and that JSON: each version
vouches for those before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from auto_insurance.kernel.clock import to_us
from auto_insurance.telematics.schemas import Quality, Sample

BEFORE = timedelta(seconds=60)
AFTER = timedelta(seconds=30)
_FIELDS = (
    "device_id", "event_id", "t_us", "received_us", "latitude", "longitude", "speed_mph", "accel_g", "lateral_g",
    "heading_deg", "altitude_m", "gps_accuracy_m", "event_type", "speed_limit_mph", "phone_in_use", "quality",
)  # fmt: skip
_MAY_CHANGE = frozenset({"quality", "received_us"})
"""What a stored event's meaning does not hang on: flags are added later, and a restored month keeps arrivals."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time that is frozen, [start, end]."""

    start: datetime
    end: datetime


def window_of(occurred_at: datetime) -> Window:
    """Return the 90 seconds around a loss."""
    return Window(occurred_at - BEFORE, occurred_at + AFTER)


def canonical(samples: Sequence[Sample]) -> bytes:
    """Return the bytes that are frozen: the same events give the same bytes, in whatever order they come."""
    ordered = sorted(samples, key=lambda sample: (sample.t_us, sample.device_id, sample.event_id))
    rows = [{name: getattr(sample, name) for name in _FIELDS} for sample in ordered]
    return json.dumps(rows, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def checksum(claim_id: str, version: int, window: Window, before: str | None, content: bytes) -> str:
    """Return the SHA-256, in hexadecimal, of a version of the evidence."""
    header = f"{claim_id}\n{version}\n{to_us(window.start)}\n{to_us(window.end)}\n{before or '-'}\n"
    return hashlib.sha256(header.encode() + content).hexdigest()


def events_of(content: bytes) -> list[dict[str, Any]]:
    """Return the frozen events. Raises ``ValueError`` for what is no frozen form."""
    found = json.loads(content)
    if not isinstance(found, list):
        raise ValueError("not a list of events")
    return found


def same_events(one: bytes, other: bytes) -> bool:
    """Tell whether two forms hold the same events with the same measurements."""
    return _measured(one) == _measured(other)


def contains(later: bytes, earlier: bytes) -> bool:
    """Tell whether a form still holds every event of an earlier one as it was."""
    there = _measured(later)
    return all(there.get(key) == value for key, value in _measured(earlier).items())


def _measured(content: bytes) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {
        (event["device_id"], event["t_us"], event["event_id"]): {
            name: value for name, value in event.items() if name not in _MAY_CHANGE
        }
        for event in events_of(content)
    }


def path(content: bytes) -> list[tuple[float, float]]:
    """Return the good positions of the device that has most, in order of time, longitude first as GeoJSON has it."""
    found: dict[str, list[tuple[float, float]]] = {}
    for event in events_of(content):
        if event["latitude"] is not None and event["longitude"] is not None and event["quality"] == Quality.GOOD:
            found.setdefault(event["device_id"], []).append((event["longitude"], event["latitude"]))
    return max(found.values(), key=len, default=[])


def speeds(content: bytes, occurred_at: datetime) -> list[dict[str, Any]]:
    """Return speed and accelerations over the seconds before (negative) and after the loss."""
    zero = to_us(occurred_at)
    return [
        {
            "device_id": event["device_id"],
            "offset_s": round((event["t_us"] - zero) / 1e6, 3),
            "speed_mph": event["speed_mph"],
            "speed_limit_mph": event["speed_limit_mph"],
            "acceleration_g": event["accel_g"],
            "lateral_acceleration_g": event["lateral_g"],
            "event_type": event["event_type"],
        }
        for event in events_of(content)
    ]
