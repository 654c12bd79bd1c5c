"""The door of the audit log: what is read, verified and forgotten; rows are written by ``record``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from uuid import UUID

import structlog

from auto_insurance.audit import repository
from auto_insurance.audit.chain import Anchor, Damage, Fault, export_head, export_line, parse_anchor, verify_lines
from auto_insurance.audit.recording import PERSONS, record
from auto_insurance.audit.repository import AuditFilter, StoredRow
from auto_insurance.audit.retention import AuditMonthBroken, AuditRetention, Month
from auto_insurance.audit.sequencer import AuditSequencer, SequencerOptions
from auto_insurance.audit.verifying import Checked, check_all, check_stretch, closings_at, place, rows_after
from auto_insurance.infra.db.uow import Database, UnitOfWork

__all__ = [
    "Anchor",
    "AuditFilter",
    "AuditMonthBroken",
    "AuditRetention",
    "AuditSequencer",
    "AuditService",
    "Checked",
    "Damage",
    "Fault",
    "Month",
    "SequencerOptions",
    "StoredRow",
    "check_all",
    "closings_at",
    "export_head",
    "export_line",
    "parse_anchor",
    "place",
    "record",
    "rows_after",
    "verify_lines",
]
log = structlog.get_logger(__name__)
EXPORT_PAGE = 1_000


class AuditService:
    """Use cases of the log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget(self, uow: UnitOfWork, kind: str, ident: str) -> int:
        """Make what the log hides of a person unreadable for ever, and return how many seals that were.

        ``kind`` is ``driver`` or ``user``; the chain holds as before. Raises ``ValueError`` for another kind.
        """
        if kind not in PERSONS:
            raise ValueError(f"kind must be one of {sorted(PERSONS)}")
        forgotten = await repository.forget(uow, kind, ident)
        uow.note("audit", "seals", forgotten=forgotten)
        log.info("audit_person_forgotten", seals=forgotten)
        return forgotten

    async def page(
        self,
        uow: UnitOfWork,
        wanted: AuditFilter,
        *,
        limit: int,
        offset: int,
        before: tuple[datetime, UUID] | None = None,
    ) -> tuple[Sequence[StoredRow], int]:
        """Return rows, the newest first, and how many there are. ``before`` goes before the offset."""
        if before is not None:
            rows = await repository.page_before(uow, wanted, limit, before)
        else:
            rows = await repository.page(uow, wanted, limit, offset)
        return rows, await repository.count(uow, wanted)

    async def walk(self, wanted: AuditFilter, *, limit: int) -> AsyncIterator[StoredRow]:
        """Yield at most ``limit`` rows, the newest first, in short transactions."""
        before = None
        while limit > 0:
            size = min(EXPORT_PAGE, limit)
            async with self._database.read() as uow:
                rows = await repository.page_before(uow, wanted, size, before)
            for row in rows:
                yield row
            if len(rows) < size:
                return
            before = (rows[-1].row.at, rows[-1].row.id)
            limit -= size

    async def check(self, uow: UnitOfWork, after: int | None, limit: int) -> Checked:
        """Verify at most ``limit`` rows after a number, by default after the last one that was verified."""
        return await check_stretch(uow, after, limit)
