"""Events on the topic ``premiums``, keyed by driver."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

PREMIUM_INDICATED = "premium.indicated"
PREMIUM_CHARGED = "premium.charged"


class PremiumCalculated(msgspec.Struct, frozen=True, kw_only=True):
    """A new version of a driver's premium. Amounts are decimal strings in the plan's currency."""

    premium_id: UUID
    driver_id: str
    version: int
    kind: str
    """``indicated`` or ``charged``."""
    annual_premium: str
    monthly_premium: str
    plan_version: str
    score_id: UUID | None
    calculated_at: datetime
    reason: str
