"""Wire form of telemetry on the topic ``telematics-events`` (JSON: one event or an array of events)."""

from __future__ import annotations

from typing import Any

import msgspec


class TelemetryEvent(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One event as a device sends it and as the log carries it.

    Units: speed and speed_limit mph, acceleration (along, front positive) and lateral_acceleration g,
    heading degrees from north, altitude and gps_accuracy metres. ``timestamp`` is ISO 8601 with an offset or
    milliseconds since the Unix epoch. Only ``device_id`` and ``timestamp`` are always required.
    """

    device_id: str
    timestamp: str | int | float
    event_id: str | None = None
    driver_id: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    speed: float | None = None
    acceleration: float | None = None
    lateral_acceleration: float | None = None
    heading: float | None = None
    altitude: float | None = None
    gps_accuracy: float | None = None
    event_type: str = "normal"
    speed_limit: float | None = None
    phone_in_use: bool | None = None
    trip_id: str | None = None
    extra: dict[str, Any] | None = None
