"""How a claim may move: one table of who may do what, and what must hold. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Status(StrEnum):
    """Where a claim stands."""

    DRAFT = "draft"
    REPORTED = "reported"
    OPEN = "open"
    INVESTIGATING = "investigating"
    APPROVED = "approved"
    DENIED = "denied"
    PAID = "paid"
    CLOSED = "closed"
    REOPENED = "reopened"
    WITHDRAWN = "withdrawn"


class Actor(StrEnum):
    """Who moves a claim."""

    DRIVER = "driver"
    STAFF = "staff"


class Decision(StrEnum):
    """What was decided of a claim."""

    APPROVED = "approved"
    DENIED = "denied"


class Reason(StrEnum):
    """Why a claim was denied or withdrawn."""

    NO_COVER = "no_cover"
    BELOW_DEDUCTIBLE = "below_deductible"
    NOT_INSURED = "not_insured"
    FRAUD = "fraud"
    DUPLICATE = "duplicate"
    ENTERED_IN_ERROR = "entered_in_error"
    BY_CLAIMANT = "by_claimant"
    OTHER = "other"


_BOTH = frozenset({Actor.DRIVER, Actor.STAFF})
_STAFF = frozenset({Actor.STAFF})
_S = Status
MOVES: Mapping[tuple[Status, Status], frozenset[Actor]] = {
    (_S.DRAFT, _S.REPORTED): _BOTH,
    (_S.DRAFT, _S.WITHDRAWN): _BOTH,
    (_S.REPORTED, _S.OPEN): _STAFF,
    (_S.REPORTED, _S.DENIED): _STAFF,
    (_S.REPORTED, _S.WITHDRAWN): _BOTH,
    (_S.OPEN, _S.INVESTIGATING): _STAFF,
    (_S.OPEN, _S.APPROVED): _STAFF,
    (_S.OPEN, _S.DENIED): _STAFF,
    (_S.OPEN, _S.WITHDRAWN): _BOTH,
    (_S.INVESTIGATING, _S.OPEN): _STAFF,
    (_S.INVESTIGATING, _S.APPROVED): _STAFF,
    (_S.INVESTIGATING, _S.DENIED): _STAFF,
    (_S.INVESTIGATING, _S.WITHDRAWN): _BOTH,
    (_S.APPROVED, _S.PAID): _STAFF,
    (_S.APPROVED, _S.INVESTIGATING): _STAFF,
    (_S.APPROVED, _S.CLOSED): _STAFF,
    (_S.DENIED, _S.REOPENED): _STAFF,
    (_S.DENIED, _S.CLOSED): _STAFF,
    (_S.PAID, _S.CLOSED): _STAFF,
    (_S.CLOSED, _S.REOPENED): _STAFF,
    (_S.REOPENED, _S.INVESTIGATING): _STAFF,
    (_S.REOPENED, _S.APPROVED): _STAFF,
    (_S.REOPENED, _S.DENIED): _STAFF,
    (_S.REOPENED, _S.CLOSED): _STAFF,
}
"""Nothing moves that is not in here. A withdrawn claim stays so: whoever changes their mind reports anew."""

ENDS = frozenset({Status.CLOSED, Status.WITHDRAWN, Status.DENIED})
"""Where nothing is expected to be paid any more: what is left of the reserve is released."""
PAYABLE = frozenset({Status.APPROVED, Status.PAID})
RESERVABLE = frozenset(Status) - {Status.DRAFT, *ENDS}
RECOVERABLE = frozenset({Status.PAID, Status.CLOSED, Status.REOPENED, Status.APPROVED})
_NO_CLAIM = frozenset({Reason.NO_COVER, Reason.DUPLICATE, Reason.ENTERED_IN_ERROR})


class Refusal(StrEnum):
    """Why a move is not made."""

    NO_SUCH_MOVE = "no_such_move"
    NOT_YOURS = "not_yours"
    INCOMPLETE = "incomplete"
    REASON_MISSING = "reason_missing"
    NOT_COVERED = "not_covered"
    NOTHING_PAID = "nothing_paid"
    ALREADY_PAID = "already_paid"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a move is judged by."""

    status: Status
    complete: bool
    """Whether all that a report needs is there."""
    covered: bool
    paid: Decimal
    """Paid so far, in the claim's currency."""


def refusal(facts: Facts, to: Status, actor: Actor, reason: Reason | None) -> Refusal | None:
    """Return why a move is refused, None if it may be made."""
    allowed = MOVES.get((facts.status, to))
    if allowed is None:
        return Refusal.NO_SUCH_MOVE
    if actor not in allowed:
        return Refusal.NOT_YOURS
    return _condition(facts, to, actor, reason)


def _condition(facts: Facts, to: Status, actor: Actor, reason: Reason | None) -> Refusal | None:
    if to is Status.REPORTED and not facts.complete:
        return Refusal.INCOMPLETE
    if to is Status.APPROVED and not facts.covered:
        return Refusal.NOT_COVERED
    if to is Status.PAID and facts.paid <= 0:
        return Refusal.NOTHING_PAID
    if to in {Status.WITHDRAWN, Status.DENIED} and facts.paid > 0:
        return Refusal.ALREADY_PAID
    # A claimant needs no reason to take a claim back.
    if reason is None and (to is Status.DENIED or (to is Status.WITHDRAWN and actor is Actor.STAFF)):
        return Refusal.REASON_MISSING
    return None


def moves_from(status: Status, actor: Actor) -> list[Status]:
    """Return where an actor may move a claim to, conditions aside."""
    return [to for (before, to), actors in MOVES.items() if before is status and actor in actors]


def decision_after(before: Decision | None, to: Status) -> Decision | None:
    """Return what is decided of a claim after a move; looking into it again undoes a decision."""
    if to is Status.APPROVED:
        return Decision.APPROVED
    if to is Status.DENIED:
        return Decision.DENIED
    return None if to in {Status.REOPENED, Status.INVESTIGATING, Status.OPEN} else before


def is_claim(status: Status, reason: Reason | None) -> bool:
    """Tell whether a claim is one to learn from and to count in a loss ratio.

    It is not while it is a draft, when it was withdrawn, or when it was denied for want of cover, as a duplicate or as
    entered in error.
    """
    if status in {Status.DRAFT, Status.WITHDRAWN}:
        return False
    return reason not in _NO_CLAIM
