"""Use cases of drivers, their vehicles and devices; the only writer of these tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from auto_insurance.drivers import repository, repository_devices, repository_erasures
from auto_insurance.drivers.consents import ConsentService
from auto_insurance.drivers.desk import DriverDesk
from auto_insurance.drivers.erasures import ErasureDesk
from auto_insurance.drivers.errors import (
    AssignmentConflict,
    DeviceNotFound,
    DriverDeactivated,
    DriverNotFound,
    ErasurePending,
    VehicleNotOfDriver,
    VinTaken,
)
from auto_insurance.drivers.known_devices import KnownDevices
from auto_insurance.drivers.precision import Precision
from auto_insurance.drivers.schemas import (
    ContactUpdate,
    DeviceAssign,
    DeviceHistory,
    DeviceView,
    DriverCreate,
    DriverFacts,
    DriverStatus,
    DriverView,
    ErasureView,
    KeyRotate,
    VehicleCreate,
    VehicleView,
)
from auto_insurance.identity.schemas import DeviceKey, IssuedKey, NewUser, Role
from auto_insurance.identity.service import DeviceKeyService, UserService
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock

__all__ = [
    "MAX_IDS",
    "ConsentService",
    "DriverDesk",
    "DriverOptions",
    "DriverService",
    "ErasureDesk",
    "KnownDevices",
    "Precision",
]
log = structlog.get_logger(__name__)
MAX_IDS = 1000
"""Most ids per call of the set-based reads over HTTP; in-process callers may ask for more at once."""
_ID_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class DriverOptions:
    """Defaults and tolerances."""

    time_zone: str = "America/New_York"
    """Of a driver enrolled without one (IANA)."""
    handover_backdate: timedelta = timedelta(minutes=5)
    """A hand-over may lie this far back: further, and events stored already would have been somebody else's."""


class DriverService:
    """Use cases of drivers."""

    def __init__(self, users: UserService, keys: DeviceKeyService, options: DriverOptions | None = None) -> None:
        self._users = users
        self._keys = keys
        self._options = options or DriverOptions()
        self._consents = ConsentService()

    # --- for other domains: set-based, one query each ---

    async def assignments(self, uow: UnitOfWork, device_ids: Collection[str]) -> dict[str, DeviceHistory]:
        """Return whose each device was, when; unknown devices are absent."""
        return await repository_devices.histories(uow, device_ids) if device_ids else {}

    async def histories_of(self, uow: UnitOfWork, driver_id: str) -> dict[str, DeviceHistory]:
        """Return whose each device was, when, of the devices that are or were a driver's."""
        return await self.assignments(uow, await repository_devices.devices_of(uow, driver_id))

    async def withheld_devices(self, uow: UnitOfWork, limit: int) -> frozenset[str]:
        """Return the devices, at most ``limit``, of drivers who do not allow telemetry now."""
        return await repository_devices.withheld_devices(uow, limit)

    def known_devices(self) -> KnownDevices:
        """Return a memory of assignments for one consumer: the same answers, without reading each device each time."""
        return KnownDevices()

    async def facts(self, uow: UnitOfWork, driver_id: str) -> DriverFacts:
        """Return a driver's facts. Raises ``DriverNotFound``."""
        found = await repository.facts_many(uow, [driver_id])
        if driver_id not in found:
            raise DriverNotFound
        return found[driver_id]

    async def facts_many(self, uow: UnitOfWork, driver_ids: Collection[str]) -> dict[str, DriverFacts]:
        """Return the facts of those drivers that exist."""
        return await repository.facts_many(uow, driver_ids) if driver_ids else {}

    async def exists(self, uow: UnitOfWork, driver_id: str) -> bool:
        """Return whether there is such a driver."""
        return bool(await repository.existing(uow, [driver_id]))

    async def existing(self, uow: UnitOfWork, driver_ids: Collection[str]) -> frozenset[str]:
        """Return those of the ids that are drivers."""
        return await repository.existing(uow, driver_ids) if driver_ids else frozenset()

    async def driver_ids(self, uow: UnitOfWork, *, after: str = "", limit: int = MAX_IDS) -> list[str]:
        """Return up to ``limit`` ids in order, from past ``after`` on: walk a book of any size in bounded steps."""
        return await repository.ids_after(uow, after, limit)

    async def count(self, uow: UnitOfWork) -> int:
        """Return how many drivers there are."""
        return await repository.count_drivers(uow)

    # --- drivers ---

    async def create(self, uow: UnitOfWork, new: DriverCreate) -> DriverView:
        """Enrol a driver, with vehicle and login if given, in one transaction.

        Raises ``UserExists``, ``WeakPassword``, ``VinTaken``.
        """
        values = self._values(new)
        for _ in range(_ID_ATTEMPTS):
            driver_id = await repository.next_driver_id(uow)
            if await repository.insert_driver(uow, driver_id, values):
                break
        else:
            raise RuntimeError("no free driver id")
        await self._consents.record_defaults(uow, driver_id)
        uow.note("driver", driver_id, created="driver")
        if new.vehicle is not None:
            await self.add_vehicle(uow, driver_id, new.vehicle)
        if new.login is not None:
            user = NewUser(
                username=new.login.username,
                email=new.login.email,
                roles=frozenset({Role.DRIVER}),
                driver_id=driver_id,
            )
            await self._users.create(uow, user, new.login.password.get_secret_value())
        log.info("driver_enrolled", driver_id=driver_id)
        return await self.get(uow, driver_id)

    async def ensure_driver(self, uow: UnitOfWork, number: int, new: DriverCreate) -> DriverView:
        """Return driver ``number`` (1 is DRV001), enrolled if there is none yet; an existing one stays as it is.

        For demo data. ``new.login`` is ignored: see ``UserService.ensure_user``.
        """
        driver_id = f"DRV{number:03d}"
        if await repository.insert_driver(uow, driver_id, self._values(new)):
            await repository.reserve_driver_number(uow, number)
            await self._consents.record_defaults(uow, driver_id)
            if new.vehicle is not None:
                await self.add_vehicle(uow, driver_id, new.vehicle)
        return await self.get(uow, driver_id)

    async def get(self, uow: UnitOfWork, driver_id: str) -> DriverView:
        """Return a driver. Raises ``DriverNotFound``."""
        view = await repository.get_driver(uow, driver_id)
        if view is None:
            raise DriverNotFound
        return view

    async def get_many(self, uow: UnitOfWork, driver_ids: Collection[str]) -> dict[str, DriverView]:
        """Return those of the drivers that exist; one statement."""
        return await repository.get_drivers(uow, driver_ids) if driver_ids else {}

    async def update_contact(self, uow: UnitOfWork, driver_id: str, change: ContactUpdate) -> DriverView:
        """Change those contact fields that were sent. Raises ``DriverNotFound``."""
        await self._locked(uow, driver_id)
        values = change.model_dump(include=change.model_fields_set)
        if values:
            await repository.update_driver(uow, driver_id, values)
            uow.note("driver", driver_id, changed=sorted(values))
        return await self.get(uow, driver_id)

    async def request_erasure(self, uow: UnitOfWork, driver_id: str, requested_by: UUID) -> ErasureView:
        """Record the wish to be erased; asking again returns the same request. Raises ``DriverNotFound``."""
        await self._locked(uow, driver_id)
        pending = await repository_erasures.open_erasure(uow, driver_id)
        if pending is not None:
            return pending
        await repository.update_driver(uow, driver_id, {"status": DriverStatus.ERASURE_REQUESTED.value})
        log.info("erasure_requested", driver_id=driver_id)
        return await repository_erasures.insert_erasure(uow, driver_id, requested_by)

    # --- vehicles ---

    async def add_vehicle(self, uow: UnitOfWork, driver_id: str, new: VehicleCreate) -> VehicleView:
        """Add a vehicle. Raises ``DriverNotFound``, ``ErasurePending``, ``DriverDeactivated``, ``VinTaken``."""
        await self._linkable(uow, driver_id)
        view = await repository.insert_vehicle(uow, driver_id, new)
        if view is None:
            raise VinTaken
        uow.note("vehicle", view.vehicle_id)
        return view

    async def vehicles(
        self, uow: UnitOfWork, driver_id: str, *, limit: int = 20, offset: int = 0
    ) -> tuple[Sequence[VehicleView], int]:
        """Return a page of vehicles, newest first, and their number. Raises ``DriverNotFound``."""
        await self.get(uow, driver_id)
        return await repository.list_vehicles(uow, driver_id, limit, offset)

    # --- devices ---

    async def assign_device(
        self, uow: UnitOfWork, driver_id: str, wanted: DeviceAssign, *, backdated: bool = False
    ) -> IssuedKey:
        """Give a driver a device, new or from somebody else, and return its new key.

        Events before ``effective_from`` stay whose they were, and the device's old keys end only then. A hand-over that
        lies further back than the tolerance is refused, unless ``backdated`` says that no events are stored yet.
        Raises ``DriverNotFound``, ``ErasurePending``, ``DriverDeactivated``, ``VehicleNotOfDriver``,
        ``AssignmentConflict``.
        """
        await self._linkable(uow, driver_id)
        if wanted.vehicle_id is not None and not await repository.owns_vehicle(uow, driver_id, wanted.vehicle_id):
            raise VehicleNotOfDriver
        device_id = wanted.device_id or await self._free_device_id(uow, wanted)
        is_new = await repository_devices.upsert_device(uow, device_id, wanted.kind.value)
        effective_from = wanted.effective_from or clock.now()
        if not is_new:
            await self._end_before(uow, device_id, effective_from, backdated=backdated)
        await repository_devices.insert_assignment(uow, device_id, driver_id, wanted.vehicle_id, effective_from)
        await self._keys.revoke(uow, device_id, at=max(effective_from, clock.now()))
        uow.note("device", device_id, assigned_from=effective_from, scopes=sorted(wanted.scopes))
        log.info("device_assigned", device_id=device_id, driver_id=driver_id, is_new=is_new)
        return await self._keys.issue(uow, device_id, wanted.scopes)

    async def devices(
        self, uow: UnitOfWork, driver_id: str, *, limit: int = 20, offset: int = 0
    ) -> tuple[Sequence[DeviceView], int]:
        """Return a page of the devices that are or were the driver's, newest first. Raises ``DriverNotFound``."""
        await self.get(uow, driver_id)
        found, total = await repository_devices.list_devices(uow, driver_id, limit, offset)
        now = clock.now()
        current = [view.device_id for view in found if view.assigned_to is None or view.assigned_to > now]
        keys = await self._keys.facts(uow, current)
        for view in found:
            key = keys.get(view.device_id)
            if key is not None and (view.assigned_to is None or view.assigned_to > now):
                view.scopes = sorted(key.scopes)
                view.last_used_at = key.last_used_at
        return found, total

    async def rotate_key(self, uow: UnitOfWork, driver_id: str, device_id: str, change: KeyRotate) -> IssuedKey:
        """Give the driver's device a new key in place of the old. Raises ``DeviceNotFound``."""
        await self._own_device(uow, driver_id, device_id)
        return await self._keys.rotate(uow, device_id, change.scopes, grace_s=change.grace_s)

    async def device_keys(
        self, uow: UnitOfWork, driver_id: str, device_id: str, *, limit: int = 20, offset: int = 0
    ) -> tuple[Sequence[DeviceKey], int]:
        """Return a page of the keys of a device that is the driver's, newest first. Raises ``DeviceNotFound``."""
        await self._own_device(uow, driver_id, device_id)
        return await self._keys.listed(uow, device_id, limit=limit, offset=offset)

    async def retire_device(self, uow: UnitOfWork, driver_id: str, device_id: str) -> None:
        """Take the driver's device out of service: its keys and its assignment end now. Raises ``DeviceNotFound``."""
        assignment_id = await self._own_device(uow, driver_id, device_id)
        await repository_devices.end_assignment(uow, assignment_id, clock.now())
        await repository_devices.retire_device(uow, device_id)
        await self._keys.revoke(uow, device_id)
        log.info("device_retired", device_id=device_id, driver_id=driver_id)

    # --- inner ---

    def _values(self, new: DriverCreate) -> dict[str, object]:
        facts = new.model_dump(exclude={"contact", "vehicle", "login"}, mode="python")
        facts["coverage"] = new.coverage.value
        facts["time_zone"] = new.time_zone or self._options.time_zone
        return facts | new.contact.model_dump()

    async def _locked(self, uow: UnitOfWork, driver_id: str) -> DriverView:
        view = await repository.get_driver(uow, driver_id, lock=True)
        if view is None:
            raise DriverNotFound
        return view

    async def _linkable(self, uow: UnitOfWork, driver_id: str) -> None:
        driver = await self._locked(uow, driver_id)
        if driver.status is not DriverStatus.ACTIVE:
            raise ErasurePending
        if driver.deactivated_at is not None:
            raise DriverDeactivated

    async def _free_device_id(self, uow: UnitOfWork, wanted: DeviceAssign) -> str:
        for _ in range(_ID_ATTEMPTS):
            device_id = await repository_devices.new_device_id(uow)
            if await repository_devices.upsert_device(uow, device_id, wanted.kind.value):
                return device_id
        raise RuntimeError("no free device id")

    async def _end_before(self, uow: UnitOfWork, device_id: str, effective_from: datetime, *, backdated: bool) -> None:
        last = await repository_devices.last_assignment(uow, device_id)
        if last is None:
            return
        if effective_from <= last.valid_from or (last.valid_to is not None and effective_from < last.valid_to):
            raise AssignmentConflict("The device is assigned from then on or later already.")
        if not backdated and effective_from < clock.now() - self._options.handover_backdate:
            raise AssignmentConflict("A hand-over must not lie in the past: the events since then are somebody's.")
        if last.valid_to is None:
            await repository_devices.end_assignment(uow, last.assignment_id, effective_from)

    async def _own_device(self, uow: UnitOfWork, driver_id: str, device_id: str) -> int:
        """Lock a device and return the id of its assignment to the driver that holds now or is to come."""
        if not await repository_devices.lock_device(uow, device_id):
            raise DeviceNotFound
        last = await repository_devices.last_assignment(uow, device_id)
        if last is None or last.driver_id != driver_id or last.valid_to is not None:
            raise DeviceNotFound
        return last.assignment_id
