"""Brings archived months back into the database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from auto_insurance.infra.db.copy import copy_rows
from auto_insurance.infra.db.partitions import Month, partition_of
from auto_insurance.infra.db.partitions_admin import Maintenance, attach, create_beside, maintenance, table_exists
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.telematics import archive_files as files
from auto_insurance.telematics import repository_archives as repository
from auto_insurance.telematics.archive_steps import ArchiveOptions, OnStep, Outcome, folder_of, silent
from auto_insurance.telematics.errors import ArchiveDamaged, MonthRefused
from auto_insurance.telematics.partitions import TABLE, forget
from auto_insurance.telematics.repository_archives import ArchiveState

log = structlog.get_logger(__name__)
COPY_S = 600.0


async def restore(database: Database, options: ArchiveOptions, month: Month, *, on_step: OnStep = silent) -> Outcome:
    """Load a month's files into a new partition, compare its content with what left, attach it. Safe to repeat.

    Writers refuse the month until it is attached. The files stay until the month is archived again. A month that was
    closed but had not left yet is opened again. Raises ``MonthRefused``, ``ArchiveDamaged`` and ``PartitionsBusy``.
    """
    async with maintenance(database, TABLE) as care:
        try:
            return await _restore(care, options, month, on_step)
        finally:
            forget(database)


async def _restore(care: Maintenance, options: ArchiveOptions, month: Month, on_step: OnStep) -> Outcome:
    async with care.database.read() as uow:
        state = await repository.read_state(uow, month)
    if state is None:
        raise MonthRefused(f"{month} is not archived. 'auto-insurance partitions list' shows what is.")
    if state.status in {"writing", "written", "restored"}:
        return Outcome(month, "online", state.rows or 0, state.files or 0, state.bytes or 0)
    if state.status in {"closing", "dropping"}:
        return await _open_again(care, options, month, state)
    if state.folder is None:
        raise ArchiveDamaged(f"Nothing says where the files of {month} are.")
    folder = folder_of(options, state.folder)
    manifest = await asyncio.to_thread(files.verify, folder, state.manifest_sha256)
    on_step("verified", manifest.rows, manifest.rows)
    table = await _make_table(care, month, state)
    await _load(care, folder, manifest, table, on_step)

    async def online(uow: UnitOfWork) -> None:
        await attach(uow, TABLE, table, month)
        await repository.save_state(uow, month, "restored", table_name=table)

    await care.transaction(online)
    await care.run(f'ANALYZE "{table}"')
    on_step("attached", manifest.rows, manifest.rows)
    log.info("month_restored", month=str(month), rows=manifest.rows)
    return Outcome(month, "restored", manifest.rows, len(manifest.files), manifest.size)


async def _open_again(care: Maintenance, options: ArchiveOptions, month: Month, state: ArchiveState) -> Outcome:
    table = state.table_name or partition_of(TABLE, month).name
    await care.detach(TABLE, table)  # a detachment that was cut off can't be taken back, only finished

    async def back(uow: UnitOfWork) -> None:
        await attach(uow, TABLE, table, month)
        await repository.delete_state(uow, month)

    await care.transaction(back)
    if state.folder is not None:
        await asyncio.to_thread(files.remove, folder_of(options, state.folder))
    log.info("month_opened_again", month=str(month))
    return Outcome(month, "restored", state.rows or 0)


async def _make_table(care: Maintenance, month: Month, state: ArchiveState) -> str:
    table = partition_of(TABLE, month).name

    async def make(uow: UnitOfWork) -> None:
        if state.status == "archived" and await table_exists(uow, table):
            raise MonthRefused(f"There is a table {table} already, attached to nothing. Rename or drop it first.")
        await create_beside(uow, TABLE, table, month, "timestamp")
        await repository.save_state(uow, month, "restoring", table_name=table)

    await care.transaction(make)
    return table


async def _load(care: Maintenance, folder: Path, manifest: files.Manifest, table: str, on_step: OnStep) -> None:
    names = [name for name, _ in manifest.columns]
    unknown = set(names) - {name for name, _ in repository.columns()}
    if unknown:
        raise MonthRefused(f"The files hold columns that events have no more: {', '.join(sorted(unknown))}.")
    done = 0
    for entry in manifest.files:
        async with care.database.begin() as uow:
            parts = files.batches(folder, entry)
            while (rows := await asyncio.to_thread(next, parts, None)) is not None:
                done += await copy_rows(uow, table, names, rows, timeout_s=COPY_S)
                on_step("loading", done, manifest.rows)
    async with care.database.read() as uow:
        content = await repository.content(uow, table, names)
    if (content.rows, content.checksum) != (manifest.rows, manifest.checksum):
        raise ArchiveDamaged(f"What was loaded of {manifest.month} is not what left: it stays out of the database.")
    on_step("loaded", done, manifest.rows)
