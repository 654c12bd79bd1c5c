"""Routes of analytics: figures from rows as they are, null where there is nothing to tell."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Response

from auto_insurance.admin.api.common import Recent, Viewer, answer
from auto_insurance.admin.schemas_figures import FleetSummary, LossRatio, Savings, ScoreBands
from auto_insurance.admin.service import Dashboard
from auto_insurance.infra.http.deps import service
from auto_insurance.infra.http.errors import problems

router = APIRouter(prefix="/analytics", tags=["analytics"])
Figures = Annotated[Dashboard, service(Dashboard)]


@router.get(
    "/fleet/summary", summary="The fleet's driving", responses=problems(401, 403, 422, 503), response_model=FleetSummary
)
async def fleet_summary(
    staff: Viewer,
    recent: Recent,
    figures: Figures,
    days: Annotated[int, Query(ge=1, le=366, description="Days, up to now.")] = 30,
) -> Response:
    """Return miles, hours and rates of the completed trips of a period."""
    return await answer(recent, ("fleet", days), lambda uow: figures.fleet(uow, days))


@router.get(
    "/risk-distribution",
    summary="Drivers by tenths of the score",
    responses=problems(401, 403, 503),
    response_model=ScoreBands,
)
async def risk_distribution(staff: Viewer, recent: Recent, figures: Figures) -> Response:
    """Return how many drivers' newest scores lie in each tenth of the scale."""
    return await answer(recent, ("score_bands",), figures.score_bands)


@router.get("/savings", summary="What telematics saves", responses=problems(401, 403, 503), response_model=Savings)
async def savings(staff: Viewer, recent: Recent, figures: Figures) -> Response:
    """Compare a year's premium of the policies that run with the same without telematics."""
    return await answer(recent, ("savings",), figures.savings)


@router.get(
    "/loss-ratio", summary="Claims over premium", responses=problems(401, 403, 422, 503), response_model=LossRatio
)
async def loss_ratio(
    staff: Viewer,
    recent: Recent,
    figures: Figures,
    since: Annotated[date | None, Query(alias="from", description="First day; by default a year before `to`.")] = None,
    until: Annotated[date | None, Query(alias="to", description="The day after the last; by default today.")] = None,
) -> Response:
    """Return incurred claims over earned premium by currency, with the exposure; null where nothing was earned."""
    return await answer(recent, ("loss_ratio", since, until), lambda uow: figures.loss_ratio(uow, since, until))
