"""Routes of drivers, vehicles and devices."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path, status

from auto_insurance.drivers.schemas import (
    ContactUpdate,
    DeviceAssign,
    DeviceKeyFactsView,
    DeviceKeyView,
    DeviceRetired,
    DeviceView,
    DriverCreate,
    DriverView,
    EntityId,
    ErasureView,
    KeyRotate,
    VehicleCreate,
    VehicleView,
)
from auto_insurance.drivers.service import DriverService
from auto_insurance.identity.deps import AccessibleDriver, CurrentUser, driver_for, staff
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.policy import Action
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.infra.http.pagination import Page, PageParams

router = APIRouter(prefix="/drivers", tags=["drivers"])
_Drivers = Annotated[DriverService, service(DriverService)]
_Manager = Annotated[Principal, staff(Permission.MANAGE_DRIVERS)]
_DeviceManager = Annotated[Principal, staff(Permission.MANAGE_DEVICES)]
_Editable = Annotated[str, driver_for(Action.EDIT_CONTACT)]
_Erasable = Annotated[str, driver_for(Action.REQUEST_ERASURE)]
_DeviceId = Annotated[EntityId, Path(description="A device's id.", examples=["DEV001"])]


@router.post("", status_code=status.HTTP_201_CREATED, responses=problems(401, 403, 409, 422), summary="Enrol a driver")
async def create_driver(body: DriverCreate, admin: _Manager, drivers: _Drivers, uow: Tx) -> DriverView:
    """Create a driver, with a first vehicle and a login if given: all of it or nothing."""
    return await drivers.create(uow, body)


@router.get("/{driver_id}", responses=problems(401, 403, 404, 422), summary="A driver")
async def get_driver(driver_id: AccessibleDriver, drivers: _Drivers, uow: ReadTx) -> DriverView:
    """Return a driver's facts and contact fields."""
    return await drivers.get(uow, driver_id)


@router.patch("/{driver_id}", responses=problems(401, 403, 404, 422), summary="Change contact fields")
async def update_driver(driver_id: _Editable, body: ContactUpdate, drivers: _Drivers, uow: Tx) -> DriverView:
    """Change the contact fields that are sent; null clears one. Rating facts are changed by staff only."""
    return await drivers.update_contact(uow, driver_id, body)


@router.delete(
    "/{driver_id}",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(401, 403, 404, 422),
    summary="Ask for erasure",
)
async def request_erasure(driver_id: _Erasable, caller: CurrentUser, drivers: _Drivers, uow: Tx) -> ErasureView:
    """Record an erasure request, which staff carry out. Asking again returns the same request."""
    return await drivers.request_erasure(uow, driver_id, caller.user_id)


@router.get("/{driver_id}/vehicles", responses=problems(401, 403, 404, 422), summary="A driver's vehicles")
async def list_vehicles(
    driver_id: AccessibleDriver, page: PageParams, drivers: _Drivers, uow: ReadTx
) -> Page[VehicleView]:
    """List vehicles, newest first."""
    items, total = await drivers.vehicles(uow, driver_id, limit=page.limit, offset=page.offset)
    return Page.of(items, total, page)


@router.post(
    "/{driver_id}/vehicles",
    status_code=status.HTTP_201_CREATED,
    responses=problems(401, 403, 404, 409, 422),
    summary="Add a vehicle",
)
async def add_vehicle(
    admin: _Manager, driver_id: AccessibleDriver, body: VehicleCreate, drivers: _Drivers, uow: Tx
) -> VehicleView:
    """Add a vehicle; rating goes by the one that was added last."""
    return await drivers.add_vehicle(uow, driver_id, body)


@router.get("/{driver_id}/devices", responses=problems(401, 403, 404, 422), summary="A driver's devices")
async def list_devices(
    driver_id: AccessibleDriver, page: PageParams, drivers: _Drivers, uow: ReadTx
) -> Page[DeviceView]:
    """List the devices that are or were the driver's, newest assignment first. Never a key."""
    items, total = await drivers.devices(uow, driver_id, limit=page.limit, offset=page.offset)
    return Page.of(items, total, page)


@router.post(
    "/{driver_id}/devices",
    status_code=status.HTTP_201_CREATED,
    responses=problems(401, 403, 404, 409, 422),
    summary="Assign a device",
)
async def assign_device(
    admin: _DeviceManager, driver_id: AccessibleDriver, body: DeviceAssign, drivers: _Drivers, uow: Tx
) -> DeviceKeyView:
    """Assign a device and return its key, this once. An existing device changes hands at ``effective_from``."""
    return DeviceKeyView.of(driver_id, await drivers.assign_device(uow, driver_id, body))


@router.post(
    "/{driver_id}/devices/{device_id}/rotate-key",
    responses=problems(401, 403, 404, 422),
    summary="Replace a device's key",
)
async def rotate_key(
    admin: _DeviceManager,
    driver_id: AccessibleDriver,
    device_id: _DeviceId,
    drivers: _Drivers,
    uow: Tx,
    body: Annotated[KeyRotate | None, Body()] = None,
) -> DeviceKeyView:
    """Return a new key, this once; the old one ends now or after ``grace_s``."""
    return DeviceKeyView.of(driver_id, await drivers.rotate_key(uow, driver_id, device_id, body or KeyRotate()))


@router.get(
    "/{driver_id}/devices/{device_id}/keys",
    responses=problems(401, 403, 404, 422),
    summary="A device's keys",
)
async def list_device_keys(
    admin: _DeviceManager,
    driver_id: AccessibleDriver,
    device_id: _DeviceId,
    drivers: _Drivers,
    page: PageParams,
    uow: Tx,
) -> Page[DeviceKeyFactsView]:
    """List a device's keys, ended ones too, newest first: how each begins, when it was made, used and ends."""
    found, total = await drivers.device_keys(uow, driver_id, device_id, limit=page.limit, offset=page.offset)
    return Page.of([DeviceKeyFactsView.of(key) for key in found], total, page)


@router.delete(
    "/{driver_id}/devices/{device_id}",
    responses=problems(401, 403, 404, 422),
    summary="Retire a device",
)
async def retire_device(
    admin: _DeviceManager, driver_id: AccessibleDriver, device_id: _DeviceId, drivers: _Drivers, uow: Tx
) -> DeviceRetired:
    """End a device's keys and assignment now. Its events and trips stay."""
    await drivers.retire_device(uow, driver_id, device_id)
    return DeviceRetired(device_id=device_id)
