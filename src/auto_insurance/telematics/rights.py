"""Who may speak for which device and driver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from cachetools import TTLCache

from auto_insurance.drivers.schemas import DeviceHistory
from auto_insurance.identity.schemas import DevicePrincipal
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.telematics.limits import Reason, ReasonCode
from auto_insurance.telematics.schemas import Sample

CACHE_S = 30.0
CACHE_SIZE = 20_000

_FOREIGN = Reason(ReasonCode.FOREIGN_DEVICE, "device_id", "device_id is not one that you may send for.")
_MISMATCH = Reason(
    ReasonCode.DRIVER_MISMATCH, "driver_id", "driver_id is not the driver that had this device at the event's time."
)


class Assignments(Protocol):
    """What is needed of drivers."""

    async def assignments(self, uow: UnitOfWork, device_ids: Sequence[str]) -> dict[str, DeviceHistory]:
        """Return the histories of the devices that exist."""
        ...


Claim = tuple[Sample, str | None]
"""A sample and the driver that the event names."""


class RightsChecker:
    """Checks claims. Keeps histories for some seconds; a refusal is never given on an old one."""

    def __init__(self, db: Database, drivers: Assignments) -> None:
        self._db = db
        self._drivers = drivers
        self._cache: TTLCache[str, DeviceHistory] = TTLCache(CACHE_SIZE, CACHE_S)

    async def check(self, sender: DevicePrincipal, claims: Sequence[Claim]) -> list[Reason | None]:
        """Return, for each claim, why it is refused or None. Asks the database only when the sender does not tell."""
        wanted = {sample.device_id for sample, named in claims if _needs_history(sender, sample, named)}
        if not wanted:
            return [verdict(sender, sample, named, {}) for sample, named in claims]
        histories = {device_id: self._cache[device_id] for device_id in wanted if device_id in self._cache}
        cached = set(histories)
        if cached != wanted:
            histories |= await self.load(wanted - cached)
        verdicts = [verdict(sender, sample, named, histories) for sample, named in claims]
        doubtful = cached & {claim[0].device_id for claim, found in zip(claims, verdicts, strict=True) if found}
        if not doubtful:
            return verdicts
        for device_id in doubtful:
            histories.pop(device_id, None)
        histories |= await self.load(doubtful)
        return [verdict(sender, sample, named, histories) for sample, named in claims]

    async def load(self, device_ids: Iterable[str]) -> dict[str, DeviceHistory]:
        """Return the histories as they are now."""
        async with self._db.read() as uow:
            found = await self._drivers.assignments(uow, sorted(device_ids))
        self._cache.update(found)
        return found


def _needs_history(sender: DevicePrincipal, sample: Sample, named: str | None) -> bool:
    return sender.device_id is None or (named is not None and sample.device_id == sender.device_id)


def verdict(
    sender: DevicePrincipal, sample: Sample, named: str | None, histories: Mapping[str, DeviceHistory]
) -> Reason | None:
    """Return why this sender may not send this sample, or None. Pure."""
    if sender.device_id is not None and sample.device_id != sender.device_id:
        return _FOREIGN
    if not _needs_history(sender, sample, named):
        return None
    history = histories.get(sample.device_id)
    assignment = history.at(sample.t_us) if history else None
    driver_id = assignment.driver_id if assignment else None
    if sender.device_id is None and driver_id != sender.driver_id:
        return _FOREIGN
    return _MISMATCH if named is not None and named != driver_id else None
