"""Writes a zip piece by piece: what was written is taken out of memory before more is written."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import msgspec


class ZipEntry(msgspec.Struct, frozen=True):
    """One file of the zip. ``rows`` counts records, points of a track or lines without the header."""

    name: str
    rows: int
    bytes: int
    sha256: str


class EntryWriter:
    """One file while it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.rows = 0
        self.bytes = 0

    def write(self, text: str, rows: int = 0) -> None:
        """Add text that holds so many rows."""
        data = text.encode()
        self._file.write(data)
        self._digest.update(data)
        self.bytes += len(data)
        self.rows += rows

    def entry(self, name: str) -> ZipEntry:
        """Return what the manifest says of the file."""
        return ZipEntry(name, self.rows, self.bytes, self._digest.hexdigest())


class ZipSpool:
    """A zip into a file of ours."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self.entries: list[ZipEntry] = []

    @contextmanager
    def file(self, name: str) -> Iterator[EntryWriter]:
        """Open the next file; one at a time."""
        with self._zip.open(name, "w", force_zip64=True) as file:
            writer = EntryWriter(file)
            yield writer
        self.entries.append(writer.entry(name))

    def close(self, manifest: bytes) -> None:
        """Write the manifest and the zip's end."""
        self._zip.writestr("manifest.json", manifest)
        self._zip.close()


def csv_field(value: object) -> str:
    """Return a value as a field of CSV (RFC 4180); a text that a spreadsheet would run is made plain."""
    if value is None:
        return ""
    text = str(value)
    if isinstance(value, str) and text[:1] in {"=", "+", "-", "@"}:
        text = "'" + text
    if any(sign in text for sign in ',"\r\n'):
        quoted = text.replace('"', '""')
        return f'"{quoted}"'
    return text
