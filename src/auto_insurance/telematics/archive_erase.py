"""Takes a driver out of archived months.

Of each month that holds events of the driver the files are written anew without them, beside the old ones; then one
transaction names the new folder, and the old one is removed. Who dies on the way leaves either the old month or the new
one, and a folder that the next attempt removes. The manifest's checksum is that of the rows that are left: what left is
summed by PostgreSQL, as the whole was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import msgspec
import structlog

from auto_insurance.infra.db.partitions import Month
from auto_insurance.infra.db.partitions_admin import Maintenance, maintenance
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import clock
from auto_insurance.telematics import archive_files as files
from auto_insurance.telematics import repository_archives as repository
from auto_insurance.telematics.archive_files import Manifest
from auto_insurance.telematics.archive_reads import IN_FILES
from auto_insurance.telematics.archive_steps import ArchiveOptions, folder_of
from auto_insurance.telematics.errors import MonthRefused
from auto_insurance.telematics.partitions import TABLE, forget
from auto_insurance.telematics.repository_archives import ArchiveState

log = structlog.get_logger(__name__)
COPIES = ("writing", "written")
"""Statuses in which the month is online and its files are but a copy, which is thrown away."""
WHOLE = ("archived", "restored")
"""Statuses in which the files are whole and nobody works on them."""


@dataclass(frozen=True, slots=True)
class MonthErased:
    """A month before and after: rows and checksum of its manifest, and how many rows were the driver's."""

    month: str
    rows: int
    removed: int
    checksum_before: str
    checksum_after: str
    manifest_before: str
    manifest_after: str


class ArchiveEraser:
    """Finds and removes a driver's archived events."""

    def __init__(self, database: Database, options: ArchiveOptions) -> None:
        self._database = database
        self._options = options

    async def holds(self, driver_id: str) -> dict[Month, int]:
        """Return the months whose files hold events of a driver, and how many. Raises ``ArchiveDamaged``."""
        async with self._database.read() as uow:
            states = await repository.read_states(uow)
        found = {}
        for month, state in sorted(states.items()):
            if state.folder is None or state.manifest_sha256 is None:
                continue
            count = await asyncio.to_thread(_count, folder_of(self._options, state.folder), state, driver_id)
            if count:
                found[month] = count
        return found

    async def erase(self, month: Month, driver_id: str) -> MonthErased | None:
        """Write a month anew without a driver; None if nothing of the driver is in it.

        Raises ``PartitionsBusy`` and ``MonthRefused`` while somebody works on the month, ``ArchiveDamaged``.
        """
        async with maintenance(self._database, TABLE) as care:
            try:
                return await self._erase(care, month, driver_id)
            finally:
                forget(self._database)

    async def rows_of(self, driver_id: str) -> AsyncIterator[dict[str, Any]]:
        """Yield a driver's archived events by month, as rows of ``telematics_events``. Raises ``ArchiveDamaged``."""
        async with self._database.read() as uow:
            states = await repository.read_states(uow)
        for _, state in sorted(states.items()):
            if state.folder is None or state.status not in IN_FILES:
                continue
            folder = folder_of(self._options, state.folder)
            manifest = await asyncio.to_thread(files.read_manifest, folder, state.manifest_sha256)
            names = [name for name, _ in manifest.columns]
            async for rows in _parts(folder, manifest, driver_id, but=False):
                for row in rows:
                    yield dict(zip(names, row, strict=True))

    async def drop_before(self, month: Month) -> int:
        """Delete the files of archived months before a month for good; returns how many months went.

        Raises ``PartitionsBusy`` while somebody works on the archive.
        """
        gone = 0
        async with maintenance(self._database, TABLE) as care:
            async with care.database.read() as uow:
                states = await repository.read_states(uow)
            for old, state in sorted(states.items()):
                if old < month and state.status == "archived" and state.folder is not None:
                    await asyncio.to_thread(files.remove, folder_of(self._options, state.folder))
                    async with care.database.begin() as uow:
                        await repository.delete_state(uow, old)
                    log.info("month_archive_expired", month=str(old), rows=state.rows)
                    gone += 1
        forget(self._database)
        return gone

    async def _erase(self, care: Maintenance, month: Month, driver_id: str) -> MonthErased | None:
        async with care.database.read() as uow:
            state = await repository.read_state(uow, month)
        if state is None or state.folder is None:
            return None
        folder = folder_of(self._options, state.folder)
        for stray in await asyncio.to_thread(files.siblings, folder, str(month)):
            await asyncio.to_thread(files.remove, stray)
        if state.status in COPIES:
            await asyncio.to_thread(files.remove, folder)
            async with care.database.begin() as uow:
                await repository.delete_state(uow, month)
            return None
        if state.status not in WHOLE:
            raise MonthRefused(f"{month} is {state.status}. Finish that first, with archive or restore.")
        manifest = await asyncio.to_thread(files.verify, folder, state.manifest_sha256)
        if not await asyncio.to_thread(_count, folder, state, driver_id):
            return None
        return await self._rewrite(care, month, state, manifest, driver_id)

    async def _rewrite(
        self, care: Maintenance, month: Month, state: ArchiveState, manifest: Manifest, driver_id: str
    ) -> MonthErased:
        old = folder_of(self._options, state.folder or "")
        names = [name for name, _ in manifest.columns]
        async with care.database.begin() as uow:
            gone = await repository.checksum_of_rows(uow, names, _parts(old, manifest, driver_id, but=False))
        left = manifest.rows - gone.rows
        checksum = str(int(manifest.checksum) - int(gone.checksum))
        sha256 = ""
        if left:
            name = f"{month}-{token_hex(4)}"
            path = folder_of(self._options, name)
            writer = await asyncio.to_thread(files.MonthWriter, path, manifest.columns, self._options.part_rows)
            async for rows in _parts(old, manifest, driver_id, but=True):
                await asyncio.to_thread(writer.add, _as_stored(rows, manifest))
            changed = msgspec.structs.replace(manifest, rows=left, checksum=checksum, created_at=clock.now(), files=[])
            sha256 = await asyncio.to_thread(writer.finish, changed)
            facts: dict[str, Any] = {
                "folder": name,
                "rows": left,
                "files": len(writer.files),
                "bytes": sum(file.bytes for file in writer.files),
                "checksum": checksum,
                "manifest_sha256": sha256,
            }
            async with care.database.begin() as uow:
                await repository.save_state(uow, month, state.status, **facts)
        else:
            async with care.database.begin() as uow:
                await repository.delete_state(uow, month)
        await asyncio.to_thread(files.remove, old)
        log.info("month_rewritten", month=str(month), rows=left, removed=gone.rows)
        return MonthErased(
            month=str(month),
            rows=left,
            removed=gone.rows,
            checksum_before=manifest.checksum,
            checksum_after=checksum,
            manifest_before=state.manifest_sha256 or "",
            manifest_after=sha256,
        )


def _count(folder: Path, state: ArchiveState, driver_id: str) -> int:
    manifest = files.read_manifest(folder, state.manifest_sha256)
    return sum(
        len(rows)
        for entry in manifest.files
        if entry.first_driver <= driver_id <= entry.last_driver
        for rows in files.rows_of(folder, entry, driver_id, but=False)
    )


async def _parts(
    folder: Path, manifest: Manifest, driver_id: str, *, but: bool
) -> AsyncIterator[list[tuple[Any, ...]]]:
    """Yield rows of a month's files; one file at a time is in memory."""
    for entry in manifest.files:
        if not but and not entry.first_driver <= driver_id <= entry.last_driver:
            continue
        parts = await asyncio.to_thread(files.rows_of, folder, entry, driver_id, but=but)
        while (rows := await asyncio.to_thread(next, parts, None)) is not None:
            yield rows


def _as_stored(rows: list[tuple[Any, ...]], manifest: Manifest) -> list[tuple[Any, ...]]:
    """Return rows as a writer takes them: times in microseconds since the epoch."""
    times = [place for place, (_, kind) in enumerate(manifest.columns) if kind == "timestamp"]
    out = []
    for row in rows:
        values = list(row)
        for place in times:
            values[place] = None if values[place] is None else clock.to_us(values[place])
        out.append(tuple(values))
    return out
