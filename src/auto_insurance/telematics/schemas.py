"""Forms in which other domains see telemetry."""

from __future__ import annotations

from datetime import datetime
from enum import IntFlag, StrEnum
from typing import NamedTuple

import msgspec


class EventType(StrEnum):
    """What a device says an event is."""

    NORMAL = "normal"
    HARSH_BRAKE = "harsh_brake"
    RAPID_ACCEL = "rapid_accel"
    SPEEDING = "speeding"
    HARSH_CORNER = "harsh_corner"
    PHONE_USAGE = "phone_usage"
    IGNITION_ON = "ignition_on"
    IGNITION_OFF = "ignition_off"
    CRASH = "crash"


class Quality(IntFlag):
    """Why a stored sample is doubtful; such a sample adds no distance."""

    GOOD = 0
    NO_POSITION = 1
    NULL_ISLAND = 2
    LOW_ACCURACY = 4
    IMPLIED_SPEED = 8


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One stored event, ready for segmentation. All a trip is made of is in here.

    ``t_us`` microseconds since the epoch (event time), ``received_us`` the arrival time; floats are rounded to single
    precision, except latitude and longitude, so that a sample read back from the database equals the one that came
    off the wire. ``quality`` holds the flags that need no neighbour (all but IMPLIED_SPEED).
    """

    device_id: str
    driver_id: str
    t_us: int
    event_id: str
    received_us: int
    latitude: float | None
    longitude: float | None
    speed_mph: float | None
    accel_g: float | None
    lateral_g: float | None
    heading_deg: float | None
    altitude_m: float | None
    gps_accuracy_m: float | None
    event_type: str
    speed_limit_mph: float | None
    phone_in_use: bool | None
    quality: int
    device_trip_id: str | None = None
    extra: str | None = None
    """What the device added, as canonical JSON."""


class SampleKey(NamedTuple):
    """An event's identity."""

    device_id: str
    t_us: int
    event_id: str


def key_of(sample: Sample) -> SampleKey:
    """Return the identity under which a sample is stored."""
    return SampleKey(sample.device_id, sample.t_us, sample.event_id)


class PathPoint(NamedTuple):
    """A point of a path: microseconds since the epoch, degrees."""

    t_us: int
    latitude: float
    longitude: float
    quality: int


class Contact(NamedTuple):
    """What was heard of a device in an hour; times in microseconds since the epoch."""

    device_id: str
    hour_us: int
    accepted: int
    rejected: int
    last_received_us: int
    clock_offset_us: int | None

    def plus(self, other: Contact) -> Contact:
        """Return both together; they are of one device and hour."""
        offsets = [o for o in (self.clock_offset_us, other.clock_offset_us) if o is not None]
        return self._replace(
            accepted=self.accepted + other.accepted,
            rejected=self.rejected + other.rejected,
            last_received_us=max(self.last_received_us, other.last_received_us),
            clock_offset_us=min(offsets, default=None),
        )


class ContactSummary(NamedTuple):
    """What was heard of a device lately."""

    last_received_at: datetime | None
    clock_offset_us: int | None
    rejected: int
