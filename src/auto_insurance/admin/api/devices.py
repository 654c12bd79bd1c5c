"""Routes of staff about devices."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Query, Response, status

from auto_insurance.admin import queries_resources
from auto_insurance.admin.api.common import (
    CsvResponse,
    Desk,
    DeviceKey,
    DeviceManager,
    Files,
    OfDriver,
    Part,
    Search,
    Viewer,
    cleaned,
    counted,
    csv_file,
)
from auto_insurance.admin.exports import Export
from auto_insurance.admin.queries_resources import ThingFilter
from auto_insurance.admin.schemas import BulkIds, BulkResult, DeviceFor, DeviceLine, DeviceTo, ThingSort
from auto_insurance.drivers.errors import DeviceNotFound
from auto_insurance.drivers.schemas import DeviceAssign, DeviceKeyView, DeviceKind, DeviceRetired, KeyRotate
from auto_insurance.drivers.service import DriverDesk, DriverService
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems

router = APIRouter(prefix="/admin/devices", tags=["admin"])
Drivers = Annotated[DriverService, service(DriverService)]
People = Annotated[DriverDesk, service(DriverDesk)]
OfStatus = Annotated[
    Literal["in_service", "retired"] | None, Query(max_length=16, description="Whether the device is in service.")
]
_LIST = problems(401, 403, 422, 503)
_ONE = problems(401, 403, 404, 422, 503)
_CHANGE = problems(401, 403, 404, 409, 422, 503)


@router.get("", summary="Devices", responses=_LIST)
async def list_devices(
    staff: Viewer,
    uow: ReadTx,
    desk: Desk,
    response: Response,
    part: Part,
    search: Search = "",
    driver_id: OfDriver = None,
    state: Annotated[OfStatus, Query(alias="status")] = None,
    sort: Annotated[ThingSort, Query(description="With a minus backwards.")] = ThingSort.CREATED_AT_DOWN,
) -> list[DeviceLine]:
    """List devices with who has each and when it was last heard of."""
    found, total = await desk.devices(
        uow,
        ThingFilter(cleaned(search), driver_id, state),
        descending=sort is ThingSort.CREATED_AT_DOWN,
        limit=part.limit,
        offset=part.skip,
    )
    counted(response, total)
    return found


@router.get("/export.csv", summary="Devices as a file", response_class=CsvResponse, responses=_LIST)
async def export_devices(
    staff: Viewer,
    files: Files,
    search: Search = "",
    driver_id: OfDriver = None,
    state: Annotated[OfStatus, Query(alias="status")] = None,
) -> Response:
    """Write the devices in the order of ids, at most 50,000."""
    wanted = ThingFilter(cleaned(search), driver_id, state)
    export = Export(
        DeviceLine,
        lambda uow, after, limit: queries_resources.devices_after(uow, wanted, after=after or "", limit=limit),
        lambda row: row.device_id,
        DeviceLine.of,
    )
    return await csv_file(files, "devices", export)


@router.post("/bulk/retire", summary="Retire many devices", responses=_LIST)
async def bulk_retire(staff: DeviceManager, body: BulkIds, uow: Tx, desk: Desk) -> BulkResult:
    """Take up to 1,000 devices out of service; the answer says what became of each."""
    return await desk.retire(uow, body.ids)


@router.post("", status_code=status.HTTP_201_CREATED, summary="Assign a new device", responses=_CHANGE)
async def add_device(staff: DeviceManager, body: DeviceFor, uow: Tx, drivers: Drivers) -> DeviceKeyView:
    """Assign a device to a driver and return its key, this once."""
    wanted = DeviceAssign(**body.model_dump(exclude={"driver_id"}))
    return DeviceKeyView.of(body.driver_id, await drivers.assign_device(uow, body.driver_id, wanted))


@router.get("/{device_id}", summary="A device", responses=_ONE)
async def get_device(staff: Viewer, device_id: DeviceKey, uow: ReadTx, desk: Desk) -> DeviceLine:
    """Return a device with who has it."""
    return await desk.device(uow, device_id)


@router.post("/{device_id}/assign", summary="Hand a device over", responses=_CHANGE)
async def assign_device(
    staff: DeviceManager, device_id: DeviceKey, body: DeviceTo, uow: Tx, desk: Desk, drivers: Drivers
) -> DeviceKeyView:
    """Give an existing device to a driver from an instant on, with a new key; a retired one is in service again."""
    known = await desk.device(uow, device_id)
    wanted = DeviceAssign(
        device_id=device_id,
        kind=DeviceKind(known.kind),
        vehicle_id=body.vehicle_id,
        effective_from=body.effective_from,
    )
    return DeviceKeyView.of(body.driver_id, await drivers.assign_device(uow, body.driver_id, wanted))


@router.post("/{device_id}/rotate-key", summary="Replace a device's key", responses=_ONE)
async def rotate_key(
    staff: DeviceManager,
    device_id: DeviceKey,
    uow: Tx,
    people: People,
    drivers: Drivers,
    body: Annotated[KeyRotate | None, Body()] = None,
) -> DeviceKeyView:
    """Return a new key, this once; the old one ends now or after ``grace_s``."""
    holder = await people.holder(uow, device_id)
    return DeviceKeyView.of(holder, await drivers.rotate_key(uow, holder, device_id, body or KeyRotate()))


@router.delete("/{device_id}", summary="Retire a device", responses=_ONE)
async def retire_device(staff: DeviceManager, device_id: DeviceKey, uow: Tx, desk: Desk) -> DeviceRetired:
    """End a device's keys and assignment now. Its events and trips stay; retiring twice changes nothing."""
    [item] = (await desk.retire(uow, [device_id])).items
    if item.result == "not_found":
        raise DeviceNotFound
    return DeviceRetired(device_id=device_id)
