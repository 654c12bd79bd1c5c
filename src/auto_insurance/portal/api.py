"""Routes of a driver's trips and first page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel

from auto_insurance.drivers.service import Precision
from auto_insurance.identity.deps import CurrentUser, MayLocate, driver_for, drivers_for
from auto_insurance.identity.policy import Action
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.infra.http.deps import ReadTx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.infra.http.pagination import Cursor, Feed, Page, PageParams, PageRequest, decode_cursor
from auto_insurance.portal.queries import TripFilter, TripKey
from auto_insurance.portal.schemas import (
    AlertItem,
    DriverSummary,
    RiskFactors,
    TripDetail,
    TripItem,
    TripRiskLevel,
    TripsSummary,
    TripStatistics,
)
from auto_insurance.portal.service import PortalService
from auto_insurance.portal.views import TRIP_FEED, trip_feed

M = TypeVar("M", bound=BaseModel)
router = APIRouter(tags=["trips"])
Portal = Annotated[PortalService, service(PortalService)]
Driver = Annotated[str, driver_for(Action.READ_TRIPS)]
ERRORS = problems(401, 403, 404, 422, 503)


class Seer:
    """How exact the places of an answer are for the caller."""

    def __init__(self, caller: CurrentUser, locates: MayLocate, uow: ReadTx) -> None:
        self._caller, self._locates, self._uow = caller, locates, uow
        self._precision = Precision()

    async def each(self, items: Sequence[M]) -> list[M]:
        """Return items that name their driver as exact as the caller may see each."""
        return await self._precision.of_each(self._uow, self._caller, self._locates, items)

    async def of(self, driver_id: str, items: Sequence[M]) -> list[M]:
        """Return items about one driver as exact as the caller may see them."""
        return await self._precision.of_driver(self._uow, self._caller, self._locates, driver_id, items)


Sight = Annotated[Seer, Depends()]


class TripQuery:
    """The filters that trip lists take."""

    def __init__(
        self,
        since: Annotated[
            AwareDatetime | None, Query(alias="from", description="Trips that started at or after this instant.")
        ] = None,
        until: Annotated[AwareDatetime | None, Query(alias="to", description="Trips that started before this.")] = None,
        risk_level: Annotated[TripRiskLevel | None, Query(description="How the trip was driven.")] = None,
        search: Annotated[
            str | None, Query(max_length=64, description="Beginning of a trip's, device's, vehicle's or driver's id.")
        ] = None,
    ) -> None:
        self.since, self.until, self.risk_level, self.search = since, until, risk_level, search

    def of(self, driver_id: str | None) -> TripFilter:
        """Return the filter for one driver, or for all."""
        return TripFilter(driver_id, self.since, self.until, self.risk_level, self.search)


Filters = Annotated[TripQuery, Depends()]


@router.get("/trips", summary="Trips of all drivers that the caller may see", responses=ERRORS)
async def all_trips(
    uow: ReadTx,
    portal: Portal,
    driver_id: Annotated[str | None, drivers_for(Action.READ_TRIPS)],
    page: PageParams,
    filters: Filters,
    sight: Sight,
    cursor: Cursor = None,
) -> Feed[TripItem]:
    """List trips, newest first. A driver sees its own; who may not locate sees places to about a kilometre.

    Long lists are read on with `cursor`, from any page.
    """
    return await _trips((uow, portal, sight), filters.of(driver_id), page, cursor)


@router.get("/drivers/{driver_id}/trips", summary="A driver's trips", responses=ERRORS)
async def trips(
    uow: ReadTx,
    portal: Portal,
    driver_id: Driver,
    page: PageParams,
    filters: Filters,
    sight: Sight,
    cursor: Cursor = None,
) -> Feed[TripItem]:
    """List trips, newest first. Long lists are read on with `cursor`, from any page."""
    return await _trips((uow, portal, sight), filters.of(driver_id), page, cursor)


async def _trips(
    at: tuple[UnitOfWork, PortalService, Seer], wanted: TripFilter, page: PageRequest, cursor: str | None
) -> Feed[TripItem]:
    uow, portal, sight = at
    after: TripKey | None = None if cursor is None else decode_cursor(TRIP_FEED, cursor, TripKey)
    page = page if after is None else PageRequest(1, page.page_size)
    items, total = await portal.list_trips(uow, wanted, page=page.page, page_size=page.page_size, after=after)
    return trip_feed(await sight.each(items), total, page)


@router.get("/drivers/{driver_id}/trips/summary", summary="Totals over all trips", responses=ERRORS)
async def trips_summary(uow: ReadTx, portal: Portal, driver_id: Driver) -> TripsSummary:
    """Add up all completed trips."""
    return await portal.trips_summary(uow, driver_id)


@router.get("/drivers/{driver_id}/statistics", summary="Rates of a period", responses=ERRORS)
@router.get(
    "/drivers/{driver_id}/trips/statistics", include_in_schema=False, summary="Rates of a period", responses=ERRORS
)
async def statistics(
    uow: ReadTx,
    portal: Portal,
    driver_id: Driver,
    period_days: Annotated[int, Query(ge=1, le=3660, description="Days back from now.")] = 30,
) -> TripStatistics:
    """Give rates per 100 miles and shares of miles. Unknown is null, never zero."""
    return await portal.statistics(uow, driver_id, period_days)


@router.get("/drivers/{driver_id}/summary", summary="The numbers of a driver's first page", responses=ERRORS)
async def summary(uow: ReadTx, portal: Portal, driver_id: Driver) -> DriverSummary:
    """Give score, premium and recent driving at a glance."""
    return await portal.summary(uow, driver_id)


@router.get("/drivers/{driver_id}/alerts", summary="Crashes and severe events", responses=ERRORS)
async def alerts(
    uow: ReadTx,
    portal: Portal,
    driver_id: Driver,
    page: PageParams,
    sight: Sight,
    days: Annotated[int, Query(ge=1, le=3660, description="Days back from now.")] = 30,
) -> Page[AlertItem]:
    """List what was grave on the last days' trips, newest first."""
    items, total = await portal.alerts(uow, driver_id, days, page=page.page, page_size=page.page_size)
    return Page[AlertItem].of(await sight.of(driver_id, items), total, page)


@router.get("/drivers/{driver_id}/risk-factors", summary="What moves the risk score", responses=ERRORS)
async def risk_factors(
    uow: ReadTx, portal: Portal, driver_id: Annotated[str, driver_for(Action.READ_RISK)]
) -> RiskFactors:
    """Give the factors behind the newest score, the strongest first."""
    return await portal.risk_factors(uow, driver_id)


@router.get("/drivers/{driver_id}/trips/{trip_id}", summary="One trip with its path", responses=ERRORS)
async def trip(
    uow: ReadTx,
    portal: Portal,
    driver_id: Driver,
    trip_id: UUID,
    sight: Sight,
    max_points: Annotated[int, Query(ge=2, le=20_000, description="The path is thinned to this many points.")] = 2000,
) -> TripDetail:
    """Give path, events, score and the trip's effect on the indicated premium."""
    found = await portal.trip(uow, driver_id, trip_id, max_points=max_points)
    return (await sight.of(driver_id, [found]))[0]
