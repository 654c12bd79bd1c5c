"""Routes of claims."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response, status
from pydantic import AwareDatetime

from auto_insurance.claims.lifecycle import Status
from auto_insurance.claims.schemas import (
    AmountIn,
    ClaimDetail,
    ClaimIn,
    ClaimOut,
    ClaimPatch,
    ClaimSort,
    EvidenceCheck,
    TransitionIn,
)
from auto_insurance.claims.service import ClaimFilter, ClaimIntake, ClaimService, viewer_of
from auto_insurance.claims.views import claim_out, detail_out
from auto_insurance.drivers.service import Precision
from auto_insurance.identity.deps import MayLocate, drivers_for, may, staff
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.policy import ME, Action, resolve_driver
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.infra.http.idempotency import Once, OnceIfAsked
from auto_insurance.infra.http.pagination import Page, PageParams

router = APIRouter(prefix="/claims", tags=["claims"])
Claims = Annotated[ClaimService, service(ClaimService)]
Intake = Annotated[ClaimIntake, service(ClaimIntake)]
ClaimId = Annotated[str, Path(pattern=r"^CLM-[0-9]{6,12}$", description="A claim's number.", examples=["CLM-000001"])]
Reader = Annotated[Principal, may(Action.READ_CLAIMS)]
Reporter = Annotated[Principal, may(Action.REPORT_CLAIMS)]
Manager = Annotated[Principal, staff(Permission.MANAGE_CLAIMS)]
Editor = Annotated[Principal, may(Action.EDIT_CLAIMS)]
MAX_VERSION = 1000


class ClaimQuery:
    """The filters that the list takes."""

    def __init__(
        self,
        status: Annotated[Status | None, Query(description="Only claims that stand so.")] = None,
        since: Annotated[AwareDatetime | None, Query(alias="from", description="Losses at or after this.")] = None,
        until: Annotated[AwareDatetime | None, Query(alias="to", description="Losses before this.")] = None,
        sort: Annotated[ClaimSort, Query(description="The order; a minus means the latest first.")] = (
            ClaimSort.OCCURRED_DESC
        ),
    ) -> None:
        self.status, self.since, self.until, self.sort = status, since, until, sort

    def of(self, driver_id: str | None) -> ClaimFilter:
        """Return the filter for one driver, or for all."""
        wanted = None if self.status is None else self.status.value
        return ClaimFilter(driver_id, wanted, self.since, self.until, self.sort)


def driver_of(caller: Principal, driver_id: str | None) -> str:
    """Return whose claim somebody reports: staff name a driver, a driver means itself. Raises ``DriverNotFound``."""
    return resolve_driver(caller, Action.REPORT_CLAIMS, driver_id or ME)


class Seer:
    """Shows a claim as exact as the caller may see its places."""

    def __init__(self, caller: Reader, locates: MayLocate, claims: Claims) -> None:
        self._caller, self._locates, self._claims = caller, locates, claims
        self._precision = Precision()

    async def shown(self, uow: UnitOfWork, claim_id: str, version: int | None = None) -> ClaimDetail:
        """Return a claim with its evidence. Raises what ``ClaimService.dossier`` raises."""
        detail = detail_out(await self._claims.dossier(uow, claim_id, self._caller, version), viewer_of(self._caller))
        return (await self._precision.of_each(uow, self._caller, self._locates, [detail]))[0]


Sight = Annotated[Seer, Depends()]


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=ClaimDetail,
    responses=problems(401, 403, 404, 409, 422, 503),
    summary="Report a loss",
)
async def report(body: ClaimIn, caller: Reporter, sight: Sight, intake: Intake, once: OnceIfAsked, uow: Tx) -> Response:
    """Take a first notice of loss, check the cover at its time and freeze the telemetry around it.

    If the device reported a crash at that time, its draft is completed.
    """

    async def work() -> ClaimDetail:
        claim = await intake.report(uow, driver_of(caller, body.driver_id), body, caller)
        return await sight.shown(uow, claim.claim_id)

    return await once.run(caller.user_id, work, status=status.HTTP_201_CREATED)


@router.get("", responses=problems(401, 403, 404, 422), summary="Claims")
async def list_claims(
    driver_id: Annotated[str | None, drivers_for(Action.READ_CLAIMS)],
    page: PageParams,
    claims: Claims,
    uow: ReadTx,
    filters: Annotated[ClaimQuery, Depends()],
) -> Page[ClaimOut]:
    """List claims. A driver sees its own."""
    found, total = await claims.listed(uow, filters.of(driver_id), limit=page.limit, offset=page.offset)
    return Page[ClaimOut].of([claim_out(claim) for claim in found], total, page)


@router.get("/{claim_id}", responses=problems(401, 403, 404, 422), summary="A claim with its evidence")
async def get_claim(
    claim_id: ClaimId,
    sight: Sight,
    uow: ReadTx,
    evidence_version: Annotated[
        int | None, Query(ge=1, le=MAX_VERSION, description="Which frozen version to show; the newest by default.")
    ] = None,
) -> ClaimDetail:
    """Return moves, money, cover and the telemetry around the loss: path (GeoJSON), speeds, checksum."""
    return await sight.shown(uow, claim_id, evidence_version)


@router.patch("/{claim_id}", responses=problems(401, 403, 404, 409, 422), summary="Complete a draft")
async def edit_claim(
    claim_id: ClaimId, body: ClaimPatch, caller: Reporter, sight: Sight, intake: Intake, uow: Tx
) -> ClaimDetail:
    """Change the fields that are sent, while the claim is a draft."""
    await intake.edit(uow, claim_id, body, caller)
    return await sight.shown(uow, claim_id)


@router.post(
    "/{claim_id}/transition",
    responses=problems(401, 403, 404, 409, 422),
    summary="Move a claim",
)
async def move_claim(
    claim_id: ClaimId, body: TransitionIn, caller: Editor, claims: Claims, sight: Sight, uow: Tx
) -> ClaimDetail:
    """Move a claim to where it may go from where it stands; `may_move_to` names the ways."""
    await claims.move(uow, claim_id, body, caller)
    return await sight.shown(uow, claim_id)


@router.post(
    "/{claim_id}/amounts",
    status_code=status.HTTP_201_CREATED,
    response_model=ClaimDetail,
    responses=problems(401, 403, 404, 409, 422),
    summary="Book money of a claim",
)
async def book_amount(
    claim_id: ClaimId,
    body: AmountIn,
    admin: Manager,
    claims: Claims,
    sight: Sight,
    once: Once,
    uow: Tx,
) -> Response:
    """Set the reserve, pay, or note a recovery. A payment uses up the reserve; the history only grows."""

    async def work() -> ClaimDetail:
        await claims.book(uow, claim_id, body, admin)
        return await sight.shown(uow, claim_id)

    return await once.run(admin.user_id, work, status=status.HTTP_201_CREATED)


@router.get(
    "/{claim_id}/evidence/verify", responses=problems(401, 403, 404, 422, 503), summary="Check a claim's evidence"
)
async def verify_evidence(claim_id: ClaimId, caller: Reader, claims: Claims, uow: ReadTx) -> EvidenceCheck:
    """Compare each frozen version with its checksum, and the newest with the telemetry that is stored now."""
    return await claims.check_evidence(uow, claim_id, caller)
