"""Routes of staff about vehicles."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from auto_insurance.admin import queries_resources
from auto_insurance.admin.api.common import (
    CsvResponse,
    Desk,
    DriverManager,
    Files,
    OfDriver,
    Part,
    Search,
    VehicleKey,
    Viewer,
    cleaned,
    counted,
    csv_file,
)
from auto_insurance.admin.exports import Export
from auto_insurance.admin.queries_resources import ThingFilter
from auto_insurance.admin.schemas import ThingSort, VehicleFor
from auto_insurance.drivers.schemas import VehicleChange, VehicleCreate, VehicleView
from auto_insurance.drivers.service import DriverDesk, DriverService
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems

router = APIRouter(prefix="/admin/vehicles", tags=["admin"])
Drivers = Annotated[DriverService, service(DriverService)]
People = Annotated[DriverDesk, service(DriverDesk)]
_LIST = problems(401, 403, 422, 503)
_ONE = problems(401, 403, 404, 422, 503)
_CHANGE = problems(401, 403, 404, 409, 422, 503)


@router.get("", summary="Vehicles", responses=_LIST)
async def list_vehicles(
    staff: Viewer,
    uow: ReadTx,
    desk: Desk,
    response: Response,
    part: Part,
    search: Search = "",
    driver_id: OfDriver = None,
    sort: Annotated[ThingSort, Query(description="With a minus backwards.")] = ThingSort.CREATED_AT_DOWN,
) -> list[VehicleView]:
    """List vehicles, found by the beginning of an id or by a whole VIN."""
    found, total = await desk.vehicles(
        uow,
        ThingFilter(cleaned(search), driver_id),
        descending=sort is ThingSort.CREATED_AT_DOWN,
        limit=part.limit,
        offset=part.skip,
    )
    counted(response, total)
    return found


@router.get("/export.csv", summary="Vehicles as a file", response_class=CsvResponse, responses=_LIST)
async def export_vehicles(staff: Viewer, files: Files, search: Search = "", driver_id: OfDriver = None) -> Response:
    """Write the vehicles in the order of ids, at most 50,000."""
    wanted = ThingFilter(cleaned(search), driver_id)
    export = Export(
        VehicleView,
        lambda uow, after, limit: queries_resources.vehicles_after(uow, wanted, after=after or "", limit=limit),
        lambda row: row.vehicle_id,
        lambda row: VehicleView.model_validate(row._asdict()),
    )
    return await csv_file(files, "vehicles", export)


@router.post("", status_code=status.HTTP_201_CREATED, summary="Add a vehicle", responses=_CHANGE)
async def add_vehicle(staff: DriverManager, body: VehicleFor, uow: Tx, drivers: Drivers) -> VehicleView:
    """Add a vehicle to a driver; rating goes by the one that was added last."""
    vehicle = VehicleCreate(**body.model_dump(exclude={"driver_id"}))
    return await drivers.add_vehicle(uow, body.driver_id, vehicle)


@router.get("/{vehicle_id}", summary="A vehicle", responses=_ONE)
async def get_vehicle(staff: Viewer, vehicle_id: VehicleKey, uow: ReadTx, people: People) -> VehicleView:
    """Return a vehicle."""
    return await people.vehicle(uow, vehicle_id)


@router.patch("/{vehicle_id}", summary="Change a vehicle", responses=_CHANGE)
async def change_vehicle(
    staff: DriverManager, vehicle_id: VehicleKey, body: VehicleChange, uow: Tx, people: People
) -> VehicleView:
    """Change the fields that are sent. A running policy keeps its price: endorse it to change that."""
    return await people.change_vehicle(uow, vehicle_id, body)


@router.delete("/{vehicle_id}", summary="Remove a vehicle", responses=_CHANGE)
async def remove_vehicle(staff: DriverManager, vehicle_id: VehicleKey, uow: Tx, desk: Desk) -> VehicleView:
    """Remove a vehicle that was entered by mistake: one that a device was in or a policy covers stays (409)."""
    return await desk.remove_vehicle(uow, vehicle_id)
