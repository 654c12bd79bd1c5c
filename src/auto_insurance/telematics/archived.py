"""Keeps a process's list of archived months up to date, for those who judge events of any age."""

from __future__ import annotations

import time

import structlog

from auto_insurance.infra.db import faults
from auto_insurance.infra.db.uow import Database
from auto_insurance.telematics.limits import ArchivedMonths
from auto_insurance.telematics.partitions import CACHE_S, archived_months

log = structlog.get_logger(__name__)


class ArchiveWatch:
    """Fills ``months`` from the database. Live events are too young to meet an archived month: they don't ask."""

    def __init__(self, db: Database, months: ArchivedMonths) -> None:
        self._db = db
        self._months = months
        self._next = 0.0

    async def refresh(self) -> None:
        """Read the months if that is due. While the database is away the last ones count: the worker asks again."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + CACHE_S
        try:
            async with self._db.read() as uow:
                found = await archived_months(uow)
        except Exception as error:
            if not faults.is_transient(error):
                raise
            log.warning("archived_months_not_read", error=type(error).__name__)
            return
        self._months.replace((month.year, month.month) for month in found)
