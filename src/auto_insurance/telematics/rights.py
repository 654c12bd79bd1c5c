"""Who may speak for which device and driver."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import structlog
from cachetools import LRUCache

from auto_insurance.drivers.schemas import DeviceHistory
from auto_insurance.identity.schemas import DevicePrincipal
from auto_insurance.infra.db import faults
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.telematics.judging import Verdicts
from auto_insurance.telematics.limits import Reason, ReasonCode

log = structlog.get_logger(__name__)

_FOREIGN = Reason(ReasonCode.FOREIGN_DEVICE, "device_id", "device_id is not one that you may send for.")
_MISMATCH = Reason(
    ReasonCode.DRIVER_MISMATCH, "driver_id", "driver_id is not the driver that had this device at the event's time."
)


@dataclass(frozen=True, slots=True)
class RightsOptions:
    """How long a device's history is believed, and for how long more while the database is away."""

    fresh_s: float = 30.0
    stale_s: float = 900.0
    cached_devices: int = 20_000


class Assignments(Protocol):
    """What is needed of drivers."""

    async def assignments(self, uow: UnitOfWork, device_ids: Sequence[str]) -> dict[str, DeviceHistory]:
        """Return the histories of the devices that exist."""
        ...


class Claim(NamedTuple):
    """What events of one upload have in common: the device they are of and the driver they name."""

    device_id: str
    named: str | None


class RightsChecker:
    """Checks claims. Keeps histories for some seconds; a refusal is never given on an old one."""

    def __init__(self, db: Database, drivers: Assignments, options: RightsOptions | None = None) -> None:
        self._db = db
        self._drivers = drivers
        self._options = options or RightsOptions()
        self._cache: LRUCache[str, tuple[float, DeviceHistory]] = LRUCache(self._options.cached_devices)

    async def check(self, sender: DevicePrincipal, verdicts: Verdicts) -> dict[int, Reason]:
        """Return the places of events that this sender may not send, and why.

        Asks the database only when the sender does not tell; while that is away a history known lately does. Raises
        what the database raises.
        """
        claims = claims_of(verdicts)
        wanted = {claim.device_id for claim in claims if _needs_history(sender, claim)}
        if not wanted:
            return refusals(sender, claims, verdicts, {})
        now = time.monotonic()
        known = {device: self._cache[device] for device in wanted if device in self._cache}
        histories = {device: history for device, (at, history) in known.items() if now - at < self._options.fresh_s}
        cached = set(histories)
        if cached != wanted:
            histories |= await self._load_or_recall(wanted - cached)
        found = refusals(sender, claims, verdicts, histories)
        doubtful = cached & {claim.device_id for claim, places in claims.items() if not found.keys().isdisjoint(places)}
        if not doubtful:
            return found
        for device_id in doubtful:
            histories.pop(device_id, None)
        histories |= await self.load(doubtful)
        return refusals(sender, claims, verdicts, histories)

    async def load(self, device_ids: Iterable[str]) -> dict[str, DeviceHistory]:
        """Return the histories as they are now."""
        began = time.monotonic()
        async with self._db.read() as uow:
            found = await self._drivers.assignments(uow, sorted(device_ids))
        for device_id, history in found.items():
            self._cache[device_id] = began, history
        return found

    async def _load_or_recall(self, device_ids: Collection[str]) -> dict[str, DeviceHistory]:
        try:
            return await self.load(device_ids)
        except Exception as error:
            oldest = time.monotonic() - self._options.stale_s
            known = {device: self._cache[device] for device in device_ids if device in self._cache}
            recalled = {device: history for device, (at, history) in known.items() if at >= oldest}
            if not faults.is_transient(error) or len(recalled) < len(device_ids):
                raise
            log.warning("device_histories_recalled", error=type(error).__name__)
            return recalled


def claims_of(verdicts: Verdicts) -> dict[Claim, Sequence[int]]:
    """Return the distinct claims of the events that are not refused yet, and their places."""
    named, devices = verdicts.named, verdicts.devices
    places: Sequence[int] = range(len(named))
    if verdicts.refused:
        places = [place for place in places if place not in verdicts.refused]
    if not places:
        return {}
    if len(devices) == 1 and named.count(named[0]) == len(named):  # nearly always
        return {Claim(devices[0], named[0]): places}
    claims: dict[Claim, list[int]] = {}
    columns = verdicts.judged.columns
    codes = columns.device[verdicts.start : verdicts.end].tolist()
    for place in places:
        claims.setdefault(Claim(columns.devices[codes[place]], named[place]), []).append(place)
    return dict(claims)


def refusals(
    sender: DevicePrincipal,
    claims: Mapping[Claim, Sequence[int]],
    verdicts: Verdicts,
    histories: Mapping[str, DeviceHistory],
) -> dict[int, Reason]:
    """Return what of the claims this sender may not make. Pure."""
    found: dict[int, Reason] = {}
    for claim, places in claims.items():
        if sender.device_id is not None and claim.device_id != sender.device_id:
            found |= dict.fromkeys(places, _FOREIGN)
        elif _needs_history(sender, claim):
            found |= _by_history(sender, claim, places, verdicts, histories.get(claim.device_id))
    return found


def _needs_history(sender: DevicePrincipal, claim: Claim) -> bool:
    return sender.device_id is None or (claim.named is not None and claim.device_id == sender.device_id)


def _by_history(
    sender: DevicePrincipal, claim: Claim, places: Sequence[int], verdicts: Verdicts, history: DeviceHistory | None
) -> dict[int, Reason]:
    if history is None:
        reason = _verdict(sender, claim.named, None)
        return dict.fromkeys(places, reason) if reason else {}
    times = verdicts.t_us[list(places)]
    first, last = history.at(int(times.min())), history.at(int(times.max()))
    if first is not None and first is last:  # one driver had it all the time
        reason = _verdict(sender, claim.named, first.driver_id)
        return dict.fromkeys(places, reason) if reason else {}
    found: dict[int, Reason] = {}
    for place, t_us in zip(places, times.tolist(), strict=True):
        assignment = history.at(t_us)
        reason = _verdict(sender, claim.named, assignment.driver_id if assignment else None)
        if reason:
            found[place] = reason
    return found


def _verdict(sender: DevicePrincipal, named: str | None, driver_id: str | None) -> Reason | None:
    if sender.device_id is None and driver_id != sender.driver_id:
        return _FOREIGN
    return _MISMATCH if named is not None and named != driver_id else None
