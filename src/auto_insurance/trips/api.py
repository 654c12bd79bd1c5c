"""Routes of disputes: what a driver says against a trip, and what staff make of it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, status

from auto_insurance.identity.deps import CurrentUser, driver_for, drivers_for, staff
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.policy import Action
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.infra.http.pagination import Page, PageParams
from auto_insurance.trips.disputes import TripDisputes
from auto_insurance.trips.schemas_disputes import DecisionIn, DisputeIn, DisputeOut, DisputeStatus

router = APIRouter(tags=["trips"])
Disputes = Annotated[TripDisputes, service(TripDisputes)]


@router.post(
    "/drivers/{driver_id}/trips/{trip_id}/dispute",
    status_code=status.HTTP_201_CREATED,
    responses=problems(401, 403, 404, 409, 422),
    summary="Dispute a trip",
)
async def dispute_trip(
    driver_id: Annotated[str, driver_for(Action.DISPUTE_TRIPS)],
    trip_id: UUID,
    body: DisputeIn,
    caller: CurrentUser,
    disputes: Disputes,
    uow: Tx,
) -> DisputeOut:
    """Say that a trip was not the driver's or is wrong. Staff decide; until then it counts as before."""
    return DisputeOut.model_validate(await disputes.file(uow, driver_id, trip_id, body, caller.user_id))


@router.get("/trips/disputes", responses=problems(401, 403, 404, 422), summary="Disputes of trips")
async def list_disputes(
    driver_id: Annotated[str | None, drivers_for(Action.READ_TRIPS)],
    page: PageParams,
    disputes: Disputes,
    uow: ReadTx,
    status: Annotated[DisputeStatus | None, Query(description="Only those that stand so.")] = None,
) -> Page[DisputeOut]:
    """List disputes, newest first. A driver sees its own."""
    found, total = await disputes.listed(uow, driver_id, status, limit=page.limit, offset=page.offset)
    return Page[DisputeOut].of([DisputeOut.model_validate(one) for one in found], total, page)


@router.post(
    "/trips/disputes/{dispute_id}/decide",
    responses=problems(401, 403, 404, 409, 422),
    summary="Decide a dispute",
)
async def decide_dispute(
    dispute_id: UUID,
    body: DecisionIn,
    admin: Annotated[Principal, staff(Permission.DECIDE_DISPUTES)],
    disputes: Disputes,
    uow: Tx,
) -> DisputeOut:
    """Accept or reject. An accepted one takes the trip out of score, price and rewards, which follow by corrections."""
    return DisputeOut.model_validate(await disputes.decide(uow, dispute_id, body, admin.user_id))
