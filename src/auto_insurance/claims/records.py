"""Claims as records: made, looked up for somebody, covered, moved."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from auto_insurance.claims import amounts, repository
from auto_insurance.claims.amounts import Balances
from auto_insurance.claims.cover import CoverSource, LossCover
from auto_insurance.claims.errors import ClaimNotFound
from auto_insurance.claims.lifecycle import Decision, Reason, Status
from auto_insurance.claims.repository import ClaimRow, MoveRow
from auto_insurance.claims.schemas import ClaimSource, PlaceIn, TransitionIn
from auto_insurance.identity import policy
from auto_insurance.identity.policy import Action
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock

CURRENCY = "USD"
"""Of claims without a policy; a covered one has its policy's."""
_UNKNOWN = (
    "coverage", "latitude", "longitude", "description", "crash_device_id", "crash_event_id", "policy_id", "term",
    "cover_limit", "deductible", "cover_checked_at", "decision", "decision_reason", "fault_share", "created_by",
    "reported_at",
)  # fmt: skip


async def new_claim(uow: UnitOfWork, *, source: ClaimSource, **known: Any) -> ClaimRow:
    """Return a claim with a fresh number; what is not given is unknown. Stores nothing."""
    now = clock.now()
    blank: dict[str, Any] = dict.fromkeys(_UNKNOWN)
    blank |= dict.fromkeys(("reserve", "paid", "recovered"), amounts.ZERO)
    blank |= {"revision": 0, "injuries": False, "others_involved": False, "counts": False, "currency": CURRENCY}
    claim_id = await repository.next_claim_id(uow)
    made = {"claim_id": claim_id, "source": source.value, "created_at": now, "updated_at": now}
    return ClaimRow(**{**blank, **made, **known})


def own(claim: ClaimRow | None, by: Principal, action: Action) -> ClaimRow:
    """Return a claim that the caller may do this with: its driver and staff. Raises ``ClaimNotFound``."""
    if claim is None or not policy.allows(by, action, claim.driver_id):
        raise ClaimNotFound
    return claim


async def with_cover(uow: UnitOfWork, source: CoverSource, claim: ClaimRow) -> ClaimRow:
    """Look up what covered the loss; what was found once holds."""
    if claim.policy_id is not None or claim.coverage is None:
        return claim
    cover = await source.for_loss(uow, claim.driver_id, claim.vehicle_id, claim.occurred_at, claim.coverage)
    if cover is None:
        return msgspec.structs.replace(claim, cover_checked_at=clock.now())
    return _covered(claim, cover)


def _covered(claim: ClaimRow, cover: LossCover) -> ClaimRow:
    return msgspec.structs.replace(
        claim,
        policy_id=cover.policy_id,
        term=cover.term,
        cover_limit=cover.limit,
        deductible=cover.deductible,
        cover_checked_at=clock.now(),
        # Money that was booked before stays in the currency it was booked in.
        currency=claim.currency if balances_of(claim) != Balances() else cover.currency,
    )


async def note_move(
    uow: UnitOfWork,
    claim: ClaimRow,
    before: Status | None,
    actor: str,
    by: UUID | None,
    move: TransitionIn | None = None,
) -> None:
    """Write down that a claim came to where it is now."""
    row = MoveRow(
        claim_id=claim.claim_id,
        seq=0,
        from_status=value_of(before),
        to_status=claim.status,
        reason=None if move is None else value_of(move.reason),
        note=None if move is None else move.note,
        moved_at=clock.now(),
        actor=actor,
        moved_by=by,
    )
    await repository.add_move(uow, row)
    said = {} if row.note is None else {"note": row.note}
    uow.note("claim", claim.claim_id, private=said, status=[row.from_status, row.to_status], reason=row.reason)
    uow.note("driver", claim.driver_id)


def balances_of(claim: ClaimRow) -> Balances:
    """Return a claim's money."""
    return Balances(claim.reserve, claim.paid, claim.recovered)


def place_fields(place: PlaceIn | None) -> dict[str, float | None]:
    """Return the columns of a place."""
    return {
        "latitude": None if place is None else place.latitude,
        "longitude": None if place is None else place.longitude,
    }


def value_of(value: Status | Reason | Decision | None) -> str | None:
    """Return what is stored of a choice."""
    return None if value is None else value.value
