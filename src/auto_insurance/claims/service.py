"""Use cases of claims; with :mod:`intake` the only writer of their tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec
import structlog

from auto_insurance.claims import amounts, lifecycle, repository, repository_evidence
from auto_insurance.claims.amounts import AmountRefusal, Entry
from auto_insurance.claims.announcing import announce
from auto_insurance.claims.cover import CoverSource, LossCover, Policies, PolicyCover
from auto_insurance.claims.errors import (
    ClaimAmountRefused,
    ClaimMoveNotAllowed,
    ClaimMoveRefused,
    ClaimNotCovered,
    ClaimNotFound,
)
from auto_insurance.claims.freezing import Devices, Freezer, Telemetry, verify, whole
from auto_insurance.claims.intake import ClaimIntake, Drivers
from auto_insurance.claims.lifecycle import Actor, Decision, Facts, Reason, Refusal, Status
from auto_insurance.claims.records import balances_of, note_move, own, value_of, with_cover
from auto_insurance.claims.repository import AmountRow, ClaimFilter, ClaimRow, MoveRow
from auto_insurance.claims.repository_evidence import EvidenceRow
from auto_insurance.claims.schemas import AmountIn, EvidenceCheck, Incurred, TransitionIn
from auto_insurance.identity import policy
from auto_insurance.identity.policy import Action
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock

log = structlog.get_logger(__name__)
__all__ = [
    "ClaimDossier",
    "ClaimFilter",
    "ClaimIntake",
    "ClaimService",
    "CoverSource",
    "Freezer",
    "LossCover",
    "compose",
]
_REFUSALS = {
    Refusal.NO_SUCH_MOVE: "A claim does not go that way from where it stands.",
    Refusal.INCOMPLETE: "The report needs a coverage and a description first.",
    Refusal.REASON_MISSING: "Give a reason.",
    Refusal.NOTHING_PAID: "Nothing was paid yet.",
    Refusal.ALREADY_PAID: "Something was paid already; correct the payment first.",
}
_AMOUNT_REFUSALS = {
    AmountRefusal.STATUS: "Nothing of this kind is booked while the claim stands so.",
    AmountRefusal.NEGATIVE_RESERVE: "A reserve is not below 0.",
    AmountRefusal.ZERO: "The amount is 0.",
    AmountRefusal.BELOW_ZERO: "More would be taken back than there is.",
    AmountRefusal.OVER_LIMIT: "More would be paid than the cover's limit.",
    AmountRefusal.MORE_THAN_PAID: "More would be recovered than was paid.",
}


class People(Drivers, Devices, Protocol):
    """What claims need of the drivers service."""


@dataclass(frozen=True, slots=True)
class ClaimDossier:
    """A claim with all that belongs to it. ``evidence`` is the version asked for."""

    claim: ClaimRow
    moves: Sequence[MoveRow]
    amounts: Sequence[AmountRow]
    evidence: EvidenceRow | None
    versions: int


class ClaimService:
    """Moves, pays and shows claims."""

    def __init__(self, cover: CoverSource, freezer: Freezer) -> None:
        self._cover = cover
        self._freezer = freezer

    async def move(self, uow: UnitOfWork, claim_id: str, move: TransitionIn, by: Principal) -> ClaimRow:
        """Move a claim along the table of :mod:`lifecycle`.

        Raises ``ClaimNotFound``, ``ClaimMoveNotAllowed``, ``ClaimNotCovered``, ``ClaimMoveRefused``.
        """
        claim = await self._locked(uow, claim_id, by, Action.EDIT_CLAIMS)
        actor = actor_of(by)
        if actor is Actor.DRIVER and move.fault_share is not None:
            raise ClaimMoveNotAllowed
        if move.to in {Status.REPORTED, Status.APPROVED}:
            claim = await with_cover(uow, self._cover, claim)
        self._refuse(claim, move, actor)
        before, now = Status(claim.status), clock.now()
        if move.to in lifecycle.ENDS:
            claim = await self._release(uow, claim, by.user_id)
        decision = lifecycle.decision_after(None if claim.decision is None else Decision(claim.decision), move.to)
        reason = _reason_after(claim, move, actor)
        claim = msgspec.structs.replace(
            claim,
            status=move.to.value,
            decision=value_of(decision),
            decision_reason=value_of(reason),
            fault_share=claim.fault_share if move.fault_share is None else move.fault_share,
            counts=lifecycle.is_claim(move.to, reason),
            reported_at=now if move.to is Status.REPORTED else claim.reported_at,
            updated_at=now,
        )
        await note_move(uow, claim, before, actor.value, by.user_id, move)
        if move.to is Status.REPORTED:
            await self._freezer.freeze(uow, claim, "reported")
        return await announce(uow, claim, before)

    async def book(self, uow: UnitOfWork, claim_id: str, amount: AmountIn, by: Principal) -> ClaimRow:
        """Book money of a claim. Raises ``ClaimNotFound``, ``ClaimAmountRefused``."""
        claim = await self._locked(uow, claim_id, by, Action.READ_CLAIMS)
        try:
            entries = amounts.book(
                balances_of(claim), Status(claim.status), amount.kind, amount.amount, claim.cover_limit
            )
        except amounts.Refused as refused:
            raise ClaimAmountRefused(_AMOUNT_REFUSALS[refused.why]) from refused
        if not entries:
            return claim
        claim = await self._book(uow, claim, entries, by.user_id, amount.note)
        return await announce(uow, claim, Status(claim.status))

    async def freeze_again(self, uow: UnitOfWork, claim_id: str, reason: str) -> EvidenceRow | None:
        """Freeze what came since as a further version; None if nothing did, or the claim was withdrawn.

        Raises ``ClaimNotFound``.
        """
        claim = await repository.get_claim(uow, claim_id, lock=True)
        if claim is None:
            raise ClaimNotFound
        return None if claim.status == Status.WITHDRAWN else await self._freezer.freeze(uow, claim, reason)

    async def telemetry_changed(self, uow: UnitOfWork, driver_id: str, start: datetime, end: datetime) -> int:
        """Freeze the evidence of a driver's losses in [start, end] again; return how many got a further version."""
        found = await repository_evidence.claims_around(uow, driver_id, start, end)
        return sum([await self.freeze_again(uow, claim_id, "late_events") is not None for claim_id in found])

    # --- reading ---

    async def listed(
        self, uow: UnitOfWork, wanted: ClaimFilter, *, limit: int, offset: int
    ) -> tuple[Sequence[ClaimRow], int]:
        """Return a page of claims and how many there are."""
        return await repository.list_claims(uow, wanted, limit=limit, offset=offset)

    async def dossier(self, uow: UnitOfWork, claim_id: str, by: Principal, version: int | None = None) -> ClaimDossier:
        """Return a claim with its moves, money and evidence (the newest by default).

        Raises ``ClaimNotFound``; a version that there is not gives no evidence.
        """
        claim = own(await repository.get_claim(uow, claim_id), by, Action.READ_CLAIMS)
        versions = await repository_evidence.versions_of(uow, claim_id)
        wanted = len(versions) if version is None else version
        chosen = next((row for row in versions if row.version == wanted), None)
        return ClaimDossier(
            claim=claim,
            moves=await repository.moves_of(uow, claim_id),
            amounts=await repository.amounts_of(uow, claim_id),
            evidence=chosen,
            versions=len(versions),
        )

    async def check_evidence(self, uow: UnitOfWork, claim_id: str, by: Principal) -> EvidenceCheck:
        """Tell whether a claim's evidence is as it was frozen. Raises ``ClaimNotFound``, ``ArchiveDamaged``."""
        return await self._freezer.check(uow, own(await repository.get_claim(uow, claim_id), by, Action.READ_CLAIMS))

    async def damaged(self, uow: UnitOfWork, after: str, limit: int) -> tuple[list[str], list[str]]:
        """Look at the evidence of up to ``limit`` claims from past ``after`` on.

        Returns their numbers in order, and of these the ones whose evidence is not as it was frozen.
        """
        looked_at = await repository_evidence.claims_with_evidence(uow, after, limit)
        found = [
            claim_id
            for claim_id in looked_at
            if not whole(verify(await repository_evidence.versions_of(uow, claim_id)))
        ]
        return looked_at, found

    async def incurred(self, uow: UnitOfWork, since: datetime, until: datetime) -> list[Incurred]:
        """Return what claims with a loss in [since, until) cost as of now, by currency."""
        return await repository.incurred(uow, since, until)

    # --- inner ---

    @staticmethod
    def _refuse(claim: ClaimRow, move: TransitionIn, actor: Actor) -> None:
        facts = Facts(
            status=Status(claim.status),
            complete=claim.coverage is not None and claim.description is not None,
            covered=claim.policy_id is not None,
            paid=claim.paid,
        )
        refusal = lifecycle.refusal(facts, move.to, actor, move.reason)
        if refusal is Refusal.NOT_YOURS:
            raise ClaimMoveNotAllowed
        if refusal is Refusal.NOT_COVERED:
            raise ClaimNotCovered
        if refusal is not None:
            raise ClaimMoveRefused(_REFUSALS[refusal])

    async def _release(self, uow: UnitOfWork, claim: ClaimRow, by: UUID) -> ClaimRow:
        entries = amounts.release(balances_of(claim))
        return await self._book(uow, claim, entries, by, "released") if entries else claim

    @staticmethod
    async def _book(uow: UnitOfWork, claim: ClaimRow, entries: Sequence[Entry], by: UUID, note: str | None) -> ClaimRow:
        now, after = clock.now(), balances_of(claim)
        rows = []
        for entry in entries:
            after = after.after(entry)
            rows.append(
                AmountRow(
                    claim_id=claim.claim_id,
                    seq=0,
                    kind=entry.kind.value,
                    change=entry.change,
                    balance=entry.balance,
                    note=note,
                    booked_at=now,
                    booked_by=by,
                )
            )
        await repository.add_amounts(uow, rows)
        booked = [f"{entry.kind.value} {entry.change}" for entry in entries]
        uow.note("claim", claim.claim_id, private={} if note is None else {"note": note}, booked=booked)
        return msgspec.structs.replace(
            claim, reserve=after.reserve, paid=after.paid, recovered=after.recovered, updated_at=now
        )

    @staticmethod
    async def _locked(uow: UnitOfWork, claim_id: str, by: Principal, action: Action) -> ClaimRow:
        return own(await repository.get_claim(uow, claim_id, lock=True), by, action)


def compose(policies: Policies, drivers: People, telemetry: Telemetry) -> tuple[ClaimIntake, ClaimService]:
    """Return the services of claims over those of other domains."""
    cover, freezer = PolicyCover(policies), Freezer(telemetry, drivers)
    return ClaimIntake(drivers, cover, freezer), ClaimService(cover, freezer)


def actor_of(by: Principal) -> Actor:
    """Return as whom somebody moves claims."""
    return Actor.STAFF if policy.acts_for_others(by, Action.EDIT_CLAIMS) else Actor.DRIVER


def viewer_of(by: Principal) -> Actor | None:
    """Return as whom somebody could move the claims that it sees; None for who only reads."""
    return None if policy.reach(by, Action.EDIT_CLAIMS) is None else actor_of(by)


def _reason_after(claim: ClaimRow, move: TransitionIn, actor: Actor) -> Reason | None:
    """Return why a claim was denied or withdrawn after a move; closing keeps it, looking into it again clears it."""
    if move.to in {Status.DENIED, Status.WITHDRAWN}:
        return move.reason or (Reason.BY_CLAIMANT if actor is Actor.DRIVER else Reason.OTHER)
    kept = claim.decision_reason if move.to is Status.CLOSED else None
    return None if kept is None else Reason(kept)
