"""Builds the answers of the routes from claims."""

from __future__ import annotations

from typing import Any

import msgspec

from auto_insurance.claims import evidence, lifecycle
from auto_insurance.claims.lifecycle import Actor, Status
from auto_insurance.claims.records import balances_of
from auto_insurance.claims.repository import ClaimRow
from auto_insurance.claims.repository_evidence import EvidenceRow
from auto_insurance.claims.schemas import (
    AmountOut,
    ClaimDetail,
    ClaimOut,
    CoverOut,
    EvidenceOut,
    LineString,
    MoveOut,
    Place,
    SpeedPoint,
)
from auto_insurance.claims.service import ClaimDossier


def claim_out(claim: ClaimRow) -> ClaimOut:
    """Return a claim as lists show it."""
    return ClaimOut(**_fields(claim))


def detail_out(dossier: ClaimDossier, viewer: Actor | None) -> ClaimDetail:
    """Return a claim with all that belongs to it, as seen by a driver, by staff, or by who only reads."""
    claim = dossier.claim
    place = None
    if claim.latitude is not None and claim.longitude is not None:
        place = Place(latitude=claim.latitude, longitude=claim.longitude)
    return ClaimDetail(
        **_fields(claim),
        description=claim.description,
        place=place,
        injuries=claim.injuries,
        others_involved=claim.others_involved,
        cover=_cover(claim),
        may_move_to=[] if viewer is None else lifecycle.moves_from(Status(claim.status), viewer),
        moves=[MoveOut.model_validate(move, from_attributes=True) for move in dossier.moves],
        amounts=[AmountOut.model_validate(entry, from_attributes=True) for entry in dossier.amounts],
        evidence=None if dossier.evidence is None else _evidence(claim, dossier.evidence, dossier.versions),
    )


def _fields(claim: ClaimRow) -> dict[str, Any]:
    stored = msgspec.structs.asdict(claim)
    names = set(ClaimOut.model_fields) - {"incurred", "fault_share"}
    share = claim.fault_share
    return {
        **{name: stored[name] for name in names},
        "fault_share": None if share is None else float(share),
        "incurred": balances_of(claim).incurred,
    }


def _cover(claim: ClaimRow) -> CoverOut | None:
    if claim.policy_id is None or claim.term is None or claim.cover_checked_at is None:
        return None
    return CoverOut(
        policy_id=claim.policy_id,
        term=claim.term,
        limit=claim.cover_limit,
        deductible=claim.deductible,
        checked_at=claim.cover_checked_at,
    )


def _evidence(claim: ClaimRow, row: EvidenceRow, versions: int) -> EvidenceOut:
    path = evidence.path(row.content)
    return EvidenceOut(
        version=row.version,
        versions=versions,
        reason=row.reason,
        frozen_at=row.frozen_at,
        window_start=row.window_start,
        window_end=row.window_end,
        devices=row.devices,
        event_count=row.event_count,
        checksum=row.checksum,
        path=LineString(coordinates=path) if len(path) > 1 else None,
        speeds=[SpeedPoint(**point) for point in evidence.speeds(row.content, claim.occurred_at)],
    )
