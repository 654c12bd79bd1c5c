"""Events on the topic ``claims``, keyed by driver."""

from __future__ import annotations

from datetime import datetime

import msgspec

CLAIM_DRAFTED = "claim.drafted"
"""A device crashed: somebody should complete the draft or withdraw it."""
CLAIM_REPORTED = "claim.reported"
CLAIM_CHANGED = "claim.changed"


class ClaimState(msgspec.Struct, frozen=True, kw_only=True):
    """How a claim stands. Amounts are decimal strings; a reader keeps the one with the highest ``revision``."""

    claim_id: str
    driver_id: str
    policy_id: str | None
    """None while no policy covers the loss."""
    vehicle_id: str | None
    revision: int
    status: str
    coverage: str
    """What is claimed under: liability, collision, comprehensive; empty while a draft does not say."""
    occurred_at: datetime
    reported_at: datetime
    """Of a draft, when it was opened."""
    fault_share: str | None
    """The driver's share of the fault, 0 to 1; None before it is decided."""
    currency: str
    reserve: str
    paid: str
    recovered: str
    counts: bool
    """False for what is no claim to learn from: withdrawn, refused for want of cover, or entered in error."""
