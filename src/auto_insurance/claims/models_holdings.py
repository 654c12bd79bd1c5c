"""What claims hold of a driver."""

from __future__ import annotations

from sqlalchemy import null

from auto_insurance.claims.models import claim_amounts, claim_evidence, claim_moves, claims
from auto_insurance.infra.db.holdings import Fate, Holding

_LAW = "claims are kept by law for the time in which they can be contested"

HOLDINGS = (
    Holding(
        claim_evidence,
        Fate.DELETED,
        "positions by the second around a loss; the claim is settled",
        lambda s: claim_evidence.c.claim_id.in_(s.claim_ids),
    ),
    Holding(
        claim_moves,
        Fate.PSEUDONYMISED,
        f"{_LAW}; free text goes",
        lambda s: claim_moves.c.claim_id.in_(s.claim_ids),
        {"note": null()},
    ),
    Holding(
        claim_amounts,
        Fate.PSEUDONYMISED,
        f"{_LAW}, and money is accounted for; free text goes",
        lambda s: claim_amounts.c.claim_id.in_(s.claim_ids),
        {"note": null()},
    ),
    Holding(
        claims,
        Fate.PSEUDONYMISED,
        f"{_LAW}; place, description and device go",
        lambda s: claims.c.driver_id == s.driver_id,
        dict.fromkeys(("latitude", "longitude", "description", "crash_device_id", "crash_event_id"), null()),
    ),
)
