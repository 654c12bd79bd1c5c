"""What others hear of claims: domain events in the transaction of the change."""

from __future__ import annotations

import msgspec

from auto_insurance.claims import repository
from auto_insurance.claims.lifecycle import Status
from auto_insurance.claims.repository import ClaimRow
from auto_insurance.contracts import topics
from auto_insurance.contracts.claims import CLAIM_CHANGED, CLAIM_DRAFTED, CLAIM_REPORTED, ClaimState
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.events import new_event


async def announce(uow: UnitOfWork, claim: ClaimRow, before: Status | None) -> ClaimRow:
    """Save a claim under its next revision and tell of it. ``before`` is where it stood, None for a new one."""
    claim = msgspec.structs.replace(claim, revision=claim.revision + 1)
    await repository.save_claim(uow, claim)
    event = new_event(state_of(claim), type=_type(claim, before), version=1, key=claim.driver_id)
    uow.publish(topics.CLAIMS, event)
    return claim


def _type(claim: ClaimRow, before: Status | None) -> str:
    if claim.status == Status.DRAFT:
        return CLAIM_DRAFTED
    return CLAIM_REPORTED if claim.status == Status.REPORTED and before in {None, Status.DRAFT} else CLAIM_CHANGED


def state_of(claim: ClaimRow) -> ClaimState:
    """Return a claim as the topic tells of it."""
    return ClaimState(
        claim_id=claim.claim_id,
        driver_id=claim.driver_id,
        policy_id=claim.policy_id,
        vehicle_id=claim.vehicle_id,
        revision=claim.revision,
        status=claim.status,
        coverage=claim.coverage or "",
        occurred_at=claim.occurred_at,
        reported_at=claim.reported_at or claim.created_at,
        fault_share=None if claim.fault_share is None else str(claim.fault_share),
        currency=claim.currency,
        reserve=str(claim.reserve),
        paid=str(claim.paid),
        recovered=str(claim.recovered),
        counts=claim.counts,
    )
