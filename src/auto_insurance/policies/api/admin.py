"""Routes of the admin console about policies."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from auto_insurance.identity.deps import staff
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.infra.http.idempotency import OnceIfAsked
from auto_insurance.policies.api.common import Policies, PolicyId, actor_of
from auto_insurance.policies.lifecycle import Status
from auto_insurance.policies.papers import Papers
from auto_insurance.policies.schemas import ChangeOut, PolicyItem, PolicyOut, PolicySummary
from auto_insurance.policies.schemas_orders import PolicyCreate, PolicyPatch
from auto_insurance.policies.service import BindOrder, CancelOrder, EndorseOrder
from auto_insurance.pricing.service import PricingService, QuoteRequest

router = APIRouter(prefix="/admin/policies", tags=["admin"])
Reader = Annotated[Principal, staff(Permission.VIEW_BOOK)]
Manager = Annotated[Principal, staff(Permission.MANAGE_POLICIES)]
Pricing = Annotated[PricingService, service(PricingService)]
Documents = Annotated[Papers, service(Papers)]
_CHANGES = problems(401, 403, 404, 409, 422, 503)


@router.get("", summary="Policies", responses=problems(401, 403, 422, 503))
async def list_policies(
    admin: Reader,
    uow: ReadTx,
    policies: Policies,
    response: Response,
    skip: Annotated[int, Query(ge=0, le=10_000_000, description="Policies before the first.")] = 0,
    limit: Annotated[int, Query(ge=1, le=100, description="Policies at most.")] = 100,
    search: Annotated[str, Query(max_length=64, description="The beginning of a policy's or driver's id.")] = "",
    state: Annotated[Status | None, Query(alias="status", description="Only those that stand there.")] = None,
) -> list[PolicyItem]:
    """List policies, the newest first; `X-Total-Count` says how many there are."""
    found, total = await policies.list(
        uow, status=None if state is None else state.value, search=search.strip(), limit=limit, offset=skip
    )
    response.headers["X-Total-Count"] = str(total)
    return [PolicyItem.of(one.policy, one.row) for one in found]


@router.get("/summary", summary="The book in figures", responses=problems(401, 403, 503))
async def summary(admin: Reader, uow: ReadTx, policies: Policies) -> PolicySummary:
    """Return how many policies there are and what they earn, from the rows as they are now."""
    return PolicySummary.of(await policies.figures(uow))


@router.post(
    "", summary="Insure a driver", status_code=status.HTTP_201_CREATED, response_model=PolicyOut, responses=_CHANGES
)
async def create_policy(
    admin: Manager,
    body: PolicyCreate,
    uow: Tx,
    once: OnceIfAsked,
    policies: Policies,
    pricing: Pricing,
    papers: Documents,
) -> Response:
    """Quote and bind in one step, with the facts and the driving that are known of the driver."""
    request = QuoteRequest(coverage=body.coverage, start_date=body.starts_on, annual_mileage=body.annual_mileage)

    async def work() -> PolicyOut:
        quote = await pricing.quote(uow, request, driver_id=body.driver_id)
        order = BindOrder(months=body.months, vehicle_id=body.vehicle_id, instalments=body.instalments)
        policy = await policies.bind(uow, quote.quote_id, order, actor_of(admin))
        terms = await policies.terms(uow, policy)
        return PolicyOut.build(policy, terms, papers.names(policy, terms))

    return await once.run(admin.user_id, work, status=status.HTTP_201_CREATED)


@router.get("/{policy_id}", summary="A policy", responses=problems(401, 403, 404, 422, 503))
async def get_policy(
    admin: Reader, policy_id: PolicyId, uow: ReadTx, policies: Policies, papers: Documents
) -> PolicyOut:
    """Return a policy with its terms."""
    policy = await policies.get(uow, policy_id)
    terms = await policies.terms(uow, policy)
    return PolicyOut.build(policy, terms, papers.names(policy, terms))


@router.patch("/{policy_id}", summary="Change or end a policy", response_model=ChangeOut, responses=_CHANGES)
async def change_policy(
    admin: Manager, policy_id: PolicyId, body: PolicyPatch, uow: Tx, once: OnceIfAsked, policies: Policies
) -> Response:
    """With `status: cancelled` end the policy, else change its facts from `effective_on` on (by default today)."""
    by = actor_of(admin)

    async def work() -> ChangeOut:
        if body.status is not None:
            order = CancelOrder(
                reason=body.reason,
                initiator=body.initiator,
                effective_on=body.effective_on,
                method=body.method,
                revision=body.revision,
            )
            return ChangeOut.of(await policies.cancel(uow, policy_id, order, by), preview=False)
        day = body.effective_on or await _today(uow, policies, policy_id)
        change = EndorseOrder(
            effective_on=day, changes=body.changes.given(), reason=body.reason, revision=body.revision
        )
        return ChangeOut.of(await policies.endorse(uow, policy_id, change, by), preview=False)

    return await once.run(admin.user_id, work)


async def _today(uow: Tx, policies: Policies, policy_id: str) -> date:
    return policies.today(await policies.get(uow, policy_id))
