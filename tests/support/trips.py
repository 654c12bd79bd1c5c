"""Samples for tests of trips: made up by a small script of a drive, or read from recorded drives."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import cos, radians, sin
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from auto_insurance.kernel.clock import to_us
from auto_insurance.kernel.units import MS_PER_MPH
from auto_insurance.telematics.columns import of_samples
from auto_insurance.telematics.schemas import Quality, Sample
from auto_insurance.trips import fold as folding
from auto_insurance.trips.contents import Closed, TripContent
from auto_insurance.trips.fold import Folder, groups_of
from auto_insurance.trips.rules import TripRules
from auto_insurance.trips.segment import END_SILENCE, STILL_OPEN
from auto_insurance.trips.state import Device
from auto_insurance.trips.table import DeviceTable

START_US = 1_767_600_000_000_000
"""2026-01-05 08:00 UTC, a Monday."""
DEG_M = 111_195.08


def single(value: float | None) -> float | None:
    """Round to single precision, as stored samples are."""
    return None if value is None else float(struct.unpack("f", struct.pack("f", value))[0])


@dataclass
class Drive:
    """Writes samples along a straight course, one per ``period_s``; each method returns self."""

    device_id: str = "dev-1"
    driver_id: str = "DRV001"
    t_us: int = START_US
    lat: float = 41.25
    lon: float = -96.0
    course: float = 90.0
    period_s: float = 1.0
    samples: list[Sample] = field(default_factory=list)

    def emit(self, speed_ms: float | None, **fields: Any) -> Drive:
        """Append one sample here and now."""
        base: dict[str, Any] = {
            "device_id": self.device_id,
            "driver_id": self.driver_id,
            "t_us": self.t_us,
            "event_id": f"e{self.t_us}",
            "received_us": self.t_us + 1_000_000,
            "latitude": self.lat,
            "longitude": self.lon,
            "speed_mph": single(None if speed_ms is None else speed_ms / MS_PER_MPH),
            "accel_g": None,
            "lateral_g": None,
            "heading_deg": None,
            "altitude_m": None,
            "gps_accuracy_m": 5.0,
            "event_type": "normal",
            "speed_limit_mph": None,
            "phone_in_use": None,
            "quality": 0,
        }
        self.samples.append(Sample(**(base | fields)))
        return self

    def move(self, metres: float) -> None:
        self.lat += metres * cos(radians(self.course)) / DEG_M
        self.lon += metres * sin(radians(self.course)) / DEG_M / cos(radians(self.lat))

    def wait(self, seconds: float) -> Drive:
        """Let time pass without a sample."""
        self.t_us += round(seconds * 1e6)
        return self

    def go(self, speed_ms: float, seconds: float, *, silent_speed: bool = False, **fields: Any) -> Drive:
        """Drive on at a constant speed."""
        for _ in range(round(seconds / self.period_s)):
            self.move(speed_ms * self.period_s)
            self.emit(None if silent_speed else speed_ms, **fields)
            self.wait(self.period_s)
        return self

    def stand(self, seconds: float, drift: Sequence[tuple[float, float]] = ((0.0, 0.0),), **fields: Any) -> Drive:
        """Stand still; positions wander by the given metres north and east, over and over."""
        for i in range(round(seconds / self.period_s)):
            north, east = drift[i % len(drift)]
            self.emit(
                fields.get("speed_ms", 0.0),
                **{
                    "latitude": self.lat + north / DEG_M,
                    "longitude": self.lon + east / DEG_M / cos(radians(self.lat)),
                    **{key: value for key, value in fields.items() if key != "speed_ms"},
                },
            )
            self.wait(self.period_s)
        return self


class OneDevice:
    """A device alone in a table, folded sample by sample or all at once."""

    def __init__(self, device_id: str = "dev-1", rules: TripRules | None = None) -> None:
        folding.warm()
        self.rules = rules or TripRules()
        self.table = DeviceTable(self.rules)
        self.folder = Folder(self.table, self.rules)
        self.slot = self.table.add(device_id)
        self.flagged: list[Sample] = []

    @property
    def state(self) -> Device:
        """Its record."""
        return self.table.device(self.slot)

    def advance(self, samples: Sequence[Sample], zones: Mapping[str, str] | None = None) -> list[Closed]:
        """Fold samples; the device's own order is restored first. Returns the trips that this closed."""
        columns = of_samples(samples)
        slots = np.full(1 if samples else 0, self.slot, np.int64)
        closed, flagged = self.folder.fold(columns, groups_of(columns), slots, zones or {})
        self.flagged += [samples[row] for row in np.flatnonzero(flagged).tolist()]
        return closed

    def last(self) -> list[Closed]:
        """Return what silence would close."""
        return self.folder.view(np.array([self.slot], np.int64), END_SILENCE)

    def preview(self) -> TripContent | None:
        """Return the open trip, if it is confirmed, as it stands."""
        for closed in self.folder.view(np.array([self.slot], np.int64), STILL_OPEN):
            return closed.content
        return None

    def restart(self) -> None:
        """Save the device and load it into another table."""
        saved, device_id = self.table.dump(self.slot), self.table.ids[self.slot]
        self.table = DeviceTable(self.rules)
        self.folder = Folder(self.table, self.rules)
        self.slot = self.table.add(device_id)
        assert self.table.load(self.slot, saved)


def fold(
    samples: Iterable[Sample], rules: TripRules | None = None, zones: Mapping[str, str] | None = None
) -> list[Closed]:
    """Cut samples in one sorted pass; the last open trip is closed by silence."""
    unique = list({(s.t_us, s.event_id): s for s in samples}.values())
    if not unique:
        return []
    device = OneDevice(unique[0].device_id, rules)
    return [*device.advance(unique, zones), *device.last()]


def kept(
    samples: Iterable[Sample], rules: TripRules | None = None, zones: Mapping[str, str] | None = None
) -> list[TripContent]:
    """Return the trips of one sorted pass."""
    return [closed.content for closed in fold(samples, rules, zones) if closed.kept]


def recorded_drives(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the recorded drives, in order of time, by drive."""
    table = pl.read_parquet(folder / "drives.parquet").sort("drive_id", "timestamp")
    return {str(key[0]): part.to_dicts() for key, part in table.group_by(["drive_id"], maintain_order=True)}


def recorded_samples(drive_id: str, rows: Sequence[Mapping[str, Any]], driver_id: str = "DRV001") -> list[Sample]:
    """Return a recorded drive as samples of a device of its own. Its hdop is not in metres: accuracy is unknown."""
    samples = []
    for index, row in enumerate(rows):
        t_us = to_us(row["timestamp"])
        complete = row["latitude"] is not None and row["longitude"] is not None
        samples.append(
            Sample(
                device_id=drive_id,
                driver_id=driver_id,
                t_us=t_us,
                event_id=f"{index:06d}",
                received_us=t_us,
                latitude=row["latitude"] if complete else None,
                longitude=row["longitude"] if complete else None,
                speed_mph=single(row["speed_mph"]),
                accel_g=single(row["accel_long_g"]),
                lateral_g=single(row["accel_lat_g"]),
                heading_deg=single(row["heading_deg"]),
                altitude_m=single(row["altitude_m"]),
                gps_accuracy_m=None,
                event_type="normal",
                speed_limit_mph=single(row["speed_limit_mph"]),
                phone_in_use=row["phone_in_use"],
                quality=0 if complete else int(Quality.NO_POSITION),
            )
        )
    return samples


def moved_to(samples: Iterable[Sample], shift_us: int) -> list[Sample]:
    """Return samples at another time."""
    return [msgspec.structs.replace(s, t_us=s.t_us + shift_us, received_us=s.received_us + shift_us) for s in samples]
