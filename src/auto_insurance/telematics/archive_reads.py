"""Reads of archived months, one driver at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from auto_insurance.infra.db import partitions_admin
from auto_insurance.infra.db.partitions import month_of
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.telematics import archive_files as files
from auto_insurance.telematics import repository_archives as repository
from auto_insurance.telematics.archive_steps import ArchiveOptions, folder_of
from auto_insurance.telematics.errors import ArchiveDamaged
from auto_insurance.telematics.partitions import TABLE, archived_months
from auto_insurance.telematics.repository_archives import ArchiveState
from auto_insurance.telematics.schemas import PathPoint

if TYPE_CHECKING:
    import polars as pl

log = structlog.get_logger(__name__)
COUNTED_BYTES = 16 * 1024 * 1024
"""Partitions up to this size are counted for an overview."""
IN_FILES = ("closing", "archived", "restoring")
"""Statuses in which a month's events may be absent from the database and its files are whole."""


class ArchiveReader:
    """Finds events in the files of archived months."""

    def __init__(self, options: ArchiveOptions) -> None:
        self._options = options

    async def events(self, uow: UnitOfWork, driver_id: str, start: datetime, end: datetime) -> pl.DataFrame:
        """Return a driver's archived events in [start, end), by time: the columns of ``telematics_events``.

        ``timestamp`` and ``received_at`` are UTC instants, ``extra`` is JSON text. Empty where nothing is archived.
        Raises ``ArchiveDamaged`` when files that should be there can't be read.
        """
        folders = await self._folders(uow, start, end)
        return await asyncio.to_thread(_scan, folders, driver_id, start, end)

    async def path(
        self, uow: UnitOfWork, driver_id: str, device_id: str, start: datetime, end: datetime, limit: int
    ) -> list[PathPoint]:
        """Return a device's archived points with a position in [start, end], in order, at most ``limit``."""
        folders = await self._folders(uow, start, end)
        if not folders:
            return []
        import polars as pl  # noqa: PLC0415 - only who looks into the archive needs it

        found = await asyncio.to_thread(_scan, folders, driver_id, start, clock.from_us(clock.to_us(end) + 1))
        mine = found.filter((pl.col("device_id") == device_id) & pl.col("latitude").is_not_null()).head(limit)
        times = mine["timestamp"].cast(pl.Int64).to_list()
        rows = zip(times, mine["latitude"], mine["longitude"], mine["quality"], strict=True)
        return [PathPoint(*row) for row in rows]

    async def complete(
        self,
        uow: UnitOfWork,
        points: list[PathPoint],
        driver_id: str,
        device_id: str,
        start: datetime,
        end: datetime,
        limit: int,
    ) -> list[PathPoint]:
        """Add what is archived of a path to what is in the database. Unreadable files cost their points only."""
        closed = await archived_months(uow)
        if not any(month_of(start) <= month <= month_of(end) for month in closed):
            return points
        try:
            archived = await self.path(uow, driver_id, device_id, start, end, limit)
        except ArchiveDamaged as error:
            log.error("archived_path_unreadable", detail=error.detail)
            return points
        # A month on its way out is in both for a while.
        return sorted({*points, *archived})[:limit]

    async def _folders(self, uow: UnitOfWork, start: datetime, end: datetime) -> list[tuple[Path, str | None]]:
        states = await repository.read_states(uow)
        first, last = month_of(start), month_of(end)
        return [
            (folder_of(self._options, state.folder), state.manifest_sha256)
            for month, state in sorted(states.items())
            if first <= month <= last and state.status in IN_FILES and state.folder is not None
        ]


def _scan(folders: Sequence[tuple[Path, str | None]], driver_id: str, start: datetime, end: datetime) -> pl.DataFrame:
    import polars as pl  # noqa: PLC0415 - as above

    frames = []
    for folder, sha256 in folders:
        manifest = files.read_manifest(folder, sha256)
        frames.append(files.scan(folder, manifest, driver_id, start, end))
    # Months that left under an older schema lack the newer columns.
    return pl.concat(frames, how="diagonal") if frames else files.empty(repository.columns())


@dataclass(frozen=True, slots=True)
class MonthOverview:
    """A month for people: where it is and how large. ``exact`` tells whether ``rows`` is counted or estimated."""

    month: str
    partition: str | None
    status: str
    rows: int | None
    exact: bool
    table_bytes: int
    index_bytes: int
    archive_bytes: int
    last_arrival: datetime | None


async def overview(uow: UnitOfWork, *, exact: bool = False) -> list[MonthOverview]:
    """Return all months that are online or archived, in order.

    Small partitions are counted. Of large ones, unless ``exact``, the rows are PostgreSQL's estimate and the last
    arrival is looked up in the pages at their end, where new rows go.
    """
    states = await repository.read_states(uow)
    found = []
    for partition in await partitions_admin.sizes(uow, TABLE):
        month = month_of(partition.start)
        state = states.pop(month, None)
        counted = exact or partition.table_bytes <= COUNTED_BYTES
        rows = await repository.count(uow, partition.name) if counted else partition.rows
        arrival = await (
            repository.last_arrival(uow, partition.name)
            if counted
            else repository.glance(uow, partition.name, partition.table_bytes)
        )
        status = "detaching" if partition.pending else "online"
        if state is not None and state.status in {"closing", "dropping"}:
            status = state.status
        wide = (partition.start, partition.end) != (month.start, month.end)
        span = f"{_edge(partition.start)} to {_edge(partition.end)}" if wide else str(month)
        found.append(
            MonthOverview(
                month=span,
                partition=partition.name,
                status=status,
                rows=rows if rows >= 0 else None,
                exact=counted,
                table_bytes=partition.table_bytes,
                index_bytes=partition.index_bytes,
                archive_bytes=(state.bytes or 0) if state else 0,
                last_arrival=arrival,
            )
        )
    found += [_away(state) for state in states.values() if state.status != "writing"]
    return sorted(found, key=lambda one: one.month)


def _away(state: ArchiveState) -> MonthOverview:
    return MonthOverview(
        month=str(state.month),
        partition=None,
        status="detached" if state.status in {"closing", "dropping"} else state.status,
        rows=state.rows,
        exact=True,
        table_bytes=0,
        index_bytes=0,
        archive_bytes=state.bytes or 0,
        last_arrival=state.last_arrival,
    )


def _edge(at: datetime) -> str:
    return {1: "start", 9999: "end"}.get(at.year, f"{at:%Y-%m}")
