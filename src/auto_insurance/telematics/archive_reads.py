"""Reads of archived months, one driver at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from auto_insurance.infra.db.partitions import month_of
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.telematics import archive_files as files
from auto_insurance.telematics import repository_archives as repository
from auto_insurance.telematics.archive_steps import ArchiveOptions, folder_of
from auto_insurance.telematics.schemas import PathPoint

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
        found = await asyncio.to_thread(_scan, folders, driver_id, start, clock.from_us(clock.to_us(end) + 1))
        mine = found.filter((pl.col("device_id") == device_id) & pl.col("latitude").is_not_null()).head(limit)
        times = mine["timestamp"].cast(pl.Int64).to_list()
        rows = zip(times, mine["latitude"], mine["longitude"], mine["quality"], strict=True)
        return [PathPoint(*row) for row in rows]

    async def _folders(self, uow: UnitOfWork, start: datetime, end: datetime) -> list[tuple[Path, str | None]]:
        states = await repository.read_states(uow)
        first, last = month_of(start), month_of(end)
        return [
            (folder_of(self._options, state.folder), state.manifest_sha256)
            for month, state in sorted(states.items())
            if first <= month <= last and state.status in IN_FILES and state.folder is not None
        ]


def _scan(folders: Sequence[tuple[Path, str | None]], driver_id: str, start: datetime, end: datetime) -> pl.DataFrame:
    frames = []
    for folder, sha256 in folders:
        manifest = files.read_manifest(folder, sha256)
        frames.append(files.scan(folder, manifest, driver_id, start, end))
    # Months that left under an older schema lack the newer columns.
    return pl.concat(frames, how="diagonal") if frames else files.empty(repository.columns())
