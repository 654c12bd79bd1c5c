"""Routes of pricing: what a driver pays, why, and since when."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from auto_insurance.identity.deps import driver_for, staff
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.policy import Action
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.infra.http.idempotency import OnceIfAsked
from auto_insurance.infra.http.pagination import Page, PageParams
from auto_insurance.kernel import clock
from auto_insurance.pricing.schemas import CurrentPremiumOut, PremiumBreakdownOut, PremiumOut
from auto_insurance.pricing.schemas_reports import RecalculationRequest
from auto_insurance.pricing.service import PricingService
from auto_insurance.pricing.views import breakdown_out, current_out

router = APIRouter(prefix="/pricing", tags=["pricing"])

Driver = Annotated[str, driver_for(Action.READ_PRICING)]
Pricing = Annotated[PricingService, service(PricingService)]
Months = Annotated[int, Query(ge=1, le=120, description="How many months to look back, of 31 days each.")]
DAYS_PER_MONTH = 31


@router.get(
    "/{driver_id}/current",
    summary="What a driver pays",
    response_model=CurrentPremiumOut,
    responses=problems(401, 403, 404, 422, 503),
)
async def get_current(driver_id: Driver, uow: Tx, pricing: Pricing) -> CurrentPremiumOut:
    """Return the charged premium and, beside it, what the latest score indicates. `me` is the signed-in driver."""
    premiums = await pricing.current(uow, driver_id)
    return current_out(premiums, await pricing.basis_of(uow, premiums.charged))


@router.get(
    "/{driver_id}/breakdown",
    summary="How a driver's premium comes about",
    response_model=PremiumBreakdownOut,
    responses=problems(401, 403, 404, 422, 503),
)
async def get_breakdown(driver_id: Driver, uow: Tx, pricing: Pricing) -> PremiumBreakdownOut:
    """Return the stored worksheets, line by line, of the charged and the indicated premium."""
    premiums = await pricing.current(uow, driver_id)
    return breakdown_out(premiums, await pricing.basis_of(uow, premiums.charged))


@router.get(
    "/{driver_id}/history",
    summary="How a driver's premium moved, and why",
    response_model=Page[PremiumOut],
    responses=problems(401, 403, 404, 422, 503),
)
async def get_history(
    driver_id: Driver, uow: ReadTx, pricing: Pricing, page: PageParams, months: Months = 12
) -> Page[PremiumOut]:
    """Return all versions, indicated and charged, newest first; each tells its reason. None is ever overwritten."""
    since = clock.now() - timedelta(days=DAYS_PER_MONTH * months)
    found, total = await pricing.history(uow, driver_id, since, limit=page.limit, offset=page.offset)
    return Page.of([PremiumOut.of(premium) for premium in found], total, page)


@router.post(
    "/{driver_id}/recalculate-premium",
    summary="Price the running term again",
    status_code=status.HTTP_201_CREATED,
    response_model=PremiumOut,
    responses=problems(401, 403, 404, 409, 422, 503),
)
async def recalculate(
    driver_id: Driver,
    pricer: Annotated[Principal, staff(Permission.REPRICE)],
    uow: Tx,
    once: OnceIfAsked,
    pricing: Pricing,
    body: RecalculationRequest | None = None,
) -> Response:
    """Charge a new version from today's facts and the newest score, from today on; the old ones stay as they are."""

    async def work() -> PremiumOut:
        note = "" if body is None else body.note
        today = clock.now().date()
        premium = await pricing.charge(uow, driver_id, reason="recalculation", effective_date=today, note=note)
        return PremiumOut.of(premium)

    return await once.run(pricer.user_id, work, status=status.HTTP_201_CREATED)
