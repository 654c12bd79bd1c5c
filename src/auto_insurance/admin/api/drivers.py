"""Routes of staff about drivers."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response, status

from auto_insurance.admin import queries_drivers
from auto_insurance.admin.api.common import (
    CsvResponse,
    Desk,
    DriverKey,
    DriverManager,
    Files,
    Part,
    Viewer,
    cleaned,
    counted,
    csv_file,
)
from auto_insurance.admin.exports import Export
from auto_insurance.admin.queries_drivers import CardFilter
from auto_insurance.admin.schemas import (
    BulkDrivers,
    BulkResult,
    CardStatus,
    DriverCard,
    DriverDetails,
    DriverRemoval,
    DriverSort,
    RiskBand,
)
from auto_insurance.drivers.schemas import DriverChange, DriverCreate, DriverView
from auto_insurance.drivers.service import DriverService
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems

router = APIRouter(prefix="/admin/drivers", tags=["admin"])
Drivers = Annotated[DriverService, service(DriverService)]
_LIST = problems(401, 403, 422, 503)


class CardQuery:
    """The filters of driver cards."""

    def __init__(
        self,
        search: Annotated[str, Query(max_length=64, description="The beginning of an id, a mail or a name.")] = "",
        band: Annotated[RiskBand | None, Query(alias="risk_level", description="By the newest score.")] = None,
        status: Annotated[CardStatus | None, Query(description="How the driver stands.")] = None,
        state: Annotated[str | None, Query(pattern=r"^[A-Z]{2}$", description="Where the driver lives.")] = None,
    ) -> None:
        self.wanted = CardFilter(
            cleaned(search),
            None if band is None else band.value,
            None if status is None else status.value,
            state,
        )


Filters = Annotated[CardQuery, Depends()]


@router.get("", summary="Driver cards", responses=_LIST)
async def list_drivers(
    staff: Viewer,
    uow: ReadTx,
    desk: Desk,
    response: Response,
    part: Part,
    filters: Filters,
    sort: Annotated[DriverSort, Query(description="With a minus backwards.")] = DriverSort.DRIVER_ID,
) -> list[DriverCard]:
    """List drivers with risk, premium and driving; `X-Total-Count` says how many there are."""
    found, total = await desk.cards(uow, filters.wanted, sort=sort.value, limit=part.limit, offset=part.skip)
    counted(response, total)
    return found


@router.get("/export.csv", summary="Driver cards as a file", response_class=CsvResponse, responses=_LIST)
async def export_drivers(staff: Viewer, files: Files, filters: Filters) -> Response:
    """Write the cards in the order of ids, at most 50,000."""

    export = Export(
        DriverCard,
        lambda uow, after, limit: queries_drivers.cards_after(uow, filters.wanted, after=after or "", limit=limit),
        lambda row: row.driver_id,
        DriverCard.of,
    )
    return await csv_file(files, "drivers", export)


@router.post("/bulk", summary="Do something to many drivers", responses=_LIST)
async def bulk_drivers(staff: DriverManager, body: BulkDrivers, uow: Tx, desk: Desk) -> BulkResult:
    """Deactivate or score up to 1,000 drivers; the answer says what became of each."""
    if body.action == "deactivate":
        return await desk.deactivate(uow, body.ids)
    return await desk.recalculate(uow, body.ids)


@router.post(
    "", status_code=status.HTTP_201_CREATED, summary="Enrol a driver", responses=problems(401, 403, 409, 422, 503)
)
async def create_driver(staff: DriverManager, body: DriverCreate, uow: Tx, drivers: Drivers) -> DriverView:
    """Create a driver, with a first vehicle and a login if given: all of it or nothing."""
    return await drivers.create(uow, body)


@router.get("/{driver_id}", summary="A driver", responses=problems(401, 403, 404, 422, 503))
async def get_driver(staff: Viewer, driver_id: DriverKey, uow: ReadTx, drivers: Drivers) -> DriverView:
    """Return a driver's facts and contact fields."""
    return await drivers.get(uow, driver_id)


@router.get("/{driver_id}/details", summary="All about a driver", responses=problems(401, 403, 404, 422, 503))
async def get_details(staff: Viewer, driver_id: DriverKey, uow: ReadTx, desk: Desk) -> DriverDetails:
    """Return the card, the facts, and the newest vehicles, devices, policies and trips."""
    return await desk.details(uow, driver_id)


@router.patch("/{driver_id}", summary="Change a driver", responses=problems(401, 403, 404, 409, 422, 503))
async def change_driver(
    staff: DriverManager, driver_id: DriverKey, body: DriverChange, uow: Tx, desk: Desk
) -> DriverView:
    """Change the fields that are sent. What is charged does not move: an endorsement or a recalculation does that."""
    return await desk.change(uow, driver_id, body)


@router.delete(
    "/{driver_id}",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Let a driver go",
    responses=problems(401, 403, 404, 409, 422, 503),
)
async def remove_driver(
    staff: DriverManager,
    driver_id: DriverKey,
    uow: Tx,
    desk: Desk,
    mode: Annotated[
        Literal["erasure", "deactivate"],
        Query(max_length=16, description="Ask for erasure, which is carried out apart, or take out of service."),
    ] = "erasure",
) -> DriverRemoval:
    """Record an erasure request (asking again returns the same), or deactivate: nothing new is linked from then on."""
    return await desk.remove(uow, driver_id, mode, staff.user_id)
