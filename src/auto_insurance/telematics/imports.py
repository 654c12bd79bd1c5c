"""Imports of files: queued by a request, worked off by a loop that survives a crash.

Progress is written after the append of each chunk. A crash in between appends that chunk once more; the store knows the
events already, so that nothing is there twice.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import numpy as np
import structlog

from auto_insurance.contracts import topics
from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.identity import policy
from auto_insurance.identity.policy import Action
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra import metrics
from auto_insurance.infra.bus.protocol import EventLog
from auto_insurance.infra.db import faults
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.infra.trackfile import TrackFileError, TrackFormat, TrackRow, detect_format, read_track
from auto_insurance.kernel import clock, ids
from auto_insurance.kernel.errors import Unavailable
from auto_insurance.telematics import bulk
from auto_insurance.telematics import repository_imports as repository
from auto_insurance.telematics.archived import ArchiveWatch
from auto_insurance.telematics.errors import ImportNotFound, TooManyImports, UnknownDevice, UnreadableFile
from auto_insurance.telematics.limits import IngestPolicy, Reason
from auto_insurance.telematics.records import Origin, records_of
from auto_insurance.telematics.repository_imports import ImportRow
from auto_insurance.telematics.rights import Assignments
from auto_insurance.telematics.validate import read_event

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Rows per chunk, refused rows kept for reading, times, tries after crashes, open imports per driver."""

    chunk_rows: int = 500
    kept_problems: int = 100
    lease: timedelta = timedelta(seconds=60)
    poll_s: float = 2.0
    pause_s: float = 5.0
    max_attempts: int = 5
    max_open: int = 10


class ImportService:
    """Queues files and tells how far they are."""

    def __init__(self, drivers: Assignments, options: ImportOptions | None = None) -> None:
        self._drivers = drivers
        self._options = options or ImportOptions()

    async def create(
        self, uow: UnitOfWork, principal: Principal, device_id: str, filename: str, content: bytes
    ) -> ImportRow:
        """Queue a file of a device that is the caller's now, or of any device for staff.

        Raises ``UnknownDevice``, ``UnreadableFile`` and ``TooManyImports``.
        """
        history = (await self._drivers.assignments(uow, [device_id])).get(device_id)
        assignment = history.at(clock.to_us(clock.now())) if history else None
        if assignment is None or not policy.allows(principal, Action.IMPORT_TELEMETRY, assignment.driver_id):
            raise UnknownDevice
        if await repository.open_imports(uow, assignment.driver_id) >= self._options.max_open:
            raise TooManyImports(self._options.max_open)
        found = detect_format(filename, content)
        if found is None:
            raise UnreadableFile("The file is neither GPX nor a CSV with a header that names a timestamp.")
        return await repository.add_import(
            uow,
            job_id=ids.new_uuid(),
            driver_id=assignment.driver_id,
            device_id=device_id,
            format=found,
            content=content,
        )

    async def get(self, uow: UnitOfWork, principal: Principal, job_id: UUID) -> ImportRow:
        """Return an import. Raises ``ImportNotFound``, also for somebody else's."""
        job = await repository.get_import(uow, job_id)
        if job is None or not policy.allows(principal, Action.IMPORT_TELEMETRY, job.driver_id):
            raise ImportNotFound
        return job


@dataclass(slots=True)
class _Progress:
    next_row: int
    accepted: int
    rejected: int
    reasons: Counter[str]
    problems: list[dict[str, Any]] = field(default_factory=list)


class ImportRunner:
    """Works off imports, one at a time per process."""

    def __init__(
        self,
        db: Database,
        event_log: EventLog,
        policy: IngestPolicy | None = None,
        options: ImportOptions | None = None,
        archive: ArchiveWatch | None = None,
    ) -> None:
        self._db = db
        self._archive = archive
        self._log = event_log
        self._policy = policy or IngestPolicy()
        self._options = options or ImportOptions()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop``; between imports look every few seconds."""
        while not stop.is_set():
            pause = self._options.poll_s
            try:
                if await self.run_one():
                    continue
            except Exception as error:
                log.warning("import_round_failed", error=type(error).__name__)
                pause = self._options.pause_s
            try:
                await asyncio.wait_for(stop.wait(), pause)
            except TimeoutError:
                continue

    async def run_one(self) -> bool:
        """Work on the oldest free import; return whether there was one. Raises what made it stop for now."""
        async with self._db.begin() as uow:
            claimed = await repository.claim_import(uow, self._options.lease)
        if claimed is None:
            return False
        job, content = claimed
        failed: str | None = None
        if job.attempts > self._options.max_attempts:
            failed = f"given up after {self._options.max_attempts} tries"
        else:
            try:
                if not await self._work(job, content):
                    return True
            except TrackFileError as why:
                failed = str(why)
            except Exception as error:
                if isinstance(error, Unavailable) or faults.is_transient(error):
                    async with self._db.begin() as uow:
                        await repository.release_import(uow, job)
                raise
        async with self._db.begin() as uow:
            await repository.finish_import(uow, job, failed=failed)
        log.info("import_finished", job_id=str(job.job_id), failed=failed is not None)
        return True

    async def _work(self, job: ImportRow, content: bytes) -> bool:
        """Go through the rows that are left; return False if somebody else took the import over."""
        rows = _guarded(read_track(TrackFormat(job.format), content))
        progress = _Progress(job.next_row, job.accepted, job.rejected, Counter(job.reasons), list(job.problems))
        for _ in islice(rows, job.next_row):
            continue
        while chunk := list(islice(rows, self._options.chunk_rows)):
            error = chunk.pop() if isinstance(chunk[-1], TrackFileError) else None
            await self._append(job, [row for row in chunk if isinstance(row, TrackRow)], progress)
            async with self._db.begin() as uow:
                ours = await repository.note_progress(
                    uow,
                    job,
                    next_row=progress.next_row,
                    accepted=progress.accepted,
                    rejected=progress.rejected,
                    reasons=progress.reasons,
                    problems=progress.problems,
                    lease=self._options.lease,
                )
            if not ours:
                return False
            if isinstance(error, TrackFileError):
                raise error
        return True

    async def _append(self, job: ImportRow, rows: list[TrackRow], progress: _Progress) -> None:
        received_us = clock.to_us(clock.now())
        if self._archive is not None:
            await self._archive.refresh()
        read = [(row, read_event(row.fields | {"device_id": job.device_id, "driver_id": None})) for row in rows]
        events = [event for _, event in read if isinstance(event, TelemetryEvent)]
        arrivals = np.full(len(events), received_us, np.int64)
        judged = bulk.judge(events, arrivals, self._policy, any_age=True)
        good: list[TelemetryEvent] = []
        place = 0
        for row, event in read:
            if not isinstance(event, TelemetryEvent):
                self._refuse(row, event, progress)
                continue
            if place in judged.refused:
                self._refuse(row, judged.refused[place], progress)
            else:
                good.append(event)
            place += 1
        records = records_of(topics.TELEMATICS_EVENTS, good, Origin(received_us, any_age=True))
        if records:
            await self._log.append(records)
        progress.next_row += len(rows)
        progress.accepted += len(good)
        metrics.EVENTS_INGESTED_TOTAL.labels("import", "accepted").inc(len(good))
        metrics.EVENTS_INGESTED_TOTAL.labels("import", "rejected").inc(len(rows) - len(good))

    def _refuse(self, row: TrackRow, reasons: list[Reason], progress: _Progress) -> None:
        progress.rejected += 1
        progress.reasons[reasons[0].code.value] += 1
        if len(progress.problems) < self._options.kept_problems:
            first = reasons[0]
            progress.problems.append({"line": row.line, "code": first.code.value, "message": first.message})


def _guarded(rows: Iterator[TrackRow]) -> Iterator[TrackRow | TrackFileError]:
    """Give out the error as the last item, so that the rows before it still count."""
    try:
        yield from rows
    except TrackFileError as error:
        yield error
