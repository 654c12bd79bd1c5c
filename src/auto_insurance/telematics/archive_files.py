"""A month's events as Parquet files: written in parts, read back, described by a manifest.

Rows are sorted by driver and time, so that a driver's scan reads few row groups. A folder appears under its name only
when all of it is written, verified and on disk.

polars is loaded at the first use: an API that never looks into the archive needs no memory for it.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from auto_insurance.telematics.errors import ArchiveDamaged

if TYPE_CHECKING:
    import polars as pl

FORMAT_VERSION = 1
PART_ROWS = 131_072
"""Rows per file: what is held in memory, some 100 MB with all copies on the way."""
GROUP_ROWS = 16_384
MANIFEST = "manifest.json"
PARTIAL = ".partial"
Schema = Sequence[tuple[str, str]]


class FileEntry(msgspec.Struct, frozen=True):
    """One file of a month."""

    name: str
    rows: int
    bytes: int
    sha256: str
    first_driver: str
    last_driver: str


class Manifest(msgspec.Struct, frozen=True):
    """What a month's folder holds. ``checksum`` is the sum of the rows' MD5 as PostgreSQL counts it."""

    format_version: int
    table: str
    month: str
    rows: int
    checksum: str
    first: datetime
    last: datetime
    last_arrival: datetime
    created_at: datetime
    columns: list[tuple[str, str]]
    files: list[FileEntry]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.bytes for file in self.files)


class MonthWriter:
    """Writes one month into ``folder``. Blocking: for a thread."""

    def __init__(self, folder: Path, schema: Schema, part_rows: int = PART_ROWS) -> None:
        self._folder = folder
        self._partial = folder.with_name(folder.name + PARTIAL)
        self._schema = schema
        self._part_rows = part_rows
        self._frames: list[pl.DataFrame] = []
        self._waiting = 0
        self.files: list[FileEntry] = []
        self.rows = 0
        remove(folder)
        self._partial.mkdir(parents=True)

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Take rows in their order; writes a file whenever enough are there. Raises ``OSError``."""
        self._frames.append(_frame(rows, self._schema))
        self._waiting += len(rows)
        self.rows += len(rows)
        if self._waiting >= self._part_rows:
            self._flush()

    def finish(self, manifest: Manifest) -> str:
        """Write the manifest and give the folder its name; return the manifest's SHA-256. Raises ``OSError``."""
        self._flush()
        whole = msgspec.structs.replace(manifest, files=self.files)
        data = msgspec.json.format(msgspec.json.encode(whole), indent=2)
        _write(self._partial / MANIFEST, data)
        _sync_folder(self._partial)
        self._partial.rename(self._folder)
        _sync_folder(self._folder.parent)
        return hashlib.sha256(data).hexdigest()

    def _flush(self) -> None:
        if not self._waiting:
            return
        import polars as pl  # noqa: PLC0415 - see the module's text

        frame = pl.concat(self._frames)
        self._frames, self._waiting = [], 0
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="zstd", statistics=True, row_group_size=GROUP_ROWS)
        data = buffer.getbuffer()
        path = self._partial / f"part-{len(self.files):05d}.parquet"
        _write(path, data)
        if not pl.read_parquet(path).equals(frame):
            raise ArchiveDamaged(f"{path.name} does not read back as it was written.")
        drivers = frame["driver_id"]
        entry = FileEntry(
            path.name, len(frame), len(data), hashlib.sha256(data).hexdigest(), str(drivers[0]), str(drivers[-1])
        )
        self.files.append(entry)


def remove(folder: Path) -> None:
    """Remove a month's folder and what an attempt at it left."""
    for path in (folder, folder.with_name(folder.name + PARTIAL)):
        if path.exists():
            shutil.rmtree(path)


def read_manifest(folder: Path, sha256: str | None = None) -> Manifest:
    """Return a folder's manifest. Raises ``ArchiveDamaged`` when it is missing, altered or of a later format."""
    try:
        data = (folder / MANIFEST).read_bytes()
        manifest = msgspec.json.decode(data, type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise ArchiveDamaged(f"The manifest in {folder} cannot be read: {error}") from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise ArchiveDamaged(f"The manifest in {folder} is not the one that was written.")
    if manifest.format_version > FORMAT_VERSION:
        raise ArchiveDamaged(f"{folder} is of format {manifest.format_version}; this version reads {FORMAT_VERSION}.")
    return manifest


def verify(folder: Path, sha256: str | None) -> Manifest:
    """Read all files of a month and compare them with the manifest. Raises ``ArchiveDamaged``."""
    manifest = read_manifest(folder, sha256)
    for entry in manifest.files:
        try:
            with (folder / entry.name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ArchiveDamaged(f"{folder / entry.name} cannot be read: {error.strerror}") from error
        if found != entry.sha256:
            raise ArchiveDamaged(f"{folder / entry.name} is not as it was written.")
    if sum(entry.rows for entry in manifest.files) != manifest.rows:
        raise ArchiveDamaged(f"The files in {folder} do not hold the number of events that the manifest names.")
    return manifest


def batches(folder: Path, entry: FileEntry) -> Iterator[list[tuple[Any, ...]]]:
    """Yield a file's rows as they go into the database, a row group's worth at a time."""
    import polars as pl  # noqa: PLC0415 - see the module's text

    frame = pl.read_parquet(folder / entry.name)
    for part in frame.iter_slices(GROUP_ROWS):
        yield part.rows()


def scan(folder: Path, manifest: Manifest, driver_id: str, start: datetime, end: datetime) -> pl.DataFrame:
    """Return a driver's events in [start, end), by time: reads only the files and row groups that may hold them."""
    import polars as pl  # noqa: PLC0415 - see the module's text

    files = [folder / file.name for file in manifest.files if file.first_driver <= driver_id <= file.last_driver]
    if not files:
        return empty(manifest.columns)
    time = pl.col("timestamp")
    found = pl.scan_parquet(files).filter((pl.col("driver_id") == driver_id) & (time >= start) & (time < end))
    return found.sort("timestamp", "device_id", "event_id").collect()


def rows_of(folder: Path, entry: FileEntry, driver_id: str, *, but: bool) -> Iterator[list[tuple[Any, ...]]]:
    """Yield a driver's rows of a file, or (``but``) those of all others, a row group's worth at a time."""
    import polars as pl  # noqa: PLC0415 - see the module's text

    mine = pl.col("driver_id") == driver_id
    frame = pl.read_parquet(folder / entry.name).filter(~mine if but else mine)
    for part in frame.iter_slices(GROUP_ROWS):
        yield part.rows()


def siblings(folder: Path, month: str) -> list[Path]:
    """Return the other folders of a month: what an attempt that died left behind."""
    if not folder.parent.is_dir():
        return []
    return sorted(path for path in folder.parent.glob(f"{month}-*") if path.is_dir() and path != folder)


def empty(schema: Schema) -> pl.DataFrame:
    """Return no events, with their columns."""
    import polars as pl  # noqa: PLC0415 - see the module's text

    types = _types()
    return pl.DataFrame(schema={name: _instant() if kind == "timestamp" else types[kind] for name, kind in schema})


def _types() -> dict[str, Any]:
    import polars as pl  # noqa: PLC0415 - see the module's text

    return {
        "text": pl.String,
        "json": pl.String,
        "timestamp": pl.Int64,
        "float": pl.Float64,
        "real": pl.Float32,
        "boolean": pl.Boolean,
        "smallint": pl.Int16,
        "integer": pl.Int32,
        "bigint": pl.Int64,
    }


def _instant() -> Any:
    import polars as pl  # noqa: PLC0415 - see the module's text

    return pl.Datetime("us", "UTC")


def _frame(rows: Sequence[Sequence[Any]], schema: Schema) -> pl.DataFrame:
    import polars as pl  # noqa: PLC0415 - see the module's text

    types, columns, series = _types(), zip(*rows, strict=True), []
    for (name, kind), values in zip(schema, columns, strict=True):
        column = pl.Series(name, values, dtype=types[kind])
        series.append(column.cast(_instant()) if kind == "timestamp" else column)
    return pl.DataFrame(series)


def _write(path: Path, data: bytes | memoryview) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
