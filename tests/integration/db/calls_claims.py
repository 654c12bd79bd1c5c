"""Arguments for the functions that hold the SQL of disputes, claims and rewards."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from auto_insurance.claims.amounts import ZERO
from auto_insurance.claims.repository import AmountRow, ClaimFilter, ClaimRow, MoveRow
from auto_insurance.claims.repository_evidence import EvidenceRow
from auto_insurance.claims.schemas import ClaimSort
from auto_insurance.kernel import ids
from auto_insurance.rewards.repository import EntryRow, RedemptionRow
from auto_insurance.rewards.rules import RewardTrip
from auto_insurance.trips.repository_disputes import Dispute

NOW = datetime.now(UTC)
TODAY, MONTH = NOW.date(), timedelta(days=30)
DRIVER, CLAIM = "DRV00042", "CLM-000042"


def uuid(kind: str, number: int = 42) -> UUID:
    """Return the uuid of a filled row, see ``filling.uuid``."""
    return UUID(hashlib.md5(f"{kind}{number}".encode(), usedforsecurity=False).hexdigest())


def _dispute() -> Dispute:
    return Dispute(
        dispute_id=ids.new_uuid(), trip_id=uuid("trip", 19_999), driver_id=DRIVER, reason="not_me", note=None,
        status="open", created_at=NOW, created_by=uuid("user"),
    )  # fmt: skip


def _claim(claim_id: str) -> ClaimRow:
    return ClaimRow(
        claim_id=claim_id, driver_id=DRIVER, vehicle_id=None, status="open", revision=2, coverage="collision",
        occurred_at=NOW, time_zone="UTC", latitude=None, longitude=None, description="", injuries=False,
        others_involved=False, source="driver", crash_device_id=None, crash_event_id=None, policy_id=None, term=None,
        cover_limit=None, deductible=None, cover_checked_at=None, decision=None, decision_reason=None, fault_share=None,
        currency="USD", reserve=ZERO, paid=ZERO, recovered=ZERO, counts=True, created_at=NOW, created_by=None,
        reported_at=NOW, updated_at=NOW,
    )  # fmt: skip


def _move() -> MoveRow:
    return MoveRow(
        claim_id=CLAIM, seq=0, from_status=None, to_status="open", reason=None, note=None, moved_at=NOW, actor="staff",
        moved_by=None,
    )  # fmt: skip


def _amount() -> AmountRow:
    return AmountRow(
        claim_id=CLAIM, seq=0, kind="reserve", change=ZERO, balance=ZERO, note=None, booked_at=NOW,
        booked_by=uuid("user"),
    )  # fmt: skip


def _evidence() -> EvidenceRow:
    return EvidenceRow(
        claim_id=CLAIM, version=900, window_start=NOW, window_end=NOW, devices=[], event_count=0, content=b"[]",
        checksum="", reason="test", frozen_at=NOW,
    )  # fmt: skip


def _entry() -> EntryRow:
    return EntryRow(
        entry_id=ids.new_uuid(), driver_id=DRIVER, seq=100_000, kind="trip", key="trip:x", points=1, balance=1,
        season=2026, local_date=TODAY, trip_id=None, is_correction=False, reason="", rules_version="", created_at=NOW,
    )  # fmt: skip


def _redemption() -> RedemptionRow:
    return RedemptionRow(
        redemption_id=ids.new_uuid(), driver_id=DRIVER, points=1, amount=ZERO + 1, currency="USD", policy_id="POL-1",
        redeemed_at=NOW, redeemed_by=uuid("user"),
    )  # fmt: skip


def _trip() -> RewardTrip:
    return RewardTrip(
        trip_id=uuid("trip"), local_date=TODAY, score=90.0, milli_miles=1000, harsh_events=0, phone_free_milli=0,
        limit_milli=0,
    )  # fmt: skip


_DISPUTES, _CLAIMS, _EVIDENCE, _REWARDS = (
    "trips.repository_disputes", "claims.repository", "claims.repository_evidence", "rewards.repository",
)  # fmt: skip
_OWN, _PAGE = ClaimFilter(driver_id=DRIVER), {"limit": 20, "offset": 0}
_KEYS = {"driver_id": DRIVER}
OF_FUNCTION: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    f"{_DISPUTES}.add_dispute": ({"dispute": _dispute()},),
    f"{_DISPUTES}.get_dispute": ({"dispute_id": uuid("dispute")},),
    f"{_DISPUTES}.dispute_of_trip": ({"trip_id": uuid("trip")},),
    f"{_DISPUTES}.decide_dispute": (
        {"dispute_id": uuid("dispute"), "status": "accepted", "decided_by": uuid("user"), "at": NOW, "note": None},
    ),
    f"{_DISPUTES}.list_disputes": (
        {"driver_id": DRIVER, "status": None, **_PAGE},
        {"driver_id": None, "status": "open", **_PAGE},
        {"driver_id": None, "status": None, **_PAGE},
    ),
    f"{_CLAIMS}.add_claim": ({"claim": _claim("CLM-999999")},),
    f"{_CLAIMS}.save_claim": ({"claim": _claim(CLAIM)},),
    f"{_CLAIMS}.get_claim": ({"claim_id": CLAIM}, {"claim_id": CLAIM, "lock": True}),
    f"{_CLAIMS}.claim_near": ({"driver_id": DRIVER, "since": NOW - MONTH, "until": NOW},),
    f"{_CLAIMS}.list_claims": (
        {"wanted": _OWN, **_PAGE},
        {"wanted": replace(_OWN, sort=ClaimSort.UPDATED), **_PAGE},
        {"wanted": ClaimFilter(status="investigating"), **_PAGE},
        {"wanted": ClaimFilter(since=NOW - MONTH, until=NOW), **_PAGE},
        {"wanted": ClaimFilter(sort=ClaimSort.UPDATED_DESC), **_PAGE},
        {"wanted": ClaimFilter(sort=ClaimSort.OCCURRED), **_PAGE},
    ),
    f"{_CLAIMS}.add_move": ({"move": _move()},),
    f"{_CLAIMS}.moves_of": ({"claim_id": CLAIM},),
    f"{_CLAIMS}.add_amounts": ({"rows": [_amount(), _amount()]},),
    f"{_CLAIMS}.amounts_of": ({"claim_id": CLAIM},),
    f"{_CLAIMS}.incurred": ({"since": NOW - timedelta(days=2), "until": NOW},),
    f"{_EVIDENCE}.add_evidence": ({"row": _evidence()},),
    f"{_EVIDENCE}.versions_of": ({"claim_id": CLAIM},),
    f"{_EVIDENCE}.claims_around": ({"driver_id": DRIVER, "since": NOW - MONTH, "until": NOW},),
    f"{_EVIDENCE}.claims_with_evidence": ({"after": CLAIM, "limit": 100},),
    f"{_REWARDS}.stored_trip": ({"trip_id": uuid("trip")},),
    f"{_REWARDS}.put_trip": ({**_KEYS, "trip": _trip(), "revision": 2},),
    f"{_REWARDS}.remove_trip": ({"trip_id": uuid("trip")},),
    f"{_REWARDS}.trips_of_days": ({**_KEYS, "days": {TODAY, TODAY - MONTH}},),
    f"{_REWARDS}.days_between": ({**_KEYS, "first": TODAY - MONTH, "last": TODAY},),
    f"{_REWARDS}.totals": (_KEYS,),
    f"{_REWARDS}.booked": ({**_KEYS, "days": {TODAY}, "seasons": {2026}},),
    f"{_REWARDS}.last_entry": (_KEYS,),
    f"{_REWARDS}.add_entries": ({"rows": [_entry()]},),
    f"{_REWARDS}.list_entries": ({**_KEYS, **_PAGE},),
    f"{_REWARDS}.reached": ({**_KEYS, "keys": ["milestone:trips-10"]},),
    f"{_REWARDS}.sums_by_kind": (_KEYS,),
    f"{_REWARDS}.add_redemption": ({"row": _redemption()},),
}
"""Calls of one function."""

_N = "'DRV' || lpad(({n})::text, 5, '0')"
_DRIVING = _N.format(n="i % 500 + 1")
_BACK = "now() - (i % 3000) * interval '1 hour'"
ROWS: tuple[tuple[str, int, dict[str, str]], ...] = (
    ("trip_disputes", 2_000, {
        "dispute_id": "md5('dispute' || i)::uuid", "trip_id": "md5('trip' || i * 9)::uuid", "driver_id": _DRIVING,
        "reason": "'not_me'", "status": "CASE i % 40 WHEN 0 THEN 'open' ELSE 'rejected' END", "created_at": _BACK,
        "decided_at": "CASE i % 40 WHEN 0 THEN NULL ELSE now() END",
    }),
    ("claims", 20_000, {
        "claim_id": "'CLM-' || lpad(i::text, 6, '0')", "driver_id": _N.format(n="i % 5000 + 1"), "source": "'driver'",
        "status": "CASE i % 50 WHEN 0 THEN 'investigating' ELSE 'closed' END", "occurred_at": _BACK,
        "updated_at": _BACK, "currency": "'USD'", "counts": "true",
    }),
    ("claim_moves", 20_000, {
        "claim_id": "'CLM-' || lpad(i::text, 6, '0')", "seq": "1", "to_status": "'reported'", "actor": "'driver'",
    }),
    ("claim_amounts", 20_000, {
        "claim_id": "'CLM-' || lpad(i::text, 6, '0')", "seq": "1", "kind": "'reserve'",
    }),
    ("claim_evidence", 20_000, {"claim_id": "'CLM-' || lpad(i::text, 6, '0')", "version": "1"}),
    ("reward_trips", 20_000, {
        "trip_id": "md5('trip' || i)::uuid", "driver_id": _DRIVING, "local_date": f"({_BACK})::date",
    }),
    ("reward_entries", 20_000, {
        "driver_id": _DRIVING, "seq": "i / 500 + 1", "kind": "'trip'", "key": "'trip:' || i", "points": "10",
        "local_date": f"({_BACK})::date", "season": "2026",
    }),
    ("reward_redemptions", 5_000, {"driver_id": _N.format(n="i"), "points": "500", "amount": "5"}),
)  # fmt: skip
"""What a filled database has of these tables."""
