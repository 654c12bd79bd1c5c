"""Events as rows of ``telematics_events``: the order of its columns and their binary form."""

from __future__ import annotations

from auto_insurance.infra.db import binary
from auto_insurance.telematics.columns import EVENT_TYPES, UNKNOWN, Columns

COLUMNS = (
    "device_id",
    "timestamp",
    "event_id",
    "driver_id",
    "received_at",
    "latitude",
    "longitude",
    "speed_mph",
    "acceleration_g",
    "lateral_acceleration_g",
    "heading_deg",
    "altitude_m",
    "gps_accuracy_m",
    "event_type",
    "speed_limit_mph",
    "phone_in_use",
    "quality",
    "device_trip_id",
    "extra",
)
_JSONB_VERSION = "\x01"


def of_columns(events: Columns) -> list[binary.Column]:
    """Return events as the table's columns in the order of ``COLUMNS``. Every event has its driver."""
    phone_unknown = events.phone_in_use == UNKNOWN
    return [
        binary.Coded(events.devices, events.device),
        binary.instants(events.t_us),
        binary.Texts(events.event_id),
        binary.Coded(events.drivers, events.driver),
        binary.instants(events.received_us),
        binary.floats(events.latitude),
        binary.floats(events.longitude),
        binary.floats(events.speed_mph),
        binary.floats(events.accel_g),
        binary.floats(events.lateral_g),
        binary.floats(events.heading_deg),
        binary.floats(events.altitude_m),
        binary.floats(events.gps_accuracy_m),
        binary.Coded(EVENT_TYPES, events.event_type),
        binary.floats(events.speed_limit_mph),
        binary.Fixed(events.phone_in_use == 1, phone_unknown if phone_unknown.any() else None),
        binary.Fixed(events.quality),
        binary.Nothing() if events.device_trip_id is None else binary.Texts(events.device_trip_id),
        binary.Nothing() if events.extra is None else binary.Texts(events.extra, _JSONB_VERSION),
    ]
