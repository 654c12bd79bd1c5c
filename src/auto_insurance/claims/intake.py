"""How claims come in: reported by people, drafted when a device crashes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec
import structlog

from auto_insurance.claims import repository
from auto_insurance.claims.announcing import announce
from auto_insurance.claims.cover import CoverSource
from auto_insurance.claims.errors import ClaimNotEditable, ClaimVehicleUnknown, LossTimeWrong
from auto_insurance.claims.freezing import Freezer
from auto_insurance.claims.lifecycle import Status
from auto_insurance.claims.records import new_claim, note_move, own, place_fields, with_cover
from auto_insurance.claims.repository import ClaimRow
from auto_insurance.claims.schemas import ClaimIn, ClaimPatch, ClaimSource
from auto_insurance.contracts.alerts import CrashReported
from auto_insurance.drivers.schemas import DriverFacts, VehicleView
from auto_insurance.identity import policy
from auto_insurance.identity.policy import Action
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock

log = structlog.get_logger(__name__)
SAME_CRASH = timedelta(minutes=10)
"""Crash events of a driver this near to each other are one crash: devices send several, and send them again."""
AHEAD = timedelta(minutes=10)
OLDEST = timedelta(days=3660)
MAX_VEHICLES = 100


class Drivers(Protocol):
    """What is needed of the drivers service. ``facts`` raises an error of kind not_found."""

    async def facts(self, uow: UnitOfWork, driver_id: str) -> DriverFacts: ...

    async def exists(self, uow: UnitOfWork, driver_id: str) -> bool: ...

    async def vehicles(
        self, uow: UnitOfWork, driver_id: str, *, limit: int = 20, offset: int = 0
    ) -> tuple[Sequence[VehicleView], int]: ...


class ClaimIntake:
    """Opens claims."""

    def __init__(self, drivers: Drivers, cover: CoverSource, freezer: Freezer) -> None:
        self._drivers = drivers
        self._cover = cover
        self._freezer = freezer

    async def report(self, uow: UnitOfWork, driver_id: str, notice: ClaimIn, by: Principal) -> ClaimRow:
        """Take a first notice of loss; it completes the draft of a crash at that time, if there is one.

        Raises ``LossTimeWrong``, ``ClaimVehicleUnknown``, and for an unknown driver an error of kind not_found.
        """
        facts = await self._drivers.facts(uow, driver_id)
        _check_time(notice.occurred_at)
        await self._check_vehicle(uow, driver_id, notice.vehicle_id)
        await repository.lock_driver(uow, driver_id)
        now, source = clock.now(), source_of(by)
        said: dict[str, Any] = {
            **notice.model_dump(include={"vehicle_id", "description", "injuries", "others_involved"}),
            **place_fields(notice.place),
            "coverage": notice.coverage.value,
            "status": Status.REPORTED.value,
            "reported_at": now,
            "updated_at": now,
            "counts": True,
        }
        draft = await self._near(uow, driver_id, notice.occurred_at)
        if draft is not None and draft.status == Status.DRAFT:
            claim, before = msgspec.structs.replace(draft, **said), Status.DRAFT
        else:
            zone = notice.time_zone or facts.time_zone
            opened = {"driver_id": driver_id, "occurred_at": notice.occurred_at, "time_zone": zone}
            claim, before = await new_claim(uow, source=source, created_by=by.user_id, **opened, **said), None
            await repository.add_claim(uow, claim)
        claim = await with_cover(uow, self._cover, claim)
        await note_move(uow, claim, before, source.value, by.user_id)
        await self._freezer.freeze(uow, claim, "reported")
        log.info("claim_reported", claim_id=claim.claim_id, source=source.value)
        return await announce(uow, claim, before)

    async def draft_of_crash(self, uow: UnitOfWork, crash: CrashReported) -> ClaimRow | None:
        """Open a draft for a crash that a device reported; None if the crash has a claim or the driver is gone."""
        if not await self._drivers.exists(uow, crash.driver_id):
            log.info("crash_without_driver")
            return None
        await repository.lock_driver(uow, crash.driver_id)
        known = await self._near(uow, crash.driver_id, crash.occurred_at)
        if known is not None:
            if known.status != Status.WITHDRAWN:
                await self._freezer.freeze(uow, known, "late_events")
            return None
        facts = await self._drivers.facts(uow, crash.driver_id)
        claim = await new_claim(
            uow,
            source=ClaimSource.DEVICE,
            driver_id=crash.driver_id,
            vehicle_id=None,
            occurred_at=crash.occurred_at,
            time_zone=facts.time_zone,
            crash_device_id=crash.device_id,
            crash_event_id=crash.event_id,
            status=Status.DRAFT.value,
        )
        if not await repository.add_claim(uow, claim):
            return None
        await note_move(uow, claim, None, ClaimSource.DEVICE.value, None)
        await self._freezer.freeze(uow, claim, "crash")
        log.info("claim_drafted", claim_id=claim.claim_id)
        return await announce(uow, claim, None)

    async def edit(self, uow: UnitOfWork, claim_id: str, change: ClaimPatch, by: Principal) -> ClaimRow:
        """Change those fields of a draft that were sent.

        Raises ``ClaimNotFound``, ``ClaimNotEditable``, ``ClaimVehicleUnknown``.
        """
        claim = own(await repository.get_claim(uow, claim_id, lock=True), by, Action.REPORT_CLAIMS)
        if claim.status != Status.DRAFT:
            raise ClaimNotEditable
        await self._check_vehicle(uow, claim.driver_id, change.vehicle_id)
        sent = change.model_dump(include=change.model_fields_set, exclude={"place"}, mode="json")
        if "place" in change.model_fields_set:
            sent |= place_fields(change.place)
        sent = {name: value for name, value in sent.items() if value is not None or name not in _NEVER_NULL}
        claim = msgspec.structs.replace(claim, **sent, updated_at=clock.now())
        await repository.save_claim(uow, claim)
        uow.note("claim", claim_id, changed=sorted(sent))
        return claim

    @staticmethod
    async def _near(uow: UnitOfWork, driver_id: str, at: datetime) -> ClaimRow | None:
        """Return the claim of a crash at about this time, locked."""
        found = await repository.claim_near(uow, driver_id, at - SAME_CRASH, at + SAME_CRASH)
        return None if found is None else await repository.get_claim(uow, found, lock=True)

    async def _check_vehicle(self, uow: UnitOfWork, driver_id: str, vehicle_id: str | None) -> None:
        if vehicle_id is None:
            return
        views, _ = await self._drivers.vehicles(uow, driver_id, limit=MAX_VEHICLES)
        if vehicle_id not in {view.vehicle_id for view in views}:
            raise ClaimVehicleUnknown


_NEVER_NULL = frozenset({"injuries", "others_involved"})


def source_of(by: Principal) -> ClaimSource:
    """Return from whom a first notice comes."""
    return ClaimSource.STAFF if policy.acts_for_others(by, Action.REPORT_CLAIMS) else ClaimSource.DRIVER


def _check_time(at: datetime) -> None:
    now = clock.now()
    if at > now + AHEAD:
        raise LossTimeWrong("The loss lies in the future.")
    if at < now - OLDEST:
        raise LossTimeWrong("The loss is more than ten years ago.")
