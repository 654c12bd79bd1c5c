"""Routes of rating plans: which there are, which rates, who moves if another one comes."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response, status

from auto_insurance.identity.deps import staff
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.pricing.plans import PlanRegistry
from auto_insurance.pricing.plans_book import Dislocations, page
from auto_insurance.pricing.schemas_plans import (
    PLAN_VERSION_PATTERN,
    ActivatePlanRequest,
    ActivationOut,
    DislocationDetailOut,
    DislocationOut,
    DislocationsOut,
    NewPlanRequest,
    PlanDetailOut,
    PlanOut,
    PlansOut,
)

router = APIRouter(prefix="/pricing/plans", tags=["pricing"])
Registry = Annotated[PlanRegistry, service(PlanRegistry)]
Reports = Annotated[Dislocations, service(Dislocations)]
Reader = Annotated[Principal, staff(Permission.VIEW_PLANS)]
Manager = Annotated[Principal, staff(Permission.MANAGE_PLANS)]
Version = Annotated[str, Path(pattern=PLAN_VERSION_PATTERN, examples=["standard-2"])]
ERRORS = problems(401, 403, 404, 422, 503)


@router.get("", summary="Rating plans", responses=problems(401, 403, 503))
async def list_plans(uow: ReadTx, registry: Registry, admin: Reader) -> PlansOut:
    """List the plans, which of them rates today, and who put which in force when and why."""
    return PlansOut(
        plans=[PlanOut.model_validate(item, from_attributes=True) for item in await registry.list_plans(uow)],
        activations=[
            ActivationOut.model_validate(one, from_attributes=True) for one in await registry.activations(uow)
        ],
    )


@router.post(
    "", summary="Keep a rating plan", status_code=status.HTTP_201_CREATED, responses=problems(401, 403, 409, 422, 503)
)
async def add_plan(uow: Tx, registry: Registry, admin: Manager, request: NewPlanRequest) -> PlanOut:
    """Check a plan and keep it. It rates nobody until it is activated; the same plan again changes nothing."""
    return PlanOut.model_validate(await registry.add(uow, request.document, admin.username), from_attributes=True)


@router.get("/{version}", summary="A rating plan as it is written", responses=ERRORS)
async def get_plan(uow: ReadTx, registry: Registry, admin: Reader, version: Version) -> PlanDetailOut:
    """Return a plan and its document."""
    item = PlanOut.model_validate(await registry.item(uow, version), from_attributes=True)
    return PlanDetailOut(**item.model_dump(), document=await registry.document(uow, version))


@router.post(
    "/{version}/activate",
    summary="Put a rating plan in force",
    responses=problems(401, 403, 404, 409, 422, 503),
)
async def activate_plan(
    uow: Tx, registry: Registry, admin: Manager, version: Version, request: ActivatePlanRequest
) -> ActivationOut:
    """Put a plan in force from a day on. Refused without a fresh dislocation report on the book.

    Stored premiums stay as they are; what takes effect from that day on is rated by the new plan.
    """
    activation = await registry.activate(
        uow, version, effective_from=request.effective_from, by=admin.username, reason=request.reason
    )
    return ActivationOut.model_validate(activation, from_attributes=True)


@router.get("/{version}/dislocations", summary="Reports on who moves if a plan comes", responses=ERRORS)
async def list_dislocations(uow: ReadTx, registry: Registry, admin: Reader, version: Version) -> DislocationsOut:
    """List the reports on a plan. They are made by `auto-insurance plan dislocation OLD NEW`."""
    found = await registry.dislocations(uow, version)
    return DislocationsOut(
        dislocations=[DislocationOut.model_validate(row, from_attributes=True) for row in found],
    )


@router.get("/{version}/dislocations/{dislocation_id}", summary="Who moves by how much", responses=ERRORS)
async def get_dislocation(
    uow: ReadTx, reports: Reports, admin: Reader, version: Version, dislocation_id: UUID
) -> DislocationDetailOut:
    """Return a report: totals, quantiles, histogram, segments and the ones who move most. Money is text, exact."""
    return DislocationDetailOut.model_validate(await reports.get(uow, version, dislocation_id), from_attributes=True)


@router.get(
    "/{version}/dislocations/{dislocation_id}/page",
    summary="Who moves by how much, to print",
    response_class=Response,
    responses={200: {"content": {"text/html": {}}}, **ERRORS},
)
async def get_dislocation_page(
    uow: ReadTx, reports: Reports, admin: Reader, version: Version, dislocation_id: UUID
) -> Response:
    """Give the same report as one HTML page with plots."""
    row = await reports.get(uow, version, dislocation_id)
    return Response(page(row), media_type="text/html; charset=utf-8")
