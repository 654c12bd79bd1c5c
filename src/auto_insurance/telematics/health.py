"""How a device is doing."""

from __future__ import annotations

from datetime import datetime, timedelta

from auto_insurance.identity import policy
from auto_insurance.identity.policy import Action
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.telematics import repository_contacts as repository
from auto_insurance.telematics.errors import UnknownDevice, WrongRange
from auto_insurance.telematics.repository import count_events
from auto_insurance.telematics.rights import Assignments
from auto_insurance.telematics.views import DeviceHealth, DeviceStatus, EventCount

STALE_AFTER = timedelta(hours=24)
OFFLINE_AFTER = timedelta(hours=72)
MAX_RANGE = timedelta(days=31)


def status_of(last_seen: datetime | None, now: datetime) -> DeviceStatus:
    """Return the status of a device that was last heard of at ``last_seen``."""
    if last_seen is None or now - last_seen > OFFLINE_AFTER:
        return DeviceStatus.OFFLINE
    return DeviceStatus.STALE if now - last_seen > STALE_AFTER else DeviceStatus.HEALTHY


class DeviceHealthService:
    """Answers how devices are doing. A device is seen by the driver that has it now, and by staff."""

    def __init__(self, drivers: Assignments) -> None:
        self._drivers = drivers

    async def get(self, uow: UnitOfWork, principal: Principal, device_id: str) -> DeviceHealth:
        """Return a device's health. Raises ``UnknownDevice``."""
        driver_id = await self._visible(uow, principal, device_id)
        now = clock.now()
        since = (now - timedelta(hours=24)).replace(minute=0, second=0, microsecond=0)
        found = await repository.contact_summary(uow, device_id, since)
        return DeviceHealth(
            device_id=device_id,
            driver_id=driver_id,
            status=status_of(found.last_received_at, now),
            last_seen=found.last_received_at,
            clock_offset_s=None if found.clock_offset_us is None else found.clock_offset_us / 1e6,
            rejected_last_24h=found.rejected,
        )

    async def count_events(
        self, uow: UnitOfWork, principal: Principal, device_id: str, start: datetime, end: datetime
    ) -> EventCount:
        """Return what is stored of a device in [start, end]. Raises ``UnknownDevice`` and ``WrongRange``."""
        await self._visible(uow, principal, device_id)
        if not start <= end <= start + MAX_RANGE:
            raise WrongRange(MAX_RANGE.days)
        count, first, last = await count_events(uow, device_id, start, end)
        return EventCount(device_id=device_id, count=count, first=first, last=last)

    async def _visible(self, uow: UnitOfWork, principal: Principal, device_id: str) -> str | None:
        history = (await self._drivers.assignments(uow, [device_id])).get(device_id)
        if history is None:
            raise UnknownDevice
        assignment = history.at(clock.to_us(clock.now()))
        driver_id = assignment.driver_id if assignment else None
        if not policy.acts_for_others(principal, Action.READ) and (
            driver_id is None or not policy.allows(principal, Action.READ, driver_id)
        ):
            raise UnknownDevice
        return driver_id
