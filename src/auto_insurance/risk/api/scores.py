"""Routes of risk: a driver's score and what is behind it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from auto_insurance.identity import permissions
from auto_insurance.identity.deps import CurrentUser, driver_for
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.policy import Action
from auto_insurance.infra.http.deps import Tx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.risk.schemas import RiskBreakdownOut, RiskScoreOut
from auto_insurance.risk.service import RiskService
from auto_insurance.risk.views import breakdown_out, model_out

router = APIRouter()

Recalculate = Annotated[bool, Query(description="Calculate a new score now, from all trips so far, and keep it.")]
Driver = Annotated[str, driver_for(Action.READ_RISK)]
Risk = Annotated[RiskService, service(RiskService)]


@router.get(
    "/{driver_id}/score",
    summary="A driver's risk score",
    response_model=RiskScoreOut,
    responses=problems(401, 403, 404, 422, 503),
)
async def get_score(
    driver_id: Driver, caller: CurrentUser, uow: Tx, risk: Risk, recalculate: Recalculate = False
) -> RiskScoreOut:
    """Return the newest score; the first is made when it is first asked for. `me` is the signed-in driver.

    A driver and staff who may score have it calculated anew.
    """
    if recalculate:
        if driver_id != caller.driver_id:
            permissions.require(caller, Permission.RESCORE)
        score = await risk.recalculate(uow, driver_id, "recalculated")
    else:
        score = await risk.latest_or_first(uow, driver_id)
    return RiskScoreOut.of(score, model_out(risk.model, score))


@router.get(
    "/{driver_id}/breakdown",
    summary="What a driver's risk score is made of",
    response_model=RiskBreakdownOut,
    responses=problems(401, 403, 404, 422, 503),
)
async def get_breakdown(driver_id: Driver, uow: Tx, risk: Risk) -> RiskBreakdownOut:
    """Return the newest score with its features, their effects, reason codes and recommendations."""
    score = await risk.latest_or_first(uow, driver_id)
    return breakdown_out(risk, await risk.advised(uow, score))
