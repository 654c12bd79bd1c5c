"""Routes of staff about stored events: always of a bounded period, so that only its months are read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime

from auto_insurance.admin.api.common import Desk, Locator, OfDevice, OfDriver, Viewer
from auto_insurance.admin.book import events_of
from auto_insurance.admin.queries_events import EventFilter
from auto_insurance.admin.schemas import EventFeed, EventStats
from auto_insurance.drivers.service import Precision
from auto_insurance.identity.deps import MayLocate
from auto_insurance.infra.http.deps import ReadTx
from auto_insurance.infra.http.errors import problems
from auto_insurance.telematics.schemas import EventType

router = APIRouter(prefix="/admin/events", tags=["admin"])
_ERRORS = problems(401, 403, 422, 503)


class EventQuery:
    """Which events."""

    def __init__(
        self,
        driver_id: OfDriver = None,
        device_id: OfDevice = None,
        event_type: Annotated[EventType | None, Query(description="What the device said it is.")] = None,
        since: Annotated[
            AwareDatetime | None,
            Query(alias="from", description="At or after this; by default a day before `to`. At most 7 days in all, 31 "
                  "of one driver or device."),
        ] = None,
        until: Annotated[AwareDatetime | None, Query(alias="to", description="Before this; by default now.")] = None,
    ) -> None:  # fmt: skip
        self._since, self._until = since, until
        self._driver_id, self._device_id = driver_id, device_id
        self._type = None if event_type is None else event_type.value

    def wanted(self) -> EventFilter:
        """Return the filter. Raises ``BadWindow``."""
        return events_of(
            self._since,
            self._until,
            driver_id=self._driver_id,
            device_id=self._device_id,
            event_type=self._type,
        )


Filters = Annotated[EventQuery, Depends()]


@router.get("", summary="Stored events", responses=_ERRORS)
async def list_events(
    staff: Locator,
    locates: MayLocate,
    uow: ReadTx,
    desk: Desk,
    filters: Filters,
    cursor: Annotated[str | None, Query(max_length=400, description="`next_cursor` of the answer before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Events at most.")] = 100,
) -> EventFeed:
    """List events with their places, the newest first. Keep `from` and `to` while you follow the cursor.

    Places of drivers who keep their locations to themselves are rounded to about a kilometre.
    """
    feed = await desk.events(uow, filters.wanted(), cursor=cursor, limit=limit)
    return feed.model_copy(update={"items": await Precision().of_each(uow, staff, locates, feed.items)})


@router.get("/stats", summary="Events in figures", responses=_ERRORS)
async def event_stats(staff: Viewer, uow: ReadTx, desk: Desk, filters: Filters) -> EventStats:
    """Count the events of a period, by default of the last day: in all, by type, and of how many drivers."""
    return await desk.event_stats(uow, filters.wanted())
