"""What staff do to drivers, vehicles and devices beside what drivers' own routes do."""

from __future__ import annotations

from collections.abc import Collection

import structlog

from auto_insurance.drivers import repository, repository_desk, repository_devices
from auto_insurance.drivers.errors import DeviceNotFound, DriverNotFound, VehicleInUse, VehicleNotFound, VinTaken
from auto_insurance.drivers.schemas import DriverChange, DriverView, VehicleChange, VehicleView
from auto_insurance.identity.service import DeviceKeyService
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.kernel.errors import FieldError, InvalidInput

log = structlog.get_logger(__name__)


class DriverDesk:
    """Use cases of staff."""

    def __init__(self, keys: DeviceKeyService) -> None:
        self._keys = keys

    async def change(self, uow: UnitOfWork, driver_id: str, change: DriverChange) -> DriverView:
        """Change facts, contact fields and whether the driver is in service. Raises ``DriverNotFound``.

        What is charged does not move with the facts: an endorsement or a recalculation does that.
        """
        before = await repository.get_driver(uow, driver_id, lock=True)
        if before is None:
            raise DriverNotFound
        values = change.model_dump(include=change.model_fields_set - {"is_active"})
        born, licensed = (values.get(name, getattr(before, name)) for name in ("date_of_birth", "licence_date"))
        if born is not None and licensed is not None and licensed <= born:
            message = "licence_date must be after date_of_birth"
            raise InvalidInput(message, errors=[FieldError("body.licence_date", "invalid_input", message)])
        if change.coverage is not None:
            values["coverage"] = change.coverage.value
        if change.is_active is not None:
            values["deactivated_at"] = None if change.is_active else before.deactivated_at or clock.now()
        if values:
            await repository.update_driver(uow, driver_id, values)
        found = await repository.get_driver(uow, driver_id)
        if found is None:
            raise DriverNotFound
        return found

    async def deactivate(self, uow: UnitOfWork, driver_ids: Collection[str]) -> frozenset[str]:
        """Take drivers out of service: nothing new is linked to them. Returns those that were in service."""
        if not driver_ids:
            return frozenset()
        gone = await repository_desk.deactivate(uow, driver_ids, clock.now())
        log.info("drivers_deactivated", count=len(gone))
        return gone

    async def vehicle(self, uow: UnitOfWork, vehicle_id: str) -> VehicleView:
        """Return a vehicle. Raises ``VehicleNotFound``."""
        found = await repository_desk.get_vehicle(uow, vehicle_id)
        if found is None:
            raise VehicleNotFound
        return found

    async def change_vehicle(self, uow: UnitOfWork, vehicle_id: str, change: VehicleChange) -> VehicleView:
        """Change what is recorded of a vehicle. Raises ``VehicleNotFound`` and ``VinTaken``."""
        await self._locked_vehicle(uow, vehicle_id)
        if change.vin is not None and await repository_desk.vin_taken(uow, change.vin, vehicle_id):
            raise VinTaken
        values = change.model_dump(include=change.model_fields_set)
        if change.use is not None:
            values["use"] = change.use.value
        if values and not await repository_desk.update_vehicle(uow, vehicle_id, values):
            raise VinTaken
        return await self.vehicle(uow, vehicle_id)

    async def remove_vehicle(self, uow: UnitOfWork, vehicle_id: str) -> VehicleView:
        """Remove a vehicle that no device was ever in. Raises ``VehicleNotFound`` and ``VehicleInUse``."""
        vehicle = await self._locked_vehicle(uow, vehicle_id)
        if await repository_desk.had_device(uow, vehicle.driver_id, vehicle_id):
            raise VehicleInUse("a device is or was in it")
        await repository_desk.delete_vehicle(uow, vehicle_id)
        log.info("vehicle_removed", vehicle_id=vehicle_id, driver_id=vehicle.driver_id)
        return vehicle

    async def holder(self, uow: UnitOfWork, device_id: str) -> str:
        """Return the driver that a device is assigned to now or from an instant ahead. Raises ``DeviceNotFound``."""
        last = await repository_devices.last_assignment(uow, device_id)
        if last is None or last.valid_to is not None:
            raise DeviceNotFound
        return last.driver_id

    async def retire(self, uow: UnitOfWork, device_ids: Collection[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Take devices out of service: assignments and keys end now. Returns (retired now, were retired before)."""
        there = await repository_desk.lock_devices(uow, device_ids)
        before = frozenset(device_id for device_id, since in there.items() if since is not None)
        now = frozenset(there) - before
        if now:
            await repository_desk.retire_devices(uow, now)
            await self._keys.revoke_many(uow, now)
            log.info("devices_retired", count=len(now))
        return now, before

    @staticmethod
    async def _locked_vehicle(uow: UnitOfWork, vehicle_id: str) -> VehicleView:
        found = await repository_desk.get_vehicle(uow, vehicle_id, lock=True)
        if found is None:
            raise VehicleNotFound
        return found
