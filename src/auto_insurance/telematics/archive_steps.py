"""What archiving, dropping and restoring have in common: options, outcomes, single steps of a month."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from auto_insurance.infra.db import partitions as months
from auto_insurance.infra.db.partitions import Month
from auto_insurance.infra.db.partitions_admin import Maintenance, attach, table_exists
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.telematics import archive_files as files
from auto_insurance.telematics import repository_archives as repository
from auto_insurance.telematics.errors import MonthRefused
from auto_insurance.telematics.partitions import TABLE
from auto_insurance.telematics.repository_archives import ArchiveState, Content

log = structlog.get_logger(__name__)
OnStep = Callable[[str, int, int], None]
"""Told of each step: its name, how much is done, how much there is."""


@dataclass(frozen=True, slots=True)
class ArchiveOptions:
    """Where the files are, and which months leave the database by themselves."""

    folder: Path
    retention_months: int = 12
    """Whole months that stay in the database beside the current one; 0 keeps all."""
    quiet: timedelta = timedelta(days=30)
    """How long after its last arrival, or its restoration, a month is left alone."""
    part_rows: int = files.PART_ROWS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a month: ``archived``, ``dropped``, ``left`` (and why), ``restored`` or ``online``."""

    month: Month
    result: str
    rows: int = 0
    files: int = 0
    bytes: int = 0
    reason: str = ""


def silent(step: str, done: int, total: int) -> None:
    """Tell nobody."""


def folder_of(options: ArchiveOptions, name: str) -> Path:
    """Return the folder of a month's files."""
    return options.folder / TABLE / name


class MonthSteps:
    """One month in the hands of one process."""

    def __init__(self, care: Maintenance, options: ArchiveOptions, month: Month, force: bool, on_step: OnStep) -> None:
        self.care = care
        self.options = options
        self.month = month
        self.force = force
        self.on_step = on_step

    async def close(self, table: str, status: str) -> None:
        """Say that the month is closed, once nobody claims it any more."""

        async def close(uow: UnitOfWork) -> None:
            await repository.lock_month(uow, TABLE, self.month)
            await repository.save_state(uow, self.month, status, table_name=table)

        await self.care.transaction(close)

    async def attach_again(self, table: str) -> None:
        """Take the month back online and forget its state."""

        async def back(uow: UnitOfWork) -> None:
            await attach(uow, TABLE, table, self.month)
            await repository.delete_state(uow, self.month)

        await self.care.transaction(back)

    async def discard(self, state: ArchiveState) -> None:
        """Forget what was written of a month that stays."""
        await self.remove_files(state)
        async with self.care.database.begin() as uow:
            await repository.delete_state(uow, self.month)

    async def remove_files(self, state: ArchiveState | None) -> None:
        """Remove what was written of the month, if anything."""
        if state is not None and state.folder is not None:
            await asyncio.to_thread(files.remove, folder_of(self.options, state.folder))

    def left(self, reason: str) -> Outcome:
        """Return that the month stays, and why."""
        log.info("month_left", month=str(self.month), reason=reason)
        return Outcome(self.month, "left", reason=reason)

    async def state(self) -> ArchiveState | None:
        """Return the month's state as it is now."""
        async with self.care.database.read() as uow:
            return await repository.read_state(uow, self.month)

    async def content(self, table: str) -> Content:
        """Return what a table holds. Raises ``MonthRefused`` if it is gone."""
        async with self.care.database.read() as uow:
            if not await table_exists(uow, table):
                raise MonthRefused(f"The table {table} is gone; somebody has dropped it by hand.")
            return await repository.content(uow, table, [name for name, _ in repository.columns()])

    async def table(self) -> str:
        """Return the month's partition. Raises ``MonthRefused`` for a month that can't leave."""
        async with self.care.database.read() as uow:
            there = await months.read_partitions(uow, TABLE)
        found = [p for p in there if p.start < self.month.end and p.end > self.month.start]
        if not found:
            raise MonthRefused(f"{self.month} has no partition: there are no events of that month.")
        if (found[0].start, found[0].end) != (self.month.start, self.month.end):
            raise MonthRefused(f"{self.month} shares the partition {found[0].name} with other months.")
        if not months.is_closable(self.month):
            oldest = months.month_of(clock.now()).plus(-months.CLOSABLE_AGE)
            raise MonthRefused(f"{self.month} is too recent: devices may still send. {oldest} and older can leave.")
        return found[0].name
