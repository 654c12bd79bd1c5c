"""What the routes of the operators' side share."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Response
from fastapi.responses import StreamingResponse

from auto_insurance.admin.exports import MAX_ROWS, Export
from auto_insurance.admin.recent import Count, RecentFigures
from auto_insurance.admin.service import BookDesk, Exports
from auto_insurance.drivers.schemas import EntityId
from auto_insurance.identity.deps import DRIVER_ID_PATTERN, staff
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.http.deps import service

Viewer = Annotated[Principal, staff(Permission.VIEW_BOOK)]
Locator = Annotated[Principal, staff(Permission.VIEW_LOCATIONS)]
DriverManager = Annotated[Principal, staff(Permission.MANAGE_DRIVERS)]
DeviceManager = Annotated[Principal, staff(Permission.MANAGE_DEVICES)]
Operator = Annotated[Principal, staff(Permission.OPERATE)]
Watcher = Annotated[Principal, staff(Permission.VIEW_OPERATIONS)]
Desk = Annotated[BookDesk, service(BookDesk)]
Files = Annotated[Exports, service(Exports)]
Recent = Annotated[RecentFigures, service(RecentFigures)]
TOTAL = "X-Total-Count"
MAX_SKIP = 10_000_000


async def answer(recent: RecentFigures, key: Hashable, count: Count) -> Response:
    """Answer with figures that were counted lately."""
    return Response(await recent.get(key, count), media_type="application/json")


class CsvResponse(StreamingResponse):
    """Comma-separated values, RFC 4180, sent as they are read."""

    media_type = "text/csv"


class Slice:
    """The part of a list that is wanted: ``?skip=0&limit=100``."""

    def __init__(
        self,
        skip: Annotated[int, Query(ge=0, le=MAX_SKIP, description="Items before the first.")] = 0,
        limit: Annotated[int, Query(ge=1, le=100, description="Items at most.")] = 100,
    ) -> None:
        self.skip, self.limit = skip, limit


Part = Annotated[Slice, Depends()]
Search = Annotated[str, Query(max_length=64, description="The beginning of an id.")]
OfDriver = Annotated[str | None, Query(pattern=DRIVER_ID_PATTERN, description="Only what is this driver's.")]
OfDevice = Annotated[str | None, Query(pattern=DRIVER_ID_PATTERN, description="Only what is this device's.")]
DriverKey = Annotated[EntityId, Path(description="A driver's id.", examples=["DRV001"])]
VehicleKey = Annotated[EntityId, Path(description="A vehicle's id.", examples=["VEH001"])]
DeviceKey = Annotated[EntityId, Path(description="A device's id.", examples=["DEV001"])]


def counted(response: Response, total: int) -> None:
    """Say how many items the whole list has."""
    response.headers[TOTAL] = str(total)


async def csv_file(files: Exports, name: str, export: Export[Any]) -> CsvResponse:
    """Return a list as a file, ``MAX_ROWS`` rows at most."""
    headers = {
        "Content-Disposition": f'attachment; filename="{name}.csv"',
        "X-Export-Limit": str(MAX_ROWS),
    }
    return CsvResponse(await files.begin(export), headers=headers)


def cleaned(search: str) -> str:
    """Return what was typed without blanks around it and characters that no id has."""
    return "".join(one for one in search if one.isprintable()).strip()
