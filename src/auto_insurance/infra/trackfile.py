"""Reads GPX 1.1 and CSV tracks row by row, as dictionaries with the public API's names. Nothing is trusted.

XML: a document type declaration, and with it any entity, is refused; text and depth are bounded. Rows keep their line
number, so that a refusal can name it. Values are judged elsewhere: a bad number stays text and is refused there.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from xml.parsers import expat

from auto_insurance.kernel.units import ms_to_mph

MAX_ROWS = 1_000_000
_PIECE = 64 * 1024
_MAX_DEPTH = 32
_MAX_TEXT = 4096
_NUMBERS = frozenset(
    {
        "latitude",
        "longitude",
        "speed",
        "acceleration",
        "lateral_acceleration",
        "heading",
        "altitude",
        "gps_accuracy",
        "speed_limit",
    }
)
_TEXTS = frozenset({"timestamp", "device_id", "driver_id", "event_id", "event_type", "trip_id"})
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_DIGITS = re.compile(r"\d+(\.\d+)?")


class TrackFormat(StrEnum):
    """What can be read."""

    GPX = "gpx"
    CSV = "csv"


class TrackFileError(Exception):
    """The file can't be read on from here; the message names the line and is meant for people."""


@dataclass(frozen=True, slots=True)
class TrackRow:
    """One row: its line in the file and its fields, without those that were empty."""

    line: int
    fields: dict[str, Any]


def detect_format(name: str, content: bytes) -> TrackFormat | None:
    """Return the format by the file's beginning, or by its name; None if it is neither."""
    start = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<"):
        return TrackFormat.GPX
    first_line = start.split(b"\n", 1)[0].lower()
    if b"timestamp" in first_line or name.lower().endswith(".csv"):
        return TrackFormat.CSV
    return TrackFormat.GPX if name.lower().endswith(".gpx") else None


def read_track(format: TrackFormat, content: bytes) -> Iterator[TrackRow]:
    """Yield the rows of a file. Raises ``TrackFileError`` where it can't go on, also after some rows."""
    rows = _read_gpx(content) if format is TrackFormat.GPX else _read_csv(content)
    for count, row in enumerate(rows):
        if count >= MAX_ROWS:
            raise TrackFileError(f"line {row.line}: more than {MAX_ROWS} rows; split the file")
        yield row


def _read_csv(content: bytes) -> Iterator[TrackRow]:
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    reader = csv.reader(text, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if "timestamp" not in header:
            raise TrackFileError("line 1: the header has no column timestamp")
        for values in reader:
            if any(values):
                yield TrackRow(reader.line_num, _csv_fields(header, values))
    except (csv.Error, UnicodeDecodeError) as why:
        raise TrackFileError(f"line {reader.line_num + 1}: not readable as CSV in UTF-8") from why


def _csv_fields(header: list[str], values: list[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, raw in zip(header, values, strict=False):
        value = raw.strip()
        if not value:
            continue
        if name in _NUMBERS or (name == "timestamp" and _DIGITS.fullmatch(value)):
            fields[name] = _number(value)
        elif name in _TEXTS:
            fields[name] = value
        elif name == "phone_in_use":
            fields[name] = _TRUTH.get(value.lower(), value)
    return fields


def _number(value: str) -> float | int | str:
    try:
        return int(value) if value.isascii() and value.isdigit() and len(value) < 18 else float(value)
    except ValueError:
        return value


# Names of the speed, in metres per second, and of the course in GPX 1.0 and in the extensions in use.
_POINT_TEXTS = {"ele": "altitude", "time": "timestamp", "speed": "speed", "course": "heading"}


@dataclass(slots=True)
class _Gpx:
    """Collects track points while the parser walks through the document."""

    parser: expat.XMLParserType
    rows: list[TrackRow] = field(default_factory=list)
    depth: int = 0
    root_seen: bool = False
    line: int = 0
    point: dict[str, Any] | None = None
    text: list[str] = field(default_factory=list)
    size: int = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        local = name.rsplit(":", 1)[-1]
        if not self.root_seen and local != "gpx":
            raise TrackFileError("line 1: the document is no GPX")
        self.root_seen = True
        if self.depth > _MAX_DEPTH:
            raise TrackFileError(f"line {self.parser.CurrentLineNumber}: nested too deeply")
        if local == "trkpt":
            self.line = self.parser.CurrentLineNumber
            names = (("lat", "latitude"), ("lon", "longitude"))
            self.point = {ours: _number(attributes[theirs]) for theirs, ours in names if theirs in attributes}
        self.text, self.size = [], 0

    def data(self, data: str) -> None:
        self.size += len(data)
        if self.size > _MAX_TEXT and self.point is not None:
            raise TrackFileError(f"line {self.parser.CurrentLineNumber}: too much text in one element")
        if self.size <= _MAX_TEXT:
            self.text.append(data)

    def end(self, name: str) -> None:
        self.depth -= 1
        local = name.rsplit(":", 1)[-1]
        if self.point is None:
            return
        if local == "trkpt":
            self.rows.append(TrackRow(self.line, self.point))
            self.point = None
        elif local in _POINT_TEXTS:
            self._take(_POINT_TEXTS[local], "".join(self.text).strip())
        self.text, self.size = [], 0

    def _take(self, name: str, value: str) -> None:
        if not value or self.point is None:
            return
        number = value if name == "timestamp" else _number(value)
        if name == "speed" and not isinstance(number, str):
            number = ms_to_mph(number)
        self.point[name] = number


def _read_gpx(content: bytes) -> Iterator[TrackRow]:
    parser = expat.ParserCreate()
    gpx = _Gpx(parser)
    parser.StartElementHandler = gpx.start
    parser.EndElementHandler = gpx.end
    parser.CharacterDataHandler = gpx.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        for at in range(0, max(1, len(content)), _PIECE):
            parser.Parse(content[at : at + _PIECE], at + _PIECE >= len(content))
            yield from gpx.rows
            gpx.rows.clear()
    except expat.ExpatError as why:
        raise TrackFileError(f"line {why.lineno}: not well-formed XML") from why


def _refuse_doctype(*_: object) -> None:
    raise TrackFileError("line 1: a document type declaration is not allowed")
