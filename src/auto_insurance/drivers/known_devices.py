"""Whose each device was, remembered by a consumer and never out of date.

Triggers note every change of an assignment, or of a driver's time zone, as a row with the number of the changing
transaction. A consumer asks in each of its own transactions for the changes since its last look, by transaction
number: all transactions below the oldest one that was running at that look (``pg_snapshot_xmin``) had ended and were
seen. So what was committed before the look is known, in whatever order transactions began and ended.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from auto_insurance.drivers import repository_devices
from auto_insurance.drivers.schemas import DeviceHistory
from auto_insurance.infra.db.uow import UnitOfWork

MAX_DEVICES = 100_000
MAX_REST_S = 3600.0
"""After so long without a look everything is read anew: changes are kept for a day (``note_device_changes``)."""


class KnownDevices:
    """The histories of at most ``capacity`` devices; of more, those that were read longest ago are forgotten."""

    def __init__(self, capacity: int = MAX_DEVICES) -> None:
        self._capacity = capacity
        self._known: dict[str, DeviceHistory] = {}
        self._horizon: int | None = None
        """Transactions below this number have been seen."""
        self._looked_at = 0.0

    def __len__(self) -> int:
        return len(self._known)

    async def load(self, uow: UnitOfWork, device_ids: Collection[str]) -> dict[str, DeviceHistory]:
        """Return the histories of those devices that exist, as of now: one small query if all are known."""
        await self._look(uow)
        known = self._known
        found = {device_id: known[device_id] for device_id in device_ids if device_id in known}
        if len(found) == len(device_ids):
            return found
        read = await repository_devices.histories(uow, [name for name in device_ids if name not in found])
        # A device without a driver is rare and may soon have one: it is asked for again.
        known |= {name: history for name, history in read.items() if history.spans}
        while len(known) > self._capacity:
            del known[next(iter(known))]
        return found | read

    async def _look(self, uow: UnitOfWork) -> None:
        now = time.monotonic()
        if self._horizon is None or now - self._looked_at > MAX_REST_S:
            self._known.clear()
            self._horizon = await repository_devices.oldest_transaction(uow)
        else:
            self._horizon, changed = await repository_devices.changes_since(uow, self._horizon)
            for device_id in changed:
                self._known.pop(device_id, None)
        self._looked_at = now
