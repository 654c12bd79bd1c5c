"""Rows of ``telematics_events`` ready in memory: the bytes of a binary COPY, made by numpy without an object per row.

This is the limit that the pipeline is measured against, and what fills large tables. The columns are those that the
table has in the database at hand; one that is unknown here must be nullable or have a default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import numpy as np
from numpy.typing import NDArray

from benchmarks.fleet import HARSH, KINDS, OFF, ON, Fleet, Span, device_name, driver_name, spans
from benchmarks.results import Wrong
from benchmarks.uploads import Traffic

TABLE = "telematics_events"
HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
POSTGRES_EPOCH_US = 946_684_800_000_000
UPLOAD_DELAY_US = 500_000
Layout = Sequence[str]


@dataclass(slots=True)
class Rows:
    """Columns of equal length, one entry per event, in the order in which they are to be written."""

    device: NDArray[np.int64]
    second: NDArray[np.int64]
    phase_ms: NDArray[np.int64]
    numbers: dict[str, NDArray[Any]]
    kind: NDArray[np.int8]
    sensor: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.device)

    def take(self, index: NDArray[Any]) -> Rows:
        """Return some of them, in this order."""
        numbers = {name: values[index] for name, values in self.numbers.items()}
        return Rows(
            self.device[index], self.second[index], self.phase_ms[index], numbers, self.kind[index], self.sensor[index]
        )


def of_span(span: Span, fleet: Fleet) -> Rows:
    """Return a stretch as rows, device by device: the order of the key."""
    shape = span.second.shape
    numbers = {
        "latitude": span.latitude,
        "longitude": span.longitude,
        "speed_mph": span.speed_mph,
        "acceleration_g": span.accel_g,
        "lateral_acceleration_g": span.lateral_g,
        "heading_deg": span.heading.astype(np.float64),
        "gps_accuracy_m": span.accuracy.astype(np.float64),
    }
    return Rows(
        device=np.broadcast_to(fleet.number, shape).ravel(),
        second=span.second.ravel(),
        phase_ms=np.broadcast_to(span.phase_ms, shape).ravel(),
        numbers={name: values.ravel() for name, values in numbers.items()},
        kind=span.kind.ravel(),
        sensor=np.broadcast_to(fleet.sensor, shape).ravel(),
    )


async def layout(conn: asyncpg.Connection) -> list[str]:
    """Return the names of the columns to write. Raises ``Wrong`` if one is needed that we don't know."""
    found = await conn.fetch(
        "SELECT column_name AS name, is_nullable = 'YES' OR column_default IS NOT NULL OR is_generated <> 'NEVER' "
        "AS spare FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1 "
        "ORDER BY ordinal_position",
        TABLE,
    )
    unknown = [row["name"] for row in found if row["name"] not in _FIELDS and not row["spare"]]
    if unknown:
        raise Wrong(f"{TABLE} has columns that the benchmarks don't know: {', '.join(unknown)}")
    return [row["name"] for row in found if row["name"] in _FIELDS]


_LIVE_SENSOR = frozenset({"acceleration_g", "lateral_acceleration_g"})


def _time(rows: Rows) -> NDArray[np.int64]:
    return (rows.second * 1000 + rows.phase_ms) * 1000 - POSTGRES_EPOCH_US


def _text(name: Callable[[int], str]) -> Callable[[Rows], NDArray[Any]]:
    def made(rows: Rows) -> NDArray[Any]:
        distinct, place = np.unique(rows.device, return_inverse=True)
        table = np.array([name(int(d)).encode() for d in distinct])
        return table[place]

    return made


def _event_id(rows: Rows) -> NDArray[Any]:
    """Return ids as ``uploads`` makes them, as bytes: five digits of the device, eight of the second, a letter."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    out = np.empty((len(rows), 14), np.uint8)
    for place in range(5):
        out[:, place] = digits[(rows.device >> (4 * (4 - place))) & 15]
    for place in range(8):
        out[:, 5 + place] = digits[(rows.second >> (4 * (7 - place))) & 15]
    out[:, 13] = ord("N")
    return out.view("S14").ravel()


_FIELDS: Mapping[str, tuple[str, Callable[[Rows], Any]]] = {
    "device_id": ("S7", _text(device_name)),
    "timestamp": (">i8", _time),
    "event_id": ("S14", _event_id),
    "driver_id": ("S8", _text(driver_name)),
    "received_at": (">i8", lambda rows: _time(rows) + UPLOAD_DELAY_US),
    "latitude": (">f8", lambda rows: rows.numbers["latitude"]),
    "longitude": (">f8", lambda rows: rows.numbers["longitude"]),
    "speed_mph": (">f4", lambda rows: rows.numbers["speed_mph"]),
    "acceleration_g": (">f4", lambda rows: rows.numbers["acceleration_g"]),
    "lateral_acceleration_g": (">f4", lambda rows: rows.numbers["lateral_acceleration_g"]),
    "heading_deg": (">f4", lambda rows: rows.numbers["heading_deg"]),
    "gps_accuracy_m": (">f4", lambda rows: rows.numbers["gps_accuracy_m"]),
    "event_type": ("", lambda rows: rows.kind),
    "quality": (">i2", lambda rows: np.zeros(len(rows), np.int16)),
}
"""Column -> form and values; the others of the table stay NULL."""


def encoded(rows: Rows, columns: Layout) -> bytes:
    """Return the tuples, without header and trailer. Rows with other lengths or NULLs come after the usual ones."""
    parts = []
    for kind in (0, HARSH, ON, OFF):
        for sensor in (True, False):
            chosen = np.flatnonzero((rows.kind == kind) & (rows.sensor == sensor))
            if len(chosen):
                parts.append(_packed(rows.take(chosen), columns, kind, sensor))
    return b"".join(parts)


def _packed(rows: Rows, columns: Layout, kind: int, sensor: bool) -> bytes:
    fields: list[tuple[str, Any]] = [("count", ">i2")]
    for name in columns:
        fields.append((f"len_{name}", ">i4"))
        form = f"S{len(KINDS[kind])}" if name == "event_type" else _FIELDS[name][0]
        if sensor or name not in _LIVE_SENSOR:
            fields.append((name, form))
    out = np.zeros(len(rows), np.dtype(fields))
    out["count"] = len(columns)
    for name in columns:
        if name in _LIVE_SENSOR and not sensor:
            out[f"len_{name}"] = -1
            continue
        values = KINDS[kind].encode() if name == "event_type" else _FIELDS[name][1](rows)
        out[name] = values
        out[f"len_{name}"] = out.dtype[name].itemsize
    return out.tobytes()


def chunks(plan: Traffic, columns: Layout, rows_each: int) -> Iterator[tuple[int, bytes]]:
    """Yield (rows, COPY bytes) of the distinct events of traffic, in the order in which they arrive."""
    fleet = plan.fleet()
    for span in spans(fleet, plan.seconds, max(plan.per_upload, 60)):
        rows = of_span(span, fleet)
        for begin in range(0, len(rows), rows_each):
            index = np.arange(begin, min(begin + rows_each, len(rows)))
            yield len(index), encoded(rows.take(index), columns)


async def write(conn: asyncpg.Connection, table: str, columns: Layout, part: bytes) -> None:
    """Write tuples by one COPY."""
    await conn.copy_to_table(table, columns=columns, source=_source(part), format="binary")


async def _source(part: bytes) -> Any:
    yield HEADER
    step = 1 << 20
    for begin in range(0, len(part), step):
        yield part[begin : begin + step]
    yield TRAILER
