"""Policies, terms and transactions as they are stored. Pure data; see ``models`` for what the fields mean."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from auto_insurance.policies.earning import Term
from auto_insurance.policies.stretches import CoverPart, Money, Stretch, TransactionLine

SYSTEM = "system"


class Kind(StrEnum):
    """What a transaction did."""

    BOUND = "bound"
    ACTIVATED = "activated"
    ENDORSED = "endorsed"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"
    REINSTATED = "reinstated"
    OFFERED = "offered"
    WITHDRAWN = "withdrawn"
    RENEWED = "renewed"
    EXPIRED = "expired"


class Actor(msgspec.Struct, frozen=True):
    """Who makes a transaction: an account's id, and whether staff, the driver or the system."""

    id: str
    role: str
    """``staff``, ``driver`` or ``system``."""

    @property
    def is_staff(self) -> bool:
        """Whether the actor may do what only staff may."""
        return self.role != "driver"


THE_SYSTEM = Actor(SYSTEM, SYSTEM)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy; ``term`` is the one that runs."""

    policy_id: str
    driver_id: str
    quote_id: str | None
    product: str
    currency: str
    state: str
    time_zone: str
    anchor_day: int
    status: str
    term: int
    revision: int
    created_at: datetime
    changed_at: datetime


class TermRow(msgspec.Struct, frozen=True, kw_only=True):
    """A term of a policy."""

    policy_id: str
    term: int
    status: str
    starts_on: date
    ends_on: date
    months: int
    starts_at: datetime
    ends_at: datetime
    written: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    taxes: Decimal = Decimal(0)
    stopped_on: date | None = None
    stopped_revision: int | None = None
    method: str | None = None
    revision: int = 0

    @property
    def period(self) -> Term:
        """The term as premium is earned over it."""
        return Term(self.starts_on, self.ends_on, self.months)

    @property
    def money(self) -> Money:
        """What the term costs."""
        return Money(self.written, self.fees, self.taxes)


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a policy: who, when, effective when, for how much, by which worksheet, why."""

    transaction_id: str
    policy_id: str
    term: int
    revision: int
    kind: str
    status: str
    """How the term stands after it."""
    made_by: str
    role: str
    made_at: datetime
    effective_on: date
    money: Money
    """What it changes."""
    written_after: Decimal
    changes: Mapping[str, Any]
    lines: tuple[TransactionLine, ...]
    details: Mapping[str, Any]
    premium_id: str | None
    reason: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A term with its stretches as they are now."""

    policy: Policy
    row: TermRow
    stretches: tuple[Stretch, ...]


class Cover(msgspec.Struct, frozen=True, kw_only=True):
    """What covers a vehicle at an instant."""

    policy_id: str
    term: int
    vehicle_id: str | None
    """None: any vehicle of the driver."""
    product: str
    currency: str
    coverages: tuple[CoverPart, ...]


class BookFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of all policies. Money is of the policies that run."""

    total: int
    by_status: dict[str, int]
    annual_premium: Decimal
    """Of a year at today's rates, without miles, fees and taxes."""
    annual_savings: Decimal
    """What the same drivers would pay more without taking part; dearer ones count against it."""
