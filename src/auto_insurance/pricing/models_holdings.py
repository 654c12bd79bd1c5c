"""What pricing holds of a driver."""

from __future__ import annotations

from auto_insurance.infra.db.holdings import Fate, Holding
from auto_insurance.pricing.models import premiums, quotes

HOLDINGS = (
    Holding(
        premiums,
        Fate.PSEUDONYMISED,
        "what was charged can be made again by law, from the stored features; dates of birth and licence go",
        lambda s: premiums.c.driver_id == s.driver_id,
        {"changes": premiums.c.changes.op("-")("date_of_birth").op("-")("licence_date")},
    ),
    Holding(
        quotes,
        Fate.DELETED,
        "offers; what was bound is in the policy and its premiums",
        lambda s: quotes.c.driver_id == s.driver_id,
    ),
)
