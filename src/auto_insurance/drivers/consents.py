"""Use cases of consents. A decision holds from the commit on: gates ask the database, not a copy."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

import structlog

from auto_insurance.drivers import repository, repository_consents
from auto_insurance.drivers.consent_texts import PurposeText, purposes
from auto_insurance.drivers.errors import ConsentRefused, DriverNotFound, ErasurePending
from auto_insurance.drivers.repository_consents import ConsentRow
from auto_insurance.drivers.schemas import DriverStatus, Purpose
from auto_insurance.drivers.schemas_consents import Consents, ConsentsChange, ConsentView
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock

log = structlog.get_logger(__name__)


class ConsentService:
    """Records decisions and answers what is allowed."""

    async def allowed(self, uow: UnitOfWork, driver_id: str, purpose: Purpose) -> bool:
        """Return whether a purpose is allowed for a driver now."""
        return not await self.withheld(uow, [driver_id], purpose)

    async def withheld(self, uow: UnitOfWork, driver_ids: Collection[str], purpose: Purpose) -> frozenset[str]:
        """Return those of the drivers for whom a purpose is not allowed now, in one query."""
        if not driver_ids:
            return frozenset()
        found = await repository_consents.decided(uow, driver_ids, purpose.value)
        default = purposes()[purpose.value].granted
        return frozenset(name for name in driver_ids if not found.get(name, default))

    async def consents(self, uow: UnitOfWork, driver_id: str) -> Consents:
        """Return all purposes with what was decided. Raises ``DriverNotFound``."""
        if not await repository.existing(uow, [driver_id]):
            raise DriverNotFound
        found = await repository_consents.latest_consents(uow, driver_id)
        views = [_view(text, found.get(code)) for code, text in purposes().items()]
        return Consents(driver_id=driver_id, consents=views)

    async def decide(
        self, uow: UnitOfWork, driver_id: str, change: ConsentsChange, *, decided_by: UUID, source: str
    ) -> Consents:
        """Record decisions. What is decided already on the same text is not recorded again.

        Raises ``DriverNotFound``, ``ConsentRefused``, and ``ErasurePending`` for a grant after erasure was asked for.
        """
        driver = await repository.get_driver(uow, driver_id, lock=True)
        if driver is None:
            raise DriverNotFound
        if driver.status is not DriverStatus.ACTIVE and any(one.granted for one in change.consents):
            raise ErasurePending
        before = await repository_consents.latest_consents(uow, driver_id)
        rows = self._rows(driver_id, change, before, decided_by, source)
        if rows:
            await repository_consents.add_consents(uow, rows)
        for row in rows:
            if row.purpose == Purpose.TELEMATICS:
                await repository_consents.set_withheld(uow, driver_id, not row.granted)
            log.info("consent_decided", driver_id=driver_id, purpose=row.purpose, granted=row.granted)
        return await self.consents(uow, driver_id)

    async def record_defaults(self, uow: UnitOfWork, driver_id: str) -> None:
        """Record what holds from enrolment on."""
        now = clock.now()
        rows = [
            ConsentRow(
                driver_id=driver_id,
                purpose=text.code,
                seq=1,
                granted=text.granted,
                version=text.version,
                basis=text.basis,
                source="enrolment",
                decided_by=None,
                decided_at=now,
            )
            for text in purposes().values()
        ]
        await repository_consents.add_consents(uow, rows)

    def _rows(
        self,
        driver_id: str,
        change: ConsentsChange,
        before: dict[str, ConsentRow],
        decided_by: UUID,
        source: str,
    ) -> Sequence[ConsentRow]:
        rows: dict[str, ConsentRow] = {}
        for place, one in enumerate(change.consents):
            text = purposes().get(one.purpose)
            where = f"consents.{place}"
            if text is None:
                known = ", ".join(purposes())
                raise ConsentRefused(f"{where}.purpose", f"There is no purpose {one.purpose!r}, only: {known}.")
            if one.purpose in rows:
                raise ConsentRefused(f"{where}.purpose", "One decision per purpose.")
            if one.granted and one.version != text.version:
                raise ConsentRefused(f"{where}.version", f"To grant it, name the text's version, {text.version}.")
            last = before.get(one.purpose)
            if last is not None and (last.granted, last.version) == (one.granted, text.version):
                continue
            rows[one.purpose] = ConsentRow(
                driver_id=driver_id,
                purpose=one.purpose,
                seq=1 if last is None else last.seq + 1,
                granted=one.granted,
                version=text.version,
                basis=text.basis,
                source=source,
                decided_by=decided_by,
                decided_at=clock.now(),
            )
        return list(rows.values())


def _view(text: PurposeText, row: ConsentRow | None) -> ConsentView:
    return ConsentView(
        purpose=text.code,
        title=text.title,
        text=text.text,
        version=text.version,
        basis=text.basis,
        granted=text.granted if row is None else row.granted,
        granted_version=None if row is None else row.version,
        decided_at=None if row is None else row.decided_at,
        source=None if row is None else row.source,
        without=text.without,
    )
