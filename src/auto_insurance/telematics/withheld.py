"""Keeps a process's list of devices whose drivers withhold telemetry up to date, for the door.

The worker asks the database within its own transaction and is the judge; the door says it at once, and to the sender.
"""

from __future__ import annotations

import time
from typing import Protocol

import structlog

from auto_insurance.infra.db import faults
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.telematics.judging import Verdicts
from auto_insurance.telematics.limits import Reason, ReasonCode

log = structlog.get_logger(__name__)
FRESH_S = 5.0
"""How long the door may go on taking events after a withdrawal; the worker does not store those."""
MOST = 200_000
"""Devices that are remembered; of more, the worker alone knows."""
REFUSED = Reason(
    ReasonCode.CONSENT_WITHHELD, "device_id", "The driver of this device does not allow driving data to be taken."
)


class Drivers(Protocol):
    """What is needed of drivers."""

    async def withheld_devices(self, uow: UnitOfWork, limit: int) -> frozenset[str]:
        """Return the devices of drivers who do not allow telemetry."""
        ...


class WithheldWatch:
    """Knows which devices' events are refused. While the database is away the last answer counts."""

    def __init__(self, db: Database, drivers: Drivers, fresh_s: float = FRESH_S) -> None:
        self._db = db
        self._drivers = drivers
        self._fresh_s = fresh_s
        self._next = 0.0
        self._devices: frozenset[str] = frozenset()

    async def refuse(self, verdicts: Verdicts) -> None:
        """Refuse the events of such devices that are not refused yet."""
        await self._refresh()
        found = self._devices.intersection(verdicts.devices) if self._devices else None
        if not found:
            return
        columns = verdicts.judged.columns
        codes = columns.device[verdicts.start : verdicts.end].tolist()
        for place, code in enumerate(codes):
            if place not in verdicts.refused and columns.devices[code] in found:
                verdicts.refused[place] = [REFUSED]

    async def _refresh(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._fresh_s
        try:
            async with self._db.read() as uow:
                self._devices = await self._drivers.withheld_devices(uow, MOST)
        except Exception as error:
            if not faults.is_transient(error):
                raise
            log.warning("withheld_devices_not_read", error=type(error).__name__)
