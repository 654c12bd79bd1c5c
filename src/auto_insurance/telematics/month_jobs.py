"""Archiving and restoring of months that staff ask for: queued by a request, done by the scheduler, one at a time.

The steps can be taken up again after a crash, so that a job is done by whoever holds its lease; it asks for more time
while it works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from auto_insurance.infra.db import faults, partitions
from auto_insurance.infra.db.partitions import Month
from auto_insurance.infra.db.partitions_admin import PartitionsBusy
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import ids
from auto_insurance.kernel.errors import AppError
from auto_insurance.telematics import archive_reads
from auto_insurance.telematics import repository_month_jobs as repository
from auto_insurance.telematics.archive import Archiver
from auto_insurance.telematics.archive_reads import MonthOverview
from auto_insurance.telematics.archive_restore import restore
from auto_insurance.telematics.archive_steps import ArchiveOptions, Outcome
from auto_insurance.telematics.errors import MonthJobNotFound, MonthJobOpen
from auto_insurance.telematics.partitions import TABLE
from auto_insurance.telematics.repository_month_jobs import MonthJobRow

__all__ = ["MonthJobRow", "MonthJobRunner", "MonthJobs"]
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MonthJobOptions:
    """How long a job is held without a sign, how often it gives one, tries after crashes."""

    lease: timedelta = timedelta(seconds=60)
    beat_s: float = 5.0
    max_attempts: int = 5


class MonthJobs:
    """Tells of months and queues what is to be done with them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def months(self, uow: UnitOfWork) -> list[MonthOverview]:
        """Return all months that are online or archived, in order; the rows of large ones are estimates."""
        return await archive_reads.overview(uow)

    async def create(self, months: Sequence[Month]) -> list[Month]:
        """Make the partitions that are missing, each in a transaction of its own; return which these were.

        Raises ``MonthArchived``.
        """
        return [month for month in months if await partitions.create_month(self._database, TABLE, month)]

    async def queue(
        self, uow: UnitOfWork, action: str, month: Month, *, force: bool, requested_by: UUID
    ) -> MonthJobRow:
        """Queue the archiving or restoring of a month. Raises ``MonthJobOpen``."""
        job = await repository.add_job(
            uow,
            job_id=ids.new_uuid(),
            action=action,
            month=month.start.date(),
            force=force,
            requested_by=requested_by,
        )
        if job is None:
            raise MonthJobOpen(str(month))
        return job

    async def get(self, uow: UnitOfWork, job_id: UUID) -> MonthJobRow:
        """Return a job. Raises ``MonthJobNotFound``."""
        job = await repository.get_job(uow, job_id)
        if job is None:
            raise MonthJobNotFound
        return job

    async def page(self, uow: UnitOfWork, *, limit: int, offset: int) -> tuple[list[MonthJobRow], int]:
        """Return jobs, the newest first, and how many there are."""
        return await repository.list_jobs(uow, limit, offset)


class _Steps:
    """How far the work is: told by it, read by the beat."""

    def __init__(self) -> None:
        self.step, self.done, self.total = "starting", 0, 0

    def told(self, step: str, done: int, total: int) -> None:
        self.step, self.done, self.total = step, done, total


class MonthJobRunner:
    """Does the jobs."""

    def __init__(
        self, database: Database, archiver: Archiver, archive: ArchiveOptions, options: MonthJobOptions | None = None
    ) -> None:
        self._database = database
        self._archiver = archiver
        self._archive = archive
        self._options = options or MonthJobOptions()

    async def run_one(self) -> bool:
        """Do the oldest job that is free; return whether one ended. Raises what may pass by itself."""
        async with self._database.begin() as uow:
            job = await repository.claim_job(uow, self._options.lease)
        if job is None:
            return False
        result, detail = None, f"given up after {self._options.max_attempts} tries"
        if job.attempts <= self._options.max_attempts:
            try:
                outcome = await self._beaten(job)
            except PartitionsBusy:
                await self._release(job)
                return False
            except AppError as error:
                detail = error.detail
            except Exception as error:
                if faults.is_transient(error):
                    await self._release(job)
                raise
            else:
                result, detail = outcome.result, outcome.reason or f"{outcome.rows} events"
        async with self._database.begin() as uow:
            await repository.finish_job(uow, job, result=result, detail=detail)
        log.info("month_job_finished", job_id=str(job.job_id), action=job.action, result=result or "failed")
        return True

    async def _beaten(self, job: MonthJobRow) -> Outcome:
        """Work, and meanwhile say so; stop when somebody else took the job over."""
        steps = _Steps()
        work = asyncio.create_task(self._work(job, steps))
        try:
            while not (await asyncio.wait({work}, timeout=self._options.beat_s))[0]:
                async with self._database.begin() as uow:
                    ours = await repository.note_step(
                        uow, job, step=steps.step, done=steps.done, total=steps.total, lease=self._options.lease
                    )
                if not ours:
                    raise PartitionsBusy("Another process has taken the job over.")
        finally:
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
        return work.result()

    async def _work(self, job: MonthJobRow, steps: _Steps) -> Outcome:
        month = Month(job.month.year, job.month.month)
        if job.action == "archive":
            return await self._archiver.archive(month, force=job.force, on_step=steps.told)
        return await restore(self._database, self._archive, month, on_step=steps.told)

    async def _release(self, job: MonthJobRow) -> None:
        async with self._database.begin() as uow:
            await repository.release_job(uow, job)
