"""What is heard of each device: counted in memory, written once in a while off the way of requests.

A crash loses at most the last interval of these counts, never an event. The rows are durable and hourly.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import clock
from auto_insurance.telematics import repository_contacts as repository
from auto_insurance.telematics.schemas import Contact

log = structlog.get_logger(__name__)
_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class ContactOptions:
    """How often counts are written, how many device-hours may wait, and how long rows are kept."""

    flush_s: float = 5.0
    max_waiting: int = 50_000
    keep: timedelta = timedelta(days=35)


class ContactBook:
    """Notes contacts; ``run`` writes them."""

    def __init__(self, db: Database, options: ContactOptions | None = None) -> None:
        self._db = db
        self._options = options or ContactOptions()
        self._waiting: dict[tuple[str, int], Contact] = {}
        self._lost = 0

    def note(self, device_id: str, received_us: int, *, accepted: int, rejected: int, newest_us: int | None) -> None:
        """Count an upload. ``newest_us`` is its newest event's time, None if that tells nothing of the clock."""
        key = (device_id, received_us // _HOUR_US)
        if key not in self._waiting and len(self._waiting) >= self._options.max_waiting:
            self._lost += 1
            return
        offset = None if newest_us is None else received_us - newest_us
        contact = Contact(device_id, key[1] * _HOUR_US, accepted, rejected, received_us, offset)
        before = self._waiting.get(key)
        self._waiting[key] = contact if before is None else before.plus(contact)

    async def flush(self) -> int:
        """Write what waits; return the number of rows. On failure it waits on, and the error is raised."""
        batch, self._waiting = self._waiting, {}
        if not batch:
            return 0
        try:
            async with self._db.begin() as uow:
                await repository.add_contacts(uow, list(batch.values()))
        except BaseException:
            for key, contact in self._waiting.items():
                batch[key] = batch[key].plus(contact) if key in batch else contact
            self._waiting = batch
            raise
        return len(batch)

    async def run(self, stop: asyncio.Event) -> None:
        """Write every few seconds until ``stop``, and once more then."""
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), self._options.flush_s)
            except TimeoutError:
                await self._try_flush()
        await self._try_flush()

    async def _try_flush(self) -> None:
        try:
            await self.flush()
        except Exception as error:
            log.warning("device_contacts_not_written", error=type(error).__name__, waiting=len(self._waiting))
        if self._lost:
            log.warning("device_contacts_lost", count=self._lost)
            self._lost = 0

    async def forget_old(self) -> int:
        """Remove rows past their time; return how many."""
        before: datetime = clock.now() - self._options.keep
        async with self._db.begin() as uow:
            return await repository.remove_contacts(uow, before)
