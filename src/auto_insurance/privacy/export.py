"""All own data of a driver as one zip: JSON per table, CSV of events and trips, a GPX track per trip, a manifest.

The zip goes into a temporary file first, a thousand rows at a time: memory is bounded, no transaction waits for a slow
reader, and what fails is answered as an error instead of a zip that ends in the middle.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import IO, Any
from uuid import UUID

import msgspec

from auto_insurance.drivers.service import DriverService, ErasureDesk
from auto_insurance.infra.db import holdings as holding_sql
from auto_insurance.infra.db.holdings import Holding, Subject
from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.http.ratelimit import RateLimiter
from auto_insurance.kernel import clock
from auto_insurance.privacy import queries
from auto_insurance.privacy.archive_zip import EntryWriter, ZipSpool, csv_field
from auto_insurance.privacy.errors import TooManyExports
from auto_insurance.telematics.schemas import PathPoint
from auto_insurance.telematics.service import ArchiveEraser, TelematicsService

CHUNK_BYTES = 64 * 1024
SPOOL_BYTES = 4 * 1024 * 1024
"""Zips up to this size stay in memory."""
WINDOW_S = 3600.0
AS_CSV = {"telematics_events": "events.csv", "trips": "trips.csv"}
_GPX = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<gpx version="1.1" creator="auto-insurance" xmlns="http://www.topografix.com/GPX/1/1">\n'
)


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """``per_hour``: exports of one driver in an hour."""

    per_hour: int = 5


class ExportService:
    """Writes a driver's own data."""

    def __init__(
        self,
        database: Database,
        holdings: Sequence[Holding],
        desk: ErasureDesk,
        drivers: DriverService,
        telematics: TelematicsService,
        archive: ArchiveEraser,
        limiter: RateLimiter,
        options: ExportOptions | None = None,
    ) -> None:
        self._database = database
        self._holdings = holdings
        self._desk = desk
        self._drivers = drivers
        self._telematics = telematics
        self._archive = archive
        self._limiter = limiter
        self._options = options or ExportOptions()

    async def export(self, driver_id: str) -> IO[bytes]:
        """Return the zip, at its beginning; whoever takes it closes it.

        Raises ``DriverNotFound``, ``TooManyExports``, ``ArchiveDamaged``.
        """
        decision = await self._limiter.hit(f"export:{driver_id}", self._options.per_hour, WINDOW_S)
        if not decision.allowed:
            message = f"At most {self._options.per_hour} exports an hour."
            raise TooManyExports(message, retry_after_s=decision.retry_after_s)
        async with self._database.read() as uow:
            await self._drivers.get(uow, driver_id)
            subject = await queries.subject_of(uow, driver_id, await self._desk.current_devices(uow, driver_id))
        spool = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 - the caller reads it
        try:
            await self._write(ZipSpool(spool), subject)
        except BaseException:
            spool.close()
            raise
        spool.seek(0)
        return spool

    async def _write(self, target: ZipSpool, subject: Subject) -> None:
        for holding in self._holdings:
            if holding.name in AS_CSV:
                await self._csv(target, holding, subject)
            elif holding.exported:
                await self._json(target, holding, subject)
        await self._tracks(target, subject)
        manifest = {
            "driver_id": subject.driver_id,
            "made_at": clock.now().isoformat(),
            "files": [msgspec.to_builtins(entry) for entry in target.entries],
            "left_out": {
                holding.name: sorted(holding.hidden) if holding.exported else "all: " + holding.why
                for holding in self._holdings
                if holding.hidden or not holding.exported
            },
        }
        target.close(json.dumps(manifest, indent=2).encode())

    async def _json(self, target: ZipSpool, holding: Holding, subject: Subject) -> None:
        with target.file(f"{holding.name}.json") as file:
            file.write("[")
            async with self._database.read() as uow:
                async for row in holding_sql.rows(uow, holding, subject):
                    text = json.dumps(_plain(row), ensure_ascii=False)
                    file.write(("\n" if not file.rows else ",\n") + text, 1)
            file.write("\n]\n")

    async def _csv(self, target: ZipSpool, holding: Holding, subject: Subject) -> None:
        names = [str(column.name) for column in holding.table.columns if column.name not in holding.hidden]
        with target.file(AS_CSV[holding.name]) as file:
            file.write(",".join(names) + "\r\n")
            async with self._database.read() as uow:
                async for row in holding_sql.rows(uow, holding, subject):
                    file.write(_line(_plain(row), names), 1)
            if holding.name == "telematics_events":
                async for row in self._archive.rows_of(subject.driver_id):
                    file.write(_line(_plain(row), names), 1)

    async def _tracks(self, target: ZipSpool, subject: Subject) -> None:
        """Write a track per trip: of one trip at a time the points are in memory."""
        trips = next(holding for holding in self._holdings if holding.name == "trips")
        with target.file("tracks.gpx") as file:
            file.write(_GPX)
            async for trip in self._trips(trips, subject):
                async with self._database.read() as uow:
                    points = await self._telematics.path(
                        uow, trip["device_id"], trip["start_time"], trip["end_time"], subject.driver_id
                    )
                _track(file, str(trip["trip_id"]), points)
            file.write("</gpx>\n")

    async def _trips(self, trips: Holding, subject: Subject) -> AsyncIterator[Mapping[str, Any]]:
        async with self._database.read() as uow:
            async for row in holding_sql.rows(uow, trips, subject):
                if row["end_time"] is not None:
                    yield row


def pieces(file: IO[bytes]) -> Iterable[bytes]:
    """Yield a file in pieces and close it."""
    with file:
        while data := file.read(CHUNK_BYTES):
            yield data


def _track(file: EntryWriter, name: str, points: Sequence[PathPoint]) -> None:
    file.write(f"<trk><name>{name}</name><trkseg>\n")
    lines = [
        f'<trkpt lat="{point.latitude}" lon="{point.longitude}">'
        f"<time>{clock.from_us(point.t_us).isoformat()}</time></trkpt>\n"
        for point in points
    ]
    file.write("".join(lines), len(lines))
    file.write("</trkseg></trk>\n")


def _line(row: Mapping[str, Any], names: Sequence[str]) -> str:
    return ",".join(csv_field(_flat(row.get(name))) for name in names) + "\r\n"


def _flat(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, bytes | memoryview):
        data = bytes(value)
        try:
            return data.decode()
        except UnicodeDecodeError:
            return base64.b64encode(data).decode()
    return value
