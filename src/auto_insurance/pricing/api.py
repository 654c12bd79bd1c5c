"""Routes of pricing: what a driver pays and why."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from auto_insurance.identity.deps import AccessibleDriver
from auto_insurance.infra.http.deps import Tx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.pricing.schemas import CurrentPremiumOut, PremiumBreakdownOut
from auto_insurance.pricing.service import PricingService
from auto_insurance.pricing.views import breakdown_out, current_out

router = APIRouter(prefix="/pricing", tags=["pricing"])

Pricing = Annotated[PricingService, service(PricingService)]


@router.get(
    "/{driver_id}/current",
    summary="What a driver pays",
    response_model=CurrentPremiumOut,
    responses=problems(401, 404, 422, 503),
)
async def get_current(driver_id: AccessibleDriver, uow: Tx, pricing: Pricing) -> CurrentPremiumOut:
    """Return the charged premium and, beside it, what the latest score indicates. `me` is the signed-in driver."""
    return current_out(await pricing.current(uow, driver_id), pricing.plan.plan.basis)


@router.get(
    "/{driver_id}/breakdown",
    summary="How a driver's premium comes about",
    response_model=PremiumBreakdownOut,
    responses=problems(401, 404, 422, 503),
)
async def get_breakdown(driver_id: AccessibleDriver, uow: Tx, pricing: Pricing) -> PremiumBreakdownOut:
    """Return the stored worksheets, line by line, of the charged and the indicated premium."""
    return breakdown_out(await pricing.current(uow, driver_id), pricing.plan.plan.basis)
