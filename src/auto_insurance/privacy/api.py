"""Routes of consents, export and erasure."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, status
from fastapi.responses import StreamingResponse

from auto_insurance.drivers.schemas import ErasureRequest, Purpose
from auto_insurance.drivers.schemas_consents import Consents, ConsentsChange
from auto_insurance.drivers.service import ConsentService, ErasureDesk
from auto_insurance.identity.deps import AccessibleDriver, CurrentUser, driver_for, staff
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.policy import Action
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.infra.http.pagination import Page, PageParams
from auto_insurance.pricing.service import PricingService
from auto_insurance.privacy.export import pieces
from auto_insurance.privacy.schemas import ErasurePlan, ErasureState, ErasureStatus, Proof, RefusalIn, Verdict
from auto_insurance.privacy.service import ErasureService, ExportService

router = APIRouter(tags=["privacy"])
_Consents = Annotated[ConsentService, service(ConsentService)]
_Pricing = Annotated[PricingService, service(PricingService)]
_Exports = Annotated[ExportService, service(ExportService)]
_Erasures = Annotated[ErasureService, service(ErasureService)]
_Desk = Annotated[ErasureDesk, service(ErasureDesk)]
_Eraser = Annotated[Principal, staff(Permission.ERASE)]
_ERRORS = problems(401, 403, 404, 422)


@router.get("/drivers/{driver_id}/consents", responses=problems(401, 403, 404, 422), summary="What a driver allows")
async def get_consents(driver_id: AccessibleDriver, consents: _Consents, uow: ReadTx) -> Consents:
    """Return each purpose with its text, what was decided and when."""
    return await consents.consents(uow, driver_id)


@router.put("/drivers/{driver_id}/consents", responses=problems(401, 403, 404, 409, 422), summary="Allow or withdraw")
async def put_consents(
    driver_id: Annotated[str, driver_for(Action.SET_CONSENTS)],
    body: ConsentsChange,
    caller: CurrentUser,
    consents: _Consents,
    pricing: _Pricing,
    uow: Tx,
) -> Consents:
    """Decide on purposes; those that are not named stay. It holds at once; the door hears of it within 5 s."""
    source = "driver" if caller.driver_id == driver_id else "staff"
    before = await consents.allowed(uow, driver_id, Purpose.TELEMATICS_PRICING)
    found = await consents.decide(uow, driver_id, body, decided_by=caller.user_id, source=source)
    after = await consents.allowed(uow, driver_id, Purpose.TELEMATICS_PRICING)
    if before != after:
        await pricing.indicate_anew(uow, driver_id, "consent_given" if after else "consent_withdrawn")
    return found


@router.get(
    "/drivers/{driver_id}/export",
    response_class=StreamingResponse,
    responses={**problems(401, 403, 404, 422, 429, 503), 200: {"content": {"application/zip": {}}}},
    summary="All own data",
)
async def export(driver_id: Annotated[str, driver_for(Action.EXPORT)], exports: _Exports) -> StreamingResponse:
    """Return a zip of JSON, CSV and GPX with a manifest of counts and checksums; archived months are in it."""
    file = await exports.export(driver_id)
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{driver_id}.zip"',
    }
    return StreamingResponse(pieces(file), media_type="application/zip", headers=headers)


@router.get("/privacy/erasures", responses=problems(401, 403, 422), summary="Erasure requests")
async def list_erasures(
    eraser: _Eraser,
    page: PageParams,
    desk: _Desk,
    uow: ReadTx,
    wanted: Annotated[ErasureStatus | None, Query(alias="status", description="Only these.")] = None,
) -> Page[ErasureRequest]:
    """List requests, the oldest first."""
    items, total = await desk.requests(
        uow, None if wanted is None else wanted.value, limit=page.limit, offset=page.offset
    )
    return Page[ErasureRequest].of(items, total, page)


@router.get("/privacy/erasures/{request_id}", responses=_ERRORS, summary="An erasure and how far it is")
async def get_erasure(request_id: UUID, eraser: _Eraser, erasures: _Erasures, uow: ReadTx) -> ErasureState:
    """Return the request, the steps that have begun, and the proof once there is one."""
    return await erasures.state(uow, request_id)


@router.get("/privacy/erasures/{request_id}/plan", responses=_ERRORS, summary="What erasing would do")
async def plan_erasure(request_id: UUID, eraser: _Eraser, erasures: _Erasures) -> ErasurePlan:
    """Count what would go and what stays, and say why. Nothing changes."""
    return await erasures.plan(request_id)


@router.post(
    "/privacy/erasures/{request_id}/execute",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(401, 403, 404, 409, 422),
    summary="Carry an erasure out",
)
async def execute_erasure(request_id: UUID, eraser: _Eraser, erasures: _Erasures, uow: Tx) -> ErasureRequest:
    """Close the doors now: nothing new comes in. The scheduler does the rest within a minute; it can't be undone."""
    return await erasures.begin(uow, request_id, by=eraser.username)


@router.post(
    "/privacy/erasures/{request_id}/refuse",
    responses=problems(401, 403, 404, 409, 422),
    summary="Decline an erasure",
)
async def refuse_erasure(request_id: UUID, body: RefusalIn, eraser: _Eraser, desk: _Desk, uow: Tx) -> ErasureRequest:
    """Decline a request that was not begun, with the reason."""
    return await desk.refuse(uow, request_id, decided_by=eraser.username, note=body.note)


@router.get("/privacy/proofs/{proof_id}", responses=_ERRORS, summary="The proof of an erasure")
async def get_proof(proof_id: UUID, eraser: _Eraser, erasures: _Erasures, uow: ReadTx) -> Proof:
    """Return what was erased: counts and checksums before and after, when and by whom."""
    return await erasures.proof(uow, proof_id)


@router.get("/privacy/proofs/{proof_id}/verify", responses=_ERRORS, summary="Is a proof still true?")
async def verify_proof(proof_id: UUID, eraser: _Eraser, erasures: _Erasures) -> Verdict:
    """Check the digest, the proof's place in the chain, and that nothing of the driver has come back."""
    return await erasures.verify(proof_id)
