"""Policies and claims as their domains tell of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from auto_insurance.contracts.claims import ClaimState
from auto_insurance.contracts.policies import InForce, PolicyChanged


def policy(policy_id: str, driver_id: str, from_at: datetime, to_at: datetime, **more: Any) -> PolicyChanged:
    """Return how a policy stands that has cover from one instant to another; ``more`` replaces fields."""
    fields: dict[str, Any] = {
        "policy_id": policy_id,
        "driver_id": driver_id,
        "term": 1,
        "revision": 1,
        "transaction_id": f"{policy_id}-1",
        "status": "active",
        "effective_at": from_at,
        "term_start": from_at,
        "term_end": to_at,
        "in_force": (InForce(from_at, to_at),),
        "vehicle_ids": (),
        "product": "phyd",
        "currency": "USD",
        "written_premium": "1000.00",
        "reason": "bound",
        "changed_at": from_at,
    }
    return PolicyChanged(**{**fields, **more})


def claim(claim_id: str, driver_id: str, occurred_at: datetime, **more: Any) -> ClaimState:
    """Return how a claim stands, reported the day after; ``more`` replaces fields."""
    fields: dict[str, Any] = {
        "claim_id": claim_id,
        "driver_id": driver_id,
        "policy_id": None,
        "vehicle_id": None,
        "revision": 1,
        "status": "reported",
        "coverage": "collision",
        "occurred_at": occurred_at,
        "reported_at": occurred_at + timedelta(days=1),
        "fault_share": None,
        "currency": "USD",
        "reserve": "0.00",
        "paid": "0.00",
        "recovered": "0.00",
        "counts": True,
    }
    return ClaimState(**{**fields, **more})
