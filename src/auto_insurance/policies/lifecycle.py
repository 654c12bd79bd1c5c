"""Where a term of a policy stands and what may happen to it next: one table, pure.

A policy is a chain of terms. Each begins as a quote (the first from ``/quotes``, later ones as renewal offers), is
bound, becomes active on its first day and ends in one of three ways: cancelled, expired, or renewed by the next term.
Cover that stopped for want of payment has lapsed; it comes back without a gap or not at all.
"""

from __future__ import annotations

from enum import StrEnum

from auto_insurance.policies.errors import IllegalTransition


class Status(StrEnum):
    """Where a term stands."""

    QUOTED = "quoted"
    BOUND = "bound"
    ACTIVE = "active"
    LAPSED = "lapsed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    RENEWED = "renewed"


class Action(StrEnum):
    """What can happen to a term."""

    BIND = "bind"
    WITHDRAW = "withdraw"
    """Take back an offer that nobody has taken."""
    REOFFER = "reoffer"
    """Offer a term again that was withdrawn or cancelled before it began."""
    ACTIVATE = "activate"
    ENDORSE = "endorse"
    CANCEL = "cancel"
    LAPSE = "lapse"
    REINSTATE = "reinstate"
    """Of a term that has begun."""
    REBIND = "rebind"
    """Reinstate a term that has not begun yet."""
    RENEW = "renew"
    EXPIRE = "expire"


TRANSITIONS: dict[tuple[Status, Action], Status] = {
    (Status.QUOTED, Action.BIND): Status.BOUND,
    (Status.QUOTED, Action.WITHDRAW): Status.CANCELLED,
    (Status.BOUND, Action.ACTIVATE): Status.ACTIVE,
    (Status.BOUND, Action.ENDORSE): Status.BOUND,
    (Status.BOUND, Action.CANCEL): Status.CANCELLED,
    (Status.ACTIVE, Action.ENDORSE): Status.ACTIVE,
    (Status.ACTIVE, Action.CANCEL): Status.CANCELLED,
    (Status.ACTIVE, Action.LAPSE): Status.LAPSED,
    (Status.ACTIVE, Action.RENEW): Status.RENEWED,
    (Status.ACTIVE, Action.EXPIRE): Status.EXPIRED,
    (Status.LAPSED, Action.REINSTATE): Status.ACTIVE,
    (Status.LAPSED, Action.CANCEL): Status.CANCELLED,
    (Status.LAPSED, Action.EXPIRE): Status.EXPIRED,
    (Status.CANCELLED, Action.REINSTATE): Status.ACTIVE,
    (Status.CANCELLED, Action.REBIND): Status.BOUND,
    (Status.CANCELLED, Action.REOFFER): Status.QUOTED,
}
"""Nothing may happen that is not in here."""

OPEN = frozenset({Status.BOUND, Status.ACTIVE})
"""A term in one of these has cover now or will have it."""
FINAL = frozenset({Status.EXPIRED, Status.RENEWED})
"""Nothing happens to a term in one of these."""


def after(status: Status, action: Action) -> Status:
    """Return where a term stands after an action. Raises ``IllegalTransition`` naming what would be possible."""
    found = TRANSITIONS.get((status, action))
    if found is None:
        raise IllegalTransition(status.value, action.value, sorted(one.value for one in possible(status)))
    return found


def possible(status: Status) -> frozenset[Action]:
    """Return what may happen to a term that stands there."""
    return frozenset(action for before, action in TRANSITIONS if before is status)
