"""Reads recorded drives from Parquet, CSV and GPX files as events of the public API.

Parquet has the columns timestamp, latitude, longitude, altitude_m, heading_deg, speed_mph, accel_long_g, accel_lat_g,
speed_limit_mph and phone_in_use, of which only timestamp is required, and source, drive_id and driver to tell drives
apart. ``hdop`` is no accuracy in metres, and no receiver's error is known to turn it into one: it is left out, as is
what is not a number. An altitude outside -1,000..20,000 m, which some recorders give in millimetres, is left out and
counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

from auto_insurance.infra.trackfile import TrackFileError, TrackFormat, read_track

MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_GAP_S = 600.0
"""A silence that ends a trip; nobody drove the mean of two speeds for longer."""
_ALTITUDE_M = (-1_000.0, 20_000.0)
_COLUMNS = {
    "latitude": "latitude",
    "longitude": "longitude",
    "altitude_m": "altitude",
    "heading_deg": "heading",
    "speed_mph": "speed",
    "accel_long_g": "acceleration",
    "accel_lat_g": "lateral_acceleration",
    "speed_limit_mph": "speed_limit",
}


class DriveFileError(Exception):
    """The file can't be read; the message is meant for people."""


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that is no event: its line in the file (from 1) and why."""

    line: int
    message: str


@dataclass(slots=True)
class Drive:
    """One recorded drive: events without a device, and the rows that are none."""

    source: str
    drive_id: str
    driver: str
    events: list[dict[str, Any]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    """The row of the file that each event is, from 1."""
    problems: list[RowProblem] = field(default_factory=list)
    left_out: int = 0
    """Altitudes that can't be."""

    @property
    def rows(self) -> int:
        """Rows of the file."""
        return len(self.events) + len(self.problems)

    @property
    def device_id(self) -> str:
        """A device id that is always the same for this drive."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", f"replay-{self.source}-{self.drive_id}")[:64]

    def recorded_miles(self) -> float:
        """Return the integral of the recorded speed over time (trapezoid rule), gaps over ``MAX_GAP_S`` left out."""
        points = sorted(
            (time_of(event), float(event["speed"])) for event in self.events if isinstance(event.get("speed"), float)
        )
        miles = 0.0
        for (t0, v0), (t1, v1) in pairwise(points):
            seconds = (t1 - t0).total_seconds()
            if seconds <= MAX_GAP_S:
                miles += (v0 + v1) / 2 * seconds / 3600
        return miles

    def span(self) -> tuple[datetime, datetime]:
        """Return the times of the first and the last event. Raises ``ValueError`` without events."""
        times = [time_of(event) for event in self.events]
        return min(times), max(times)


def time_of(event: Mapping[str, Any]) -> datetime:
    """Return an event's instant. Raises ``ValueError``."""
    value = event["timestamp"]
    if isinstance(value, str):
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            raise ValueError("a timestamp needs an offset")
        return at.astimezone(UTC)
    return datetime.fromtimestamp(value / 1000, UTC)


def read_drives(path: Path) -> list[Drive]:
    """Return the drives of a file, in order of time. Raises ``DriveFileError``."""
    try:
        size = path.stat().st_size
    except OSError as why:
        raise DriveFileError(f"{path}: {why.strerror}") from why
    if size > MAX_FILE_BYTES:
        raise DriveFileError(f"{path}: larger than {MAX_FILE_BYTES // 1024**2} MiB")
    readers = {".parquet": _read_parquet, ".csv": _read_track, ".gpx": _read_track}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DriveFileError(f"{path}: not a .parquet, .csv or .gpx file")
    drives = reader(path)
    if not any(drive.rows for drive in drives):
        raise DriveFileError(f"{path}: no rows")
    return sorted(drives, key=_first_time)


def _first_time(drive: Drive) -> datetime:
    return drive.span()[0] if drive.events else datetime.max.replace(tzinfo=UTC)


def _read_parquet(path: Path) -> list[Drive]:
    import polars as pl  # noqa: PLC0415 - takes long to import, and most commands need no Parquet

    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as why:
        raise DriveFileError(f"{path}: not readable as Parquet") from why
    if "timestamp" not in table.columns:
        raise DriveFileError(f"{path}: no column timestamp")
    drives: dict[tuple[str, str], Drive] = {}
    for line, row in enumerate(table.iter_rows(named=True), 1):
        key = (str(row.get("source") or "file"), str(row.get("drive_id") or path.stem))
        drive = drives.get(key)
        if drive is None:
            drive = drives[key] = Drive(*key, str(row.get("driver") or "unknown"))
        _add(drive, line, row)
    return list(drives.values())


def _add(drive: Drive, line: int, row: Mapping[str, Any]) -> None:
    at = row["timestamp"]
    if not isinstance(at, datetime):
        drive.problems.append(RowProblem(line, "timestamp is missing or no time"))
        return
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    event: dict[str, Any] = {"timestamp": at.isoformat()}
    for column, name in _COLUMNS.items():
        value = row.get(column)
        if isinstance(value, int | float) and isfinite(value):
            event[name] = float(value)
    altitude = event.get("altitude")
    if altitude is not None and not _ALTITUDE_M[0] <= altitude <= _ALTITUDE_M[1]:
        del event["altitude"]
        drive.left_out += 1
    if isinstance(row.get("phone_in_use"), bool):
        event["phone_in_use"] = row["phone_in_use"]
    drive.events.append(event)
    drive.lines.append(line)


def _read_track(path: Path) -> list[Drive]:
    """Read CSV or GPX: one drive per device named in it, else one per file."""
    kind = TrackFormat(path.suffix.lower().removeprefix("."))
    drives: dict[str, Drive] = {}
    try:
        for row in read_track(kind, path.read_bytes()):
            event = dict(row.fields)
            name = str(event.pop("device_id", "") or path.stem)
            event.pop("driver_id", None)
            drive = drives.setdefault(name, Drive("file", name, "unknown"))
            try:
                time_of(event)
            except (KeyError, ValueError, TypeError, OverflowError, OSError):
                drive.problems.append(RowProblem(row.line, "timestamp is missing or not ISO 8601 with an offset"))
            else:
                drive.events.append(event)
                drive.lines.append(row.line)
    except TrackFileError as why:
        raise DriveFileError(f"{path}: {why}") from why
    return list(drives.values())


def shifted(drive: Drive, now: datetime, speed_up: float) -> Drive:
    """Return the drive moved in time so that, sent ``speed_up`` times faster than driven, it ends in the present.

    Intervals stay as they were driven: squeezed ones would contradict the speeds. No event lies ahead of its sending.
    """
    if not drive.events:
        return drive
    first, last = drive.span()
    head_start = (last - first) * max(0.0, 1.0 - 1.0 / speed_up)
    shift = now - head_start - first
    moved = sorted(zip((time_of(event) for event in drive.events), drive.lines, drive.events, strict=True), key=_when)
    return replace(
        drive,
        events=[{**event, "timestamp": (at + shift).isoformat()} for at, _, event in moved],
        lines=[line for _, line, _ in moved],
    )


def _when(item: tuple[datetime, int, dict[str, Any]]) -> tuple[datetime, int]:
    return item[:2]
