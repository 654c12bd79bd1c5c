"""Routes of risk that look at scores over time, from other sides and for many drivers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from auto_insurance.identity.deps import driver_for, staff
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.policy import Action
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.infra.http.pagination import Page, PageParams
from auto_insurance.risk.reporting import RiskReports
from auto_insurance.risk.schemas import RiskScoreOut
from auto_insurance.risk.schemas_reports import (
    BatchAnswer,
    BatchRequest,
    Recommendations,
    RiskFactorBreakdown,
    RiskHistoryItem,
    RiskProfileSummary,
    RiskTrend,
    TrendInterval,
    TrendPeriod,
)
from auto_insurance.risk.service import RiskService
from auto_insurance.risk.views import model_out

router = APIRouter()
Reports = Annotated[RiskReports, service(RiskReports)]
Risk = Annotated[RiskService, service(RiskService)]
Driver = Annotated[str, driver_for(Action.READ_RISK)]
Scorer = Annotated[Principal, staff(Permission.RESCORE)]
ERRORS = problems(401, 403, 404, 422, 503)


@router.post("/batch-calculate", summary="Score up to 1000 drivers", responses=problems(401, 403, 422, 503))
async def batch_calculate(uow: Tx, reports: Reports, admin: Scorer, request: BatchRequest) -> BatchAnswer:
    """Score drivers now. Unknown ids are listed, not an error. Larger books: `auto-insurance risk score --all`."""
    return await reports.batch(uow, request)


@router.post(
    "/{driver_id}/recalculate-risk",
    summary="Calculate a driver's score now",
    responses=problems(401, 403, 404, 422, 503),
)
async def recalculate(uow: Tx, risk: Risk, driver_id: Driver, admin: Scorer) -> RiskScoreOut:
    """Calculate a new score from all trips so far and keep it."""
    score = await risk.recalculate(uow, driver_id, "recalculated")
    return RiskScoreOut.of(score, model_out(risk.model, score))


@router.get("/{driver_id}/history", summary="A driver's scores so far", responses=ERRORS)
async def history(
    uow: ReadTx,
    reports: Reports,
    driver_id: Driver,
    page: PageParams,
    days: Annotated[int, Query(ge=1, le=3660, description="Days back from now.")] = 90,
) -> Page[RiskHistoryItem]:
    """List scores, newest first."""
    items, total = await reports.history(uow, driver_id, days, offset=page.offset, limit=page.limit)
    return Page[RiskHistoryItem].of(items, total, page)


@router.get("/{driver_id}/risk-score-trend", summary="How a driver's score went", responses=ERRORS)
async def trend(
    uow: ReadTx,
    reports: Reports,
    driver_id: Driver,
    period: Annotated[TrendPeriod, Query(description="How far back.")] = TrendPeriod.MONTH,
    interval: Annotated[TrendInterval, Query(description="Distance of the points.")] = TrendInterval.DAILY,
) -> RiskTrend:
    """Give one point per local day or week: the score that held at its end."""
    return await reports.trend(uow, driver_id, period, interval)


@router.get("/{driver_id}/recommendations", summary="What a driver could change", responses=ERRORS)
async def recommendations(uow: Tx, reports: Reports, driver_id: Driver) -> Recommendations:
    """List what raises the score, with the typical number and what a change would bring."""
    return await reports.recommendations(uow, driver_id)


@router.get("/{driver_id}/risk-factor-breakdown", summary="A score by groups of behaviour", responses=ERRORS)
async def factor_breakdown(uow: Tx, reports: Reports, driver_id: Driver) -> RiskFactorBreakdown:
    """Add up contributions by kind: braking, speeding, phone use, time of day and so on."""
    return await reports.factor_breakdown(uow, driver_id)


@router.get("/{driver_id}/risk-profile-summary", summary="A driver's risk at a glance", responses=ERRORS)
async def profile_summary(uow: Tx, reports: Reports, driver_id: Driver) -> RiskProfileSummary:
    """Give score, place among the reference population, change over 30 days and the strongest reasons."""
    return await reports.profile_summary(uow, driver_id)
