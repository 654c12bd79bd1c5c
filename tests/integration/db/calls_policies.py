"""Arguments for the functions that hold the SQL of policies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from auto_insurance.kernel import ids
from auto_insurance.policies.records import Policy, TermRow, Transaction
from auto_insurance.policies.stretches import Money, Rate, Stretch

NOW = datetime.now(UTC)
POLICY, DRIVER, VEHICLE = "POL-000042", "DRV00042", "VEH42"
_DAY, _END = date(2026, 1, 1), date(2027, 1, 1)


def _policy() -> Policy:
    return Policy(
        policy_id=POLICY, driver_id=DRIVER, quote_id=None, product="phyd", currency="USD", state="CA", time_zone="UTC",
        anchor_day=1, status="active", term=1, revision=2, created_at=NOW, changed_at=NOW,
    )  # fmt: skip


def _term() -> TermRow:
    return TermRow(
        policy_id=POLICY, term=1, status="active", starts_on=_DAY, ends_on=_END, months=12, starts_at=NOW,
        ends_at=NOW + timedelta(days=365), revision=2,
    )  # fmt: skip


def _stretch() -> Stretch:
    rate = Rate(annual_premium=Money().written)
    return Stretch(from_on=_DAY, to_on=_END, transaction_id="T", changes={}, facts={}, rate=rate)


def _transaction() -> Transaction:
    return Transaction(
        transaction_id=str(ids.new_uuid()), policy_id=POLICY, term=1, revision=1000, kind="endorsed", status="active",
        made_by="", role="staff", made_at=NOW, effective_on=_DAY, money=Money(), written_after=Money().written,
        changes={}, lines=(), details={}, premium_id=None, reason="",
    )  # fmt: skip


_LISTS = "policies.repository_lists"
_ONE = "policies.repository"
OF_FUNCTION: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    f"{_ONE}.add_transaction": ({"new": _transaction()},),
    f"{_ONE}.cover_at": ({"vehicle_id": None}, {"vehicle_id": VEHICLE}),
    f"{_ONE}.get_policy": ({"policy_id": POLICY}, {"policy_id": POLICY, "lock": True}),
    f"{_ONE}.get_term": ({"policy_id": POLICY, "term": 1},),
    f"{_ONE}.get_transaction": ({"policy_id": POLICY, "revision": 2},),
    f"{_ONE}.list_terms": ({"policy_id": POLICY},),
    f"{_ONE}.put_policy": ({"policy": _policy()},),
    f"{_ONE}.put_term": ({"row": _term()},),
    f"{_ONE}.replace_stretches": (
        {"policy": _policy(), "term": _term(), "cut": [_stretch()], "instants": [(NOW, NOW)]},
    ),
    f"{_ONE}.stretches": ({"policy_id": POLICY, "term": 1}, {"policy_id": POLICY, "term": 1, "revision": 1}),
    f"{_LISTS}.overlapping": ({"vehicle_id": None}, {"vehicle_id": VEHICLE}),
    f"{_LISTS}.page": (
        {},
        {"driver_id": DRIVER},
        {"status": "cancelled"},
        {"search": "POL-0004"},
        {"search": "DRV0004"},
    ),
    f"{_LISTS}.transactions": ({"policy_id": POLICY},),
}
"""Calls of one function: arguments that differ from those by name, or that have a default."""
