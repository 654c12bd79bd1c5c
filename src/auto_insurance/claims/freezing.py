"""Freezes telemetry around losses and checks what was frozen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from auto_insurance.claims import evidence, repository_evidence
from auto_insurance.claims.evidence import Window
from auto_insurance.claims.repository import ClaimRow
from auto_insurance.claims.repository_evidence import EvidenceRow
from auto_insurance.claims.schemas import EvidenceCheck, SourceState, VerifiedVersion
from auto_insurance.drivers.schemas import DeviceView
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.telematics.columns import Columns
from auto_insurance.telematics.schemas import Sample

log = structlog.get_logger(__name__)
MAX_DEVICES = 100
_LAST = timedelta(microseconds=1)
"""Windows are closed, the telemetry is read half-open."""
_EVER = datetime(9999, 1, 1, tzinfo=UTC)


class Telemetry(Protocol):
    """What is needed of the telematics service."""

    async def known_at(
        self,
        uow: UnitOfWork,
        device_id: str,
        drivers: Collection[str],
        start: datetime,
        end: datetime,
        known: datetime,
    ) -> Columns: ...


class Devices(Protocol):
    """What is needed of the drivers service."""

    async def devices(
        self, uow: UnitOfWork, driver_id: str, *, limit: int = 20, offset: int = 0
    ) -> tuple[Sequence[DeviceView], int]: ...


class Freezer:
    """Keeps the evidence of claims; the only writer of its table."""

    def __init__(self, telemetry: Telemetry, drivers: Devices) -> None:
        self._telemetry = telemetry
        self._drivers = drivers

    async def freeze(self, uow: UnitOfWork, claim: ClaimRow, reason: str) -> EvidenceRow | None:
        """Freeze what is stored around a claim's loss; None, and nothing done, if the newest version has it already.

        The claim must be locked. Versions before stay as they are. Raises ``ArchiveDamaged``.
        """
        window = evidence.window_of(claim.occurred_at)
        versions = await repository_evidence.versions_of(uow, claim.claim_id)
        content = await self._content(uow, claim, window)
        last = versions[-1] if versions else None
        if last is not None and _source([last], content) is SourceState.SAME:
            return None
        version = 1 if last is None else last.version + 1
        events = evidence.events_of(content)
        row = EvidenceRow(
            claim_id=claim.claim_id,
            version=version,
            window_start=window.start,
            window_end=window.end,
            devices=sorted({event["device_id"] for event in events}),
            event_count=len(events),
            content=content,
            checksum=evidence.checksum(
                claim.claim_id, version, window, None if last is None else last.checksum, content
            ),
            reason=reason,
            frozen_at=clock.now(),
        )
        await repository_evidence.add_evidence(uow, row)
        log.info("claim_evidence_frozen", claim_id=claim.claim_id, version=version, events=len(events))
        return row

    async def check(self, uow: UnitOfWork, claim: ClaimRow) -> EvidenceCheck:
        """Compare each version with its checksum, and the newest with what is stored now. Raises ``ArchiveDamaged``."""
        versions = await repository_evidence.versions_of(uow, claim.claim_id)
        verified = verify(versions)
        window = evidence.window_of(claim.occurred_at)
        now = await self._content(uow, claim, window)
        return EvidenceCheck(
            claim_id=claim.claim_id,
            intact=whole(verified),
            versions=verified,
            source=_source(versions, now),
            checked_at=clock.now(),
        )

    async def _content(self, uow: UnitOfWork, claim: ClaimRow, window: Window) -> bytes:
        samples: list[Sample] = []
        end = window.end + _LAST
        for device_id in await self._devices_of(uow, claim):
            found = await self._telemetry.known_at(uow, device_id, [claim.driver_id], window.start, end, _EVER)
            # A device that changed hands within the window was somebody else's for a part of it.
            samples += [sample for sample in found.samples() if sample.driver_id == claim.driver_id]
        return evidence.canonical(samples)

    async def _devices_of(self, uow: UnitOfWork, claim: ClaimRow) -> list[str]:
        """Return the devices that the driver had around the loss, in the claimed vehicle or in no stated one."""
        views, _ = await self._drivers.devices(uow, claim.driver_id, limit=MAX_DEVICES)
        window = evidence.window_of(claim.occurred_at)
        found = {
            view.device_id
            for view in views
            if view.assigned_from <= window.end
            and (view.assigned_to is None or view.assigned_to > window.start)
            and (claim.vehicle_id is None or view.vehicle_id in {None, claim.vehicle_id})
        }
        return sorted(found if claim.crash_device_id is None else found | {claim.crash_device_id})


def verify(versions: Sequence[EvidenceRow]) -> list[VerifiedVersion]:
    """Tell of each version whether content, window, number and the version before are those that were frozen."""
    found: list[VerifiedVersion] = []
    before: str | None = None
    for row in versions:
        window = Window(row.window_start, row.window_end)
        expected = evidence.checksum(row.claim_id, row.version, window, before, row.content)
        found.append(VerifiedVersion(version=row.version, checksum=row.checksum, intact=expected == row.checksum))
        before = row.checksum
    return found


def whole(versions: Sequence[VerifiedVersion]) -> bool:
    """Tell whether all versions are intact and none is missing."""
    numbers = [one.version for one in versions]
    return numbers == list(range(1, len(numbers) + 1)) and all(one.intact for one in versions)


def _source(versions: Sequence[EvidenceRow], now: bytes) -> SourceState:
    if not versions:
        return SourceState.SAME if not evidence.events_of(now) else SourceState.MORE
    try:
        newest = versions[-1].content
        if evidence.same_events(newest, now):
            return SourceState.SAME
        return SourceState.MORE if evidence.contains(now, newest) else SourceState.DIFFERENT
    except (ValueError, KeyError, TypeError):
        # Content that was tampered with need not be readable.
        return SourceState.DIFFERENT
