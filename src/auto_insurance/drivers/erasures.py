"""Erasure requests: who asked, what staff decided, and the doors that close when one is carried out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from auto_insurance.drivers import repository, repository_consents, repository_devices, repository_erasures
from auto_insurance.drivers.errors import ErasureClosed, ErasureNotFound
from auto_insurance.drivers.schemas import DriverStatus, ErasureRequest, ErasureView
from auto_insurance.identity.service import DeviceKeyService
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock

log = structlog.get_logger(__name__)


class ErasureDesk:
    """Keeps the requests and closes the doors. What is erased is told by ``privacy``."""

    def __init__(self, keys: DeviceKeyService) -> None:
        self._keys = keys

    async def requests(
        self, uow: UnitOfWork, status: str | None, *, limit: int, offset: int
    ) -> tuple[Sequence[ErasureRequest], int]:
        """Return a page of the requests, the oldest first, and how many there are."""
        return await repository_erasures.list_erasures(uow, status, limit, offset)

    async def get(self, uow: UnitOfWork, request_id: UUID) -> ErasureRequest:
        """Return a request. Raises ``ErasureNotFound``."""
        found = await repository_erasures.get_erasure(uow, request_id)
        if found is None:
            raise ErasureNotFound
        return found

    async def ask(self, uow: UnitOfWork, driver_id: str, *, source: str) -> ErasureView:
        """Record that a driver is to be erased, on nobody's word but the rules of retention."""
        pending = await repository_erasures.open_erasure(uow, driver_id)
        if pending is not None:
            return pending
        await repository.update_driver(uow, driver_id, {"status": DriverStatus.ERASURE_REQUESTED.value})
        return await repository_erasures.insert_erasure(uow, driver_id, None, source)

    async def current_devices(self, uow: UnitOfWork, driver_id: str) -> list[str]:
        """Return the devices that are the driver's now."""
        return await repository_devices.held_now(uow, driver_id)

    async def begin(
        self, uow: UnitOfWork, request_id: UUID, subject: Mapping[str, Any], *, decided_by: str
    ) -> ErasureRequest:
        """Close the doors: from the commit on nothing new comes in, neither by key nor through the log.

        The devices stay with the driver, so that what they still send is known and refused. A request that runs already
        stays as it is. Raises ``ErasureNotFound``, ``ErasureClosed``.
        """
        request = await self._open(uow, request_id)
        if request.status == "running":
            return request
        values = {"status": "running", "subject": dict(subject), "decided_by": decided_by, "started_at": clock.now()}
        await repository_erasures.update_erasure(uow, request_id, values)
        await repository_consents.set_withheld(uow, request.driver_id, True)
        for device_id in await repository_devices.held_now(uow, request.driver_id):
            await repository_devices.retire_device(uow, device_id)
            await self._keys.revoke(uow, device_id)
        log.info("erasure_begun", driver_id=request.driver_id)
        return await self.get(uow, request_id)

    async def refuse(self, uow: UnitOfWork, request_id: UUID, *, decided_by: str, note: str) -> ErasureRequest:
        """Decline a request, with the reason that the driver is told. Raises ``ErasureNotFound``, ``ErasureClosed``."""
        request = await self._open(uow, request_id)
        if request.status != "requested":
            raise ErasureClosed("The erasure is being carried out; that cannot be taken back.")
        values = {"status": "refused", "decided_by": decided_by, "note": note, "finished_at": clock.now()}
        await repository_erasures.update_erasure(uow, request_id, values)
        await repository.update_driver(uow, request.driver_id, {"status": DriverStatus.ACTIVE.value})
        return await self.get(uow, request_id)

    async def finish(self, uow: UnitOfWork, request_id: UUID) -> None:
        """Close a request whose erasure is proved."""
        values = {"status": "done", "finished_at": clock.now(), "subject": None}
        await repository_erasures.update_erasure(uow, request_id, values)

    async def subject(self, uow: UnitOfWork, request_id: UUID) -> dict[str, Any] | None:
        """Return the ids by which a running erasure finds its data, None before and after."""
        return await repository_erasures.subject_of(uow, request_id)

    async def erased_since(self, uow: UnitOfWork, since: datetime, *, limit: int) -> dict[UUID, str]:
        """Return the drivers, by request, of the latest erasures that were finished since; at most ``limit``."""
        rows = await repository_erasures.erased_since(uow, since, limit)
        return {row["request_id"]: row["driver_id"] for row in rows}

    async def _open(self, uow: UnitOfWork, request_id: UUID) -> ErasureRequest:
        found = await repository_erasures.get_erasure(uow, request_id, lock=True)
        if found is None:
            raise ErasureNotFound
        if found.status not in repository_erasures.OPEN:
            raise ErasureClosed(f"This request is {found.status}.")
        return found
