"""Months that are older than they are kept leave the log: verified, copied, closed, deleted; in that order."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from auto_insurance.audit import repository, repository_closings
from auto_insurance.audit.chain import Anchor, Closing, Verifier, close, export_head, export_line, instant
from auto_insurance.infra import acting
from auto_insurance.infra.db.locks import held
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.kernel.errors import AppError, ErrorKind

log = structlog.get_logger(__name__)
RETENTION_LOCK = "audit_retention"
PAGE = 2_000
Progress = Callable[[str, int], None]
"""Takes a month and how many of its rows have left."""


class AuditMonthBroken(AppError):
    """The chain does not hold in a month that should leave; it stays for whoever looks into it."""

    kind = ErrorKind.CONFLICT
    code = "audit_month_broken"


@dataclass(frozen=True, slots=True)
class Month:
    """A month that may leave."""

    month: str
    after: Anchor
    last: int

    @property
    def rows(self) -> int:
        """Rows in it."""
        return self.last - self.after.number


def cutoff(now: datetime, months: int) -> datetime:
    """Return the beginning of the oldest month that is kept (UTC)."""
    count = now.astimezone(UTC).year * 12 + now.astimezone(UTC).month - 1 - months
    return datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC)


def _next(at: datetime) -> datetime:
    return cutoff(at, -1)


class AuditRetention:
    """Lets whole months leave, the oldest first. ``folder`` is where each is written before."""

    def __init__(self, database: Database, months: int, folder: Path | None = None) -> None:
        self._database = database
        self.months = months
        self.folder = folder

    async def due(self, before: datetime | None = None) -> list[Month]:
        """Return the months that would leave; those from ``before`` on stay."""
        until = before or cutoff(clock.now(), self.months)
        found: list[Month] = []
        async with self._database.read() as uow:
            after = await repository_closings.closed(uow)
            while (month := await self._month(uow, after, until)) is not None:
                found.append(month)
                last = await repository.place_at(uow, month.last)
                after = Anchor(month.last, last.hash if last else b"")
        return found

    async def _month(self, uow: UnitOfWork, after: Anchor, until: datetime) -> Month | None:
        at = await repository_closings.first_after(uow, after.number)
        if at is None or _next(at) > until:
            return None
        last = await repository_closings.last_before(uow, after.number, _next(at))
        return Month(at.astimezone(UTC).strftime("%Y-%m"), after, last)

    async def run(self, before: datetime | None = None, progress: Progress | None = None) -> int:
        """Let what is due leave; return how many rows did, 0 also while another process does it.

        Goes on with what was interrupted. Raises ``AuditMonthBroken``, and ``OSError`` where the copy can't be written.
        """
        until = before or cutoff(clock.now(), self.months)
        async with held(self._database, RETENTION_LOCK) as mine:
            if not mine:
                return 0
            gone = await self._leave(progress)
            while (closing := await self._close(until)) is not None:
                log.info("audit_month_closed", month=closing.month, rows=closing.rows, hash=closing.hash.hex())
                gone += await self._leave(progress)
        return gone

    async def _close(self, until: datetime) -> Closing | None:
        async with self._database.read() as uow:
            month = await self._month(uow, await repository_closings.closed(uow), until)
        if month is None:
            return None
        head = await self._copied(month)
        async with self._database.begin() as uow:
            before = await repository_closings.closings(uow)
            closing = close(before[-1] if before else None, month.month, month.after, head, instant(clock.now()))
            await repository_closings.add_closing(uow, closing)
        return closing

    async def _copied(self, month: Month) -> Anchor:
        """Verify a month, write it if there is a folder for it, and return its last row."""
        if self.folder is None:
            return await self._walked(month, lambda _line: None)
        file = self.folder / f"audit-{month.month}-{month.after.number + 1}.jsonl"
        part = file.with_suffix(".part")
        with part.open("w", encoding="utf-8") as out:
            head = await self._walked(month, lambda line: out.write(line + "\n"))
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
        return head

    async def _walked(self, month: Month, write: Callable[[str], object]) -> Anchor:
        verifier = Verifier(month.after)
        write(export_head(month.after))
        while verifier.head.number < month.last:
            after = verifier.head.number
            size = min(PAGE, month.last - after)
            async with self._database.read() as uow:
                anchors = await repository.anchors_after(uow, after, size + 1)
                rows = await repository.stretch(uow, after, size)
            verifier.recheck({one.number: one.hash for one in anchors})
            for row, opened in rows:
                verifier.take(row, opened)
                write(export_line(row, opened))
            if verifier.found or not rows:
                fault = verifier.faults[0].detail if verifier.found else f"row {after + 1} is missing"
                log.error("audit_month_broken", month=month.month, detail=fault)
                raise AuditMonthBroken(f"{month.month} stays: {fault}.")
        return verifier.head

    async def _leave(self, progress: Progress | None) -> int:
        async with self._database.read() as uow:
            closings = await repository_closings.closings(uow)
        if not closings:
            return 0
        gone, last = 0, closings[-1]
        while True:
            with acting.as_system():
                async with self._database.begin() as uow:
                    step = await repository_closings.leave(uow, last.last_number, PAGE)
            gone += step
            if progress is not None and step:
                progress(last.month, gone)
            if step < PAGE:
                return gone
