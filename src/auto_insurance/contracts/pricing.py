"""Events on the topic ``premiums``, keyed by driver."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import msgspec

PREMIUM_INDICATED = "premium.indicated"
PREMIUM_CHARGED = "premium.charged"
PREMIUM_CORRECTED = "premium.corrected"


class PremiumCalculated(msgspec.Struct, frozen=True, kw_only=True):
    """A new version of a driver's premium. Amounts are decimal strings in the plan's currency.

    ``premium.corrected`` follows the ``premium.charged`` of the same version: what an earlier one rested on turned out
    otherwise, and from ``effective_date`` on this one holds. Whoever bills takes the difference from it.
    """

    premium_id: UUID
    driver_id: str
    version: int
    kind: str
    """``indicated`` or ``charged``; a correction is charged."""
    annual_premium: str
    monthly_premium: str
    plan_version: str
    score_id: UUID | None
    calculated_at: datetime
    reason: str
    effective_date: date | None = None
    """First day of the price."""
    policy_id: str | None = None
    segment: int | None = None
    """For which policy, and which part of its term, it is charged."""
    corrects: int | None = None
    """The version whose place it takes; ``annual_premium_before`` is that version's."""
    corrected_premium_id: UUID | None = None
    annual_premium_before: str | None = None
    cause: str | None = None
    """What came to light, such as ``trip.amended``."""


class PremiumCorrected(PremiumCalculated, frozen=True, kw_only=True):
    """The same as a reader of ``premium.corrected`` finds it: what is always there."""

    effective_date: date
    corrects: int
    corrected_premium_id: UUID
    annual_premium_before: str
    cause: str
