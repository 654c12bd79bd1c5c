"""Events on the topic ``policies``, keyed by driver."""

from __future__ import annotations

from datetime import datetime

import msgspec

POLICY_BOUND = "policy.bound"
POLICY_ACTIVATED = "policy.activated"
POLICY_ENDORSED = "policy.endorsed"
POLICY_CANCELLED = "policy.cancelled"
POLICY_LAPSED = "policy.lapsed"
POLICY_REINSTATED = "policy.reinstated"
POLICY_RENEWED = "policy.renewed"
POLICY_EXPIRED = "policy.expired"


class InForce(msgspec.Struct, frozen=True):
    """A stretch of cover [from_at, to_at)."""

    from_at: datetime
    to_at: datetime


class PolicyChanged(msgspec.Struct, frozen=True, kw_only=True):
    """How a policy's term stands after a transaction; the type tells what happened. Amounts are decimal strings.

    Every event carries the whole of it: a reader keeps the one with the highest ``revision``.
    """

    policy_id: str
    driver_id: str
    term: int
    """1 for the first term, one more with each renewal."""
    revision: int
    """Counts the transactions of the policy."""
    transaction_id: str
    status: str
    """quoted, bound, active, lapsed, cancelled, expired or renewed."""
    effective_at: datetime
    term_start: datetime
    term_end: datetime
    in_force: tuple[InForce, ...]
    """Where the term has cover: without the time after a cancellation or in a lapse."""
    vehicle_ids: tuple[str, ...]
    product: str
    currency: str
    written_premium: str
    """Of the whole term, as of this transaction."""
    reason: str
    changed_at: datetime
