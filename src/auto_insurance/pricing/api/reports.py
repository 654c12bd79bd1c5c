"""Routes of pricing: what if, compared with what, which discounts."""

from __future__ import annotations

from fastapi import APIRouter

from auto_insurance.infra.http.deps import ReadTx, Tx
from auto_insurance.infra.http.errors import problems
from auto_insurance.pricing.api.premiums import Driver, Pricing
from auto_insurance.pricing.schemas_reports import ComparisonOut, DiscountInfoOut, SimulationOut, SimulationRequest
from auto_insurance.pricing.views import comparison_out, discount_info_out, simulation_out

router = APIRouter(prefix="/pricing", tags=["pricing"])


@router.get(
    "/{driver_id}/comparison",
    summary="The price beside the traditional one",
    response_model=ComparisonOut,
    responses=problems(401, 403, 404, 422, 503),
)
async def get_comparison(driver_id: Driver, uow: Tx, pricing: Pricing) -> ComparisonOut:
    """Compare the charged premium with that of the same facts without a device, with the worksheet of the latter."""
    premiums = await pricing.current(uow, driver_id)
    traditional = await pricing.traditional(uow, premiums.charged)
    return comparison_out(premiums, traditional, await pricing.basis_of(uow, premiums.charged))


@router.get(
    "/{driver_id}/discount-info",
    summary="Which discounts there are, and how far they are used",
    response_model=DiscountInfoOut,
    responses=problems(401, 403, 404, 422, 503),
)
async def get_discount_info(driver_id: Driver, uow: Tx, pricing: Pricing) -> DiscountInfoOut:
    """Return what lowers and raises the charged premium, and the price at the best driving that the plan knows."""
    charged = (await pricing.current(uow, driver_id)).charged
    plan = await pricing.plan_of(uow, charged.plan_version)
    return discount_info_out(charged, plan, await pricing.best(uow, charged))


@router.post(
    "/{driver_id}/simulate",
    summary="What would it cost if",
    response_model=SimulationOut,
    responses=problems(401, 403, 404, 422, 503),
)
async def simulate(driver_id: Driver, body: SimulationRequest, uow: ReadTx, pricing: Pricing) -> SimulationOut:
    """Price the driver as of today with other facts or another score. Nothing is stored."""
    rating, relativity, confidence = await pricing.simulate(uow, driver_id, body)
    charged = await pricing.charged_today(uow, driver_id)
    basis = (await pricing.plan_of(uow, rating.plan_version)).plan.basis
    return simulation_out(driver_id, body, rating, (relativity, confidence), charged, basis)
