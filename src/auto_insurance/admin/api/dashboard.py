"""Routes of the dashboard and of the search over everything."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from auto_insurance.admin.api.common import Desk, Recent, Viewer, answer, cleaned
from auto_insurance.admin.schemas import SearchResult
from auto_insurance.admin.schemas_figures import (
    DashboardBook,
    DashboardStats,
    PolicyTypes,
    RiskDistribution,
    SafetyEvents,
    TripActivity,
)
from auto_insurance.admin.service import Dashboard
from auto_insurance.drivers.schemas import TimeZone
from auto_insurance.infra.http.deps import ReadTx, service
from auto_insurance.infra.http.errors import problems

router = APIRouter(prefix="/admin", tags=["admin"])
Figures = Annotated[Dashboard, service(Dashboard)]
Days = Annotated[int, Query(ge=1, le=90, description="Days, up to now.")]
_ERRORS = problems(401, 403, 503)


@router.get(
    "/dashboard/stats", summary="How many there are of everything", responses=_ERRORS, response_model=DashboardStats
)
async def dashboard_stats(staff: Viewer, recent: Recent, figures: Figures) -> Response:
    """Return totals, and what came lately. Each figure says whether it is counted or estimated."""
    return await answer(recent, ("stats",), figures.stats)


@router.get("/dashboard/summary", summary="The book at a glance", responses=_ERRORS, response_model=DashboardBook)
async def dashboard_summary(staff: Viewer, recent: Recent, figures: Figures) -> Response:
    """Return drivers, policies, revenue and risk, counted a few seconds ago at most."""
    return await answer(recent, ("summary",), figures.summary)


@router.get(
    "/dashboard/trip-activity",
    summary="Trips by day",
    responses=problems(401, 403, 422, 503),
    response_model=TripActivity,
)
async def trip_activity(
    staff: Viewer,
    recent: Recent,
    figures: Figures,
    days: Days = 7,
    tz: Annotated[TimeZone, Query(description="Whose days: an IANA time zone.")] = "UTC",
) -> Response:
    """Return one item per day, zeros included, the last one today."""
    return await answer(recent, ("trip_activity", days, tz), lambda uow: figures.trip_activity(uow, days, tz))


@router.get(
    "/dashboard/risk-distribution", summary="Drivers by risk", responses=_ERRORS, response_model=RiskDistribution
)
async def risk_distribution(staff: Viewer, recent: Recent, figures: Figures) -> Response:
    """Return how many drivers are of low (up to 40), medium (up to 70) and high risk."""
    return await answer(recent, ("risk_distribution",), figures.risk_distribution)


@router.get(
    "/dashboard/safety-events-breakdown",
    summary="What happened on trips",
    responses=problems(401, 403, 422, 503),
    response_model=SafetyEvents,
)
async def safety_events(staff: Viewer, recent: Recent, figures: Figures, days: Days = 7) -> Response:
    """Return harsh events, speeding and phone use as the server found them on completed trips."""
    return await answer(recent, ("safety_events", days), lambda uow: figures.safety_events(uow, days))


@router.get(
    "/dashboard/policy-type-distribution", summary="Policies by kind", responses=_ERRORS, response_model=PolicyTypes
)
async def policy_types(staff: Viewer, recent: Recent, figures: Figures) -> Response:
    """Return the policies that run now by product and coverage."""
    return await answer(recent, ("policy_types",), figures.policy_types)


@router.get("/search", summary="Find anything", responses=problems(401, 403, 422, 503))
async def search_book(
    staff: Viewer,
    uow: ReadTx,
    desk: Desk,
    q: Annotated[str, Query(min_length=2, max_length=64, description="The beginning of an id or of a name's words.")],
    limit: Annotated[int, Query(ge=1, le=10, description="Of each kind at most.")] = 5,
) -> SearchResult:
    """Look for drivers (id, name, mail), policies, vehicles (id, VIN), devices, trips (8 digits or more), claims."""
    return await desk.search(uow, cleaned(q), limit)
