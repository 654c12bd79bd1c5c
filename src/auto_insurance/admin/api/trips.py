"""Routes of staff about trips: to look at. A trip is cut from its events and is never edited; who thinks that it is
wrong disputes it (``POST /drivers/{id}/trips/{trip_id}/dispute``), and staff decide there. PATCH, DELETE: 405."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime

from auto_insurance.admin import queries_resources
from auto_insurance.admin.api.common import (
    CsvResponse,
    Desk,
    Files,
    OfDevice,
    OfDriver,
    Part,
    Viewer,
    cleaned,
    counted,
    csv_file,
)
from auto_insurance.admin.exports import Export
from auto_insurance.admin.queries_resources import NO_ID, BookTripFilter
from auto_insurance.admin.schemas import TripLine, TripSort
from auto_insurance.infra.http.deps import ReadTx
from auto_insurance.infra.http.errors import problems

router = APIRouter(prefix="/admin/trips", tags=["admin"])
_LIST = problems(401, 403, 422, 503)


class TripQuery:
    """The filters of trips."""

    def __init__(
        self,
        search: Annotated[str, Query(max_length=64, description="The beginning of an id, 8 digits at least.")] = "",
        driver_id: OfDriver = None,
        device_id: OfDevice = None,
        status: Annotated[
            Literal["completed", "in_progress", "withdrawn"], Query(max_length=16, description="Where it stands.")
        ] = "completed",
        risk_level: Annotated[
            Literal["low", "medium", "high"] | None, Query(max_length=8, description="How it was driven.")
        ] = None,
        since: Annotated[AwareDatetime | None, Query(alias="from", description="Began at or after this.")] = None,
        until: Annotated[AwareDatetime | None, Query(alias="to", description="Began before this.")] = None,
    ) -> None:
        self.wanted = BookTripFilter(cleaned(search), driver_id, device_id, status, risk_level, since, until)


Filters = Annotated[TripQuery, Depends()]


@router.get("", summary="Trips", responses=_LIST)
async def list_trips(
    staff: Viewer,
    uow: ReadTx,
    desk: Desk,
    response: Response,
    part: Part,
    filters: Filters,
    sort: Annotated[TripSort, Query(description="With a minus backwards.")] = TripSort.START_TIME_DOWN,
) -> list[TripLine]:
    """List trips of all drivers, without places."""
    found, total = await desk.trips(
        uow,
        filters.wanted,
        descending=sort is TripSort.START_TIME_DOWN,
        limit=part.limit,
        offset=part.skip,
    )
    counted(response, total)
    return found


@router.get("/export.csv", summary="Trips as a file", response_class=CsvResponse, responses=_LIST)
async def export_trips(staff: Viewer, files: Files, filters: Filters) -> Response:
    """Write the trips in the order of ids, at most 50,000."""
    export = Export(
        TripLine,
        lambda uow, after, limit: queries_resources.book_trips_after(
            uow, filters.wanted, after=after or NO_ID, limit=limit
        ),
        lambda row: row.trip_id,
        TripLine.of,
    )
    return await csv_file(files, "trips", export)


@router.get("/{trip_id}", summary="A trip", responses=problems(401, 403, 404, 422, 503))
async def get_trip(staff: Viewer, trip_id: UUID, uow: ReadTx, desk: Desk) -> TripLine:
    """Return a trip, whatever its status, without places: those are with the driver's own routes."""
    return await desk.trip(uow, trip_id)
