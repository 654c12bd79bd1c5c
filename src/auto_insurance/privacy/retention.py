"""What is kept how long, as far as nothing else sees to it: places, scores, idle accounts, archived months."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from auto_insurance.drivers.schemas import Purpose
from auto_insurance.drivers.service import ConsentService, DriverService, ErasureDesk
from auto_insurance.infra.db.partitions import month_of
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import clock
from auto_insurance.privacy import queries
from auto_insurance.risk.service import RiskService
from auto_insurance.telematics.service import ArchiveEraser
from auto_insurance.trips.service import TripService

log = structlog.get_logger(__name__)
BATCH = 1_000
DRIVERS = 500
MAX_BATCHES = 10_000
MOST_ERASED = 1_000
DAYS_PER_MONTH = 30.44
LATE = timedelta(days=35)
"""Longer than an event may be late and than any topic keeps a record: what came in after an erasure is there then."""


@dataclass(frozen=True, slots=True)
class RetentionOptions:
    """Months after which each thing goes; 0 keeps it. ``withheld_days`` is for who withdrew that."""

    places_months: int = 36
    withheld_days: int = 35
    scores_months: int = 36
    idle_months: int = 36
    archive_months: int = 0


@dataclass(frozen=True, slots=True)
class Retained:
    """What one run did."""

    places: int = 0
    scores: int = 0
    idle: int = 0
    months: int = 0
    swept: int = 0


class Sweeper(Protocol):
    """Who erases again what came late for an erased driver."""

    async def sweep(self, driver_id: str) -> int: ...


class RetentionService:
    """Each part works in batches with a transaction each; a run that is cut off is taken up by the next."""

    def __init__(
        self,
        database: Database,
        drivers: DriverService,
        desk: ErasureDesk,
        trips: TripService,
        risk: RiskService,
        archive: ArchiveEraser,
        sweeper: Sweeper,
        options: RetentionOptions | None = None,
    ) -> None:
        self._database = database
        self._drivers = drivers
        self._desk = desk
        self._trips = trips
        self._risk = risk
        self._archive = archive
        self._sweeper = sweeper
        self._consents = ConsentService()
        self._options = options or RetentionOptions()

    async def run(self) -> Retained:
        """Do all that is due: walk the book some hundred drivers at a time, then look after archive and erasures."""
        places = scores = idle = 0
        after = ""
        while page := await self._page(after):
            places += await self._places(page)
            scores += await self._old_scores(page)
            idle += await self._idle(page)
            after = page[-1]
        done = Retained(places, scores, idle, await self._old_months(), await self._sweep())
        log.info("retention_done", places=places, scores=scores, idle=idle, months=done.months, swept=done.swept)
        return done

    async def _page(self, after: str) -> list[str]:
        async with self._database.read() as uow:
            return await self._drivers.driver_ids(uow, after=after, limit=DRIVERS)

    async def _places(self, page: list[str]) -> int:
        """Make places coarse: of old trips, and sooner of those who withdrew the history of places."""
        async with self._database.read() as uow:
            withheld = await self._consents.withheld(uow, page, Purpose.LOCATION_HISTORY)
        before = clock.now() - timedelta(days=self._options.withheld_days)
        changed = await self._coarsen(sorted(withheld), before) if withheld else 0
        if not self._options.places_months:
            return changed
        return changed + await self._coarsen(page, _ago(self._options.places_months))

    async def _coarsen(self, driver_ids: list[str], before: datetime) -> int:
        changed = 0
        for _ in range(MAX_BATCHES):
            async with self._database.begin() as uow:
                rows = await self._trips.coarsen(uow, driver_ids, before, BATCH)
            changed += rows
            if not rows:
                break
        return changed

    async def _old_scores(self, page: list[str]) -> int:
        gone = 0
        for _ in range(MAX_BATCHES if self._options.scores_months else 0):
            async with self._database.begin() as uow:
                found = await queries.old_scores(uow, page, _ago(self._options.scores_months), BATCH)
                if not found:
                    break
                gone += await self._risk.forget(uow, found)
        return gone

    async def _idle(self, page: list[str]) -> int:
        """Ask staff to erase accounts that nobody uses; nothing goes without them."""
        if not self._options.idle_months:
            return 0
        async with self._database.begin() as uow:
            found = await queries.idle_drivers(uow, page, _ago(self._options.idle_months))
            for driver_id in found:
                await self._desk.ask(uow, driver_id, source="retention")
        return len(found)

    async def _old_months(self) -> int:
        if not self._options.archive_months:
            return 0
        return await self._archive.drop_before(month_of(clock.now()).plus(-self._options.archive_months))

    async def _sweep(self) -> int:
        async with self._database.read() as uow:
            erased = await self._desk.erased_since(uow, clock.now() - LATE, limit=MOST_ERASED)
        return sum([await self._sweeper.sweep(driver_id) for driver_id in erased.values()])


def _ago(months: int) -> datetime:
    return clock.now() - timedelta(days=months * DAYS_PER_MONTH)
