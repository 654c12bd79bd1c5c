"""What other domains may do with telemetry."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from auto_insurance.infra.db import partitions
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.telematics import decode, history, repository
from auto_insurance.telematics.archive_erase import ArchiveEraser
from auto_insurance.telematics.archive_reads import ArchiveReader
from auto_insurance.telematics.archived import ArchiveWatch
from auto_insurance.telematics.columns import Columns
from auto_insurance.telematics.contacts import ContactBook
from auto_insurance.telematics.decode import HEADER_TRACEPARENT, DecodedBatch
from auto_insurance.telematics.health import DeviceHealthService
from auto_insurance.telematics.history import KnownEvents
from auto_insurance.telematics.imports import ImportRunner, ImportService
from auto_insurance.telematics.ingest import IngestService
from auto_insurance.telematics.limits import IngestPolicy
from auto_insurance.telematics.partitions import MONTH_ARCHIVED, TABLE
from auto_insurance.telematics.rights import Assignments, RightsChecker, RightsOptions
from auto_insurance.telematics.schemas import PathPoint
from auto_insurance.telematics.store import EventWriter, Stored
from auto_insurance.telematics.withheld import WithheldWatch

__all__ = [
    "HEADER_TRACEPARENT",
    "MONTH_ARCHIVED",
    "ArchiveEraser",
    "ArchiveWatch",
    "Assignments",
    "ContactBook",
    "DecodedBatch",
    "DeviceHealthService",
    "EventWriter",
    "ImportRunner",
    "ImportService",
    "IngestService",
    "KnownEvents",
    "RightsChecker",
    "RightsOptions",
    "Stored",
    "TelematicsService",
    "WithheldWatch",
]

MONTHS_AHEAD = 3
MAX_PATH_POINTS = 20_000


class TelematicsService:
    """Reads and writes stored events, in the caller's transaction."""

    def __init__(self, policy: IngestPolicy | None = None, archive: ArchiveReader | None = None) -> None:
        self.policy = policy or IngestPolicy()
        self._archive = archive

    def decode_records(self, records: Sequence[decode.LogRecord]) -> decode.DecodedBatch:
        """Return what log records hold as columns without drivers, and what of it is dead. Never raises."""
        return decode.decode_records(records, self.policy)

    def writer(self) -> EventWriter:
        """Return what stores the events of one consumer; it remembers what that consumer stored."""
        return EventWriter()

    async def store(self, uow: UnitOfWork, events: Columns) -> Stored:
        """Store events once, with missing partitions, for those who have no writer of their own."""
        return await EventWriter().store(uow, events)

    async def load_columns(self, uow: UnitOfWork, device_id: str, from_us: int, to_us: int) -> Columns:
        """Return a device's events in [from_us, to_us], sorted by (t_us, event_id)."""
        return await repository.load_columns(uow, device_id, from_us, to_us)

    async def known_at(
        self,
        uow: UnitOfWork,
        device_id: str,
        drivers: Collection[str],
        start: datetime,
        end: datetime,
        known: datetime,
    ) -> Columns:
        """Return a device's events of [start, end) that had arrived by ``known``, archived months included.

        ``drivers`` are those that had the device then. Raises ``ArchiveDamaged``.
        """
        return (await self.known_and_archived(uow, device_id, drivers, start, end, known)).events

    async def known_and_archived(
        self,
        uow: UnitOfWork,
        device_id: str,
        drivers: Collection[str],
        start: datetime,
        end: datetime,
        known: datetime,
    ) -> KnownEvents:
        """Return the same, and how many of the events were read from the archive. Raises ``ArchiveDamaged``."""
        return await history.known_at(uow, self._archive, device_id, drivers, start, end, known)

    async def session_bounds(self, uow: UnitOfWork, device_id: str, t_us: int, gap_us: int) -> tuple[int, int]:
        """Return (from_us, to_us) around ``t_us``, out to the next gap of at least ``gap_us`` on either side."""
        return await repository.session_bounds(uow, device_id, t_us, gap_us)

    async def flag(self, uow: UnitOfWork, keys: Sequence[tuple[str, int, str]], quality: int) -> None:
        """Add quality bits to stored events; keys are (device_id, t_us, event_id)."""
        await repository.flag(uow, keys, quality)

    async def path(
        self, uow: UnitOfWork, device_id: str, start: datetime, end: datetime, driver_id: str | None = None
    ) -> list[PathPoint]:
        """Return a device's points with a position in [start, end], in order, at most ``MAX_PATH_POINTS``.

        With the driver that had the device then, archived months are looked into, too.
        """
        points = await repository.path(uow, device_id, start, end, MAX_PATH_POINTS)
        if self._archive is None or driver_id is None:
            return points
        return await self._archive.complete(uow, points, driver_id, device_id, start, end, MAX_PATH_POINTS)

    async def ensure_partitions(self, uow: UnitOfWork, months_ahead: int = MONTHS_AHEAD) -> list[str]:
        """Make the partitions of this month and the next ones; return the names of the new ones."""
        months = partitions.months_ahead(partitions.month_of(clock.now()), months_ahead)
        return [partition.name for partition in await partitions.ensure_months(uow, TABLE, months)]
