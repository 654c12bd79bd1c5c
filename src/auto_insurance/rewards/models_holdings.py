"""What rewards hold of a driver."""

from __future__ import annotations

from auto_insurance.infra.db.holdings import Fate, Holding
from auto_insurance.rewards.models import reward_entries, reward_redemptions, reward_trips

HOLDINGS = (
    Holding(
        reward_trips, Fate.DELETED, "what points are counted from", lambda s: reward_trips.c.driver_id == s.driver_id
    ),
    Holding(reward_entries, Fate.DELETED, "points, day by day", lambda s: reward_entries.c.driver_id == s.driver_id),
    Holding(
        reward_redemptions,
        Fate.KEPT,
        "money that was credited to a policy: accounting law; it holds ids and amounts",
        lambda s: reward_redemptions.c.driver_id == s.driver_id,
    ),
)
