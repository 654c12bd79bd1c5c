"""Forms in which HTTP clients and other domains see policies.

Money is a JSON number with two decimals, see ``pricing.schemas``; rates and factors are exact strings.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Self

from pydantic import BaseModel, Field

from auto_insurance.kernel.money import to_cents
from auto_insurance.policies.lifecycle import Status
from auto_insurance.policies.records import BookFigures, Cover, Kind, Policy, Snapshot, TermRow, Transaction
from auto_insurance.policies.stretches import CoverPart, LineKind, Method, Stretch, TransactionLine, by_stretch
from auto_insurance.policies.stretches import Money as MoneyParts
from auto_insurance.policies.writer import Change
from auto_insurance.pricing.schemas import Money

__all__ = ["Cover", "CoverPart", "Status"]


class CoverOut(BaseModel):
    """A cover."""

    coverage: str
    limit: Money | None
    deductible: Money | None
    option: str = Field(description="As the rating plan words it.")

    @classmethod
    def of(cls, part: CoverPart) -> Self:
        """Build the answer."""
        return cls(coverage=part.coverage, limit=part.limit, deductible=part.deductible, option=part.option)


class AmountsOut(BaseModel):
    """Premium, fees and taxes; negative amounts go back to the policyholder."""

    written_premium: Money
    fees: Money
    taxes: Money
    total: Money

    @classmethod
    def of(cls, money: MoneyParts) -> Self:
        """Build the answer."""
        return cls(written_premium=money.written, fees=money.fees, taxes=money.taxes, total=money.total)


class SegmentOut(BaseModel):
    """A part of a term with one rate."""

    from_on: date
    to_on: date = Field(description="The first day after it.")
    annual_premium: Money
    premium: Money = Field(description="What these days cost, with what is kept at once.")
    kept_at_once: Money = Field(description="Kept on the first day, as a short-rate cancellation does.")
    facts: dict[str, Any]
    coverages: list[CoverOut]
    rate_per_mile: str | None
    daily_cap_miles: str | None
    telematics_relativity: str
    plan_version: str
    premium_id: str | None = Field(description="The stored price with its worksheet.")
    transaction_id: str = Field(description="The transaction that began it.")

    @classmethod
    def of(cls, one: Stretch, cost: Any) -> Self:
        """Build the answer."""
        mile = one.rate.per_mile
        cap = None if mile is None else mile.daily_cap_miles
        return cls(
            from_on=one.from_on,
            to_on=one.to_on,
            annual_premium=one.rate.annual_premium,
            premium=cost,
            kept_at_once=one.flat,
            facts=dict(one.facts),
            coverages=[CoverOut.of(part) for part in one.rate.coverages],
            rate_per_mile=None if mile is None else str(mile.rate_per_mile),
            daily_cap_miles=None if cap is None else str(cap),
            telematics_relativity=str(one.rate.telematics_relativity),
            plan_version=one.rate.plan_version,
            premium_id=one.rate.premium_id,
            transaction_id=one.transaction_id,
        )


class TermOut(BaseModel):
    """A term."""

    term: int
    status: Status
    starts_on: date
    ends_on: date = Field(description="The first day after it.")
    starts_at: datetime
    ends_at: datetime
    months: int
    stopped_on: date | None = Field(description="The first day without cover, if cover stopped early.")
    method: Method | None
    amounts: AmountsOut = Field(description="Of the whole term as it stands; of an offer, what it would cost.")
    segments: list[SegmentOut]

    @classmethod
    def of(cls, row: TermRow, stretches: tuple[Stretch, ...]) -> Self:
        """Build the answer."""
        costs = by_stretch(stretches, row.period)
        names = ("term", "status", "starts_on", "ends_on", "starts_at", "ends_at", "months", "stopped_on", "method")
        return cls(
            **{name: getattr(row, name) for name in names},
            amounts=AmountsOut.of(row.money),
            segments=[SegmentOut.of(one, cost) for one, cost in zip(stretches, costs, strict=True)],
        )


class PolicyItem(BaseModel):
    """A policy in a list, with the term that runs."""

    policy_id: str
    driver_id: str
    status: Status
    product: str
    state: str
    currency: str
    term: int
    starts_on: date
    ends_on: date
    stopped_on: date | None
    written_premium: Money = Field(description="Of the running term.")
    revision: int
    created_at: datetime

    @classmethod
    def of(cls, policy: Policy, row: TermRow) -> Self:
        """Build the answer."""
        return cls(**_item(policy, row))


class PolicyOut(PolicyItem):
    """A policy with all its terms."""

    time_zone: str = Field(description="Where the risk is: cover begins and ends at 00:00 there.")
    quote_id: str | None
    terms: list[TermOut]
    documents: list[str] = Field(description="Names of the documents at `/policies/{id}/documents/{name}`.")

    @classmethod
    def build(cls, policy: Policy, terms: list[Snapshot], documents: list[str]) -> Self:
        """Build the answer."""
        running = next(one.row for one in terms if one.row.term == policy.term)
        return cls(
            **_item(policy, running),
            time_zone=policy.time_zone,
            quote_id=policy.quote_id,
            terms=[TermOut.of(one.row, one.stretches) for one in terms],
            documents=documents,
        )


class LineOut(BaseModel):
    """A part of a transaction: what it undoes or does of which transaction."""

    kind: LineKind
    transaction_id: str
    effective_on: date
    amounts: AmountsOut

    @classmethod
    def of(cls, line: TransactionLine) -> Self:
        """Build the answer."""
        return cls(
            kind=line.kind,
            transaction_id=line.transaction_id,
            effective_on=line.effective_on,
            amounts=AmountsOut.of(line.money),
        )


class TransactionOut(BaseModel):
    """Something that happened to a policy."""

    transaction_id: str
    term: int
    revision: int
    kind: Kind
    status: Status = Field(description="How the term stood after it.")
    made_by: str = Field(description="Account of who made it, or `system`.")
    role: str = Field(description="`driver`, `staff` or `system`.")
    made_at: datetime
    effective_on: date
    amounts: AmountsOut = Field(description="What it changed.")
    written_premium_after: Money
    changes: dict[str, Any]
    lines: list[LineOut] = Field(description="Of an endorsement: what was undone, done and applied again.")
    details: dict[str, Any]
    premium_id: str | None
    reason: str

    @classmethod
    def of(cls, one: Transaction) -> Self:
        """Build the answer."""
        names = set(cls.model_fields) - {"amounts", "written_premium_after", "lines", "changes", "details"}
        return cls(
            **{name: getattr(one, name) for name in names},
            amounts=AmountsOut.of(one.money),
            written_premium_after=one.written_after,
            lines=[LineOut.of(line) for line in one.lines],
            changes=dict(one.changes),
            details=dict(one.details),
        )


class ChangeOut(BaseModel):
    """What a change does, or would do."""

    preview: bool = Field(description="Nothing was stored.")
    policy_id: str
    kind: Kind
    status: Status = Field(description="How the term stands after it.")
    effective_on: date
    amounts: AmountsOut = Field(description="What it changes; of an offer, nothing yet.")
    lines: list[LineOut]
    details: dict[str, Any]
    term: TermOut = Field(description="The term after it.")
    transaction_id: str | None
    revision: int = Field(description="The policy's revision after it; of a preview, as it is now.")

    @classmethod
    def of(cls, change: Change, *, preview: bool) -> Self:
        """Build the answer."""
        row = change.row
        return cls(
            preview=preview,
            policy_id=change.policy.policy_id,
            kind=change.kind,
            status=Status(row.status),
            effective_on=change.effective_on,
            amounts=AmountsOut.of(change.cost),
            lines=[LineOut.of(line) for line in change.lines],
            details=dict(change.details),
            term=TermOut.of(row, change.new),
            transaction_id=None if preview else change.transaction_id,
            revision=change.policy.revision if preview else change.revision,
        )


class PolicyDetails(BaseModel):
    """A driver's policy in short."""

    policy_id: str
    policy_number: str
    driver_id: str
    status: Status
    product: str
    state: str
    currency: str
    term: int
    effective_date: date
    expiration_date: date
    term_months: int
    vehicle_id: str | None
    coverage: str | None = Field(description="The package.")
    coverages: list[CoverOut]
    annual_premium: Money
    monthly_premium: Money = Field(description="A twelfth of the year.")
    written_premium: Money = Field(description="Of the whole term.")
    rate_per_mile: str | None

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        """Build the answer from the running term; amounts are 0 where nothing is left of it."""
        policy, row = snapshot.policy, snapshot.row
        last = snapshot.stretches[-1] if snapshot.stretches else None
        annual = Decimal(0) if last is None else last.rate.annual_premium
        mile = None if last is None else last.rate.per_mile
        facts = {} if last is None else last.facts
        return cls(
            policy_id=policy.policy_id,
            policy_number=policy.policy_id,
            driver_id=policy.driver_id,
            status=Status(policy.status),
            product=policy.product,
            state=policy.state,
            currency=policy.currency,
            term=row.term,
            effective_date=row.starts_on,
            expiration_date=row.ends_on,
            term_months=row.months,
            vehicle_id=facts.get("vehicle_id"),
            coverage=facts.get("coverage"),
            coverages=[] if last is None else [CoverOut.of(part) for part in last.rate.coverages],
            annual_premium=annual,
            monthly_premium=to_cents(annual / 12),
            written_premium=row.written,
            rate_per_mile=None if mile is None else str(mile.rate_per_mile),
        )


class PolicySummary(BaseModel):
    """The book in figures."""

    total_policies: int
    active_policies: int
    by_status: dict[Status, int]
    monthly_revenue: Money = Field(description="A twelfth of the annual premiums that run now, without miles.")
    annual_premium: Money
    total_savings: Money = Field(description="A year's: what the same drivers would pay more without a device.")

    @classmethod
    def of(cls, figures: BookFigures) -> Self:
        """Build the answer."""
        return cls(
            total_policies=figures.total,
            active_policies=figures.by_status.get(Status.ACTIVE, 0),
            by_status={Status(name): count for name, count in figures.by_status.items()},
            monthly_revenue=to_cents(figures.annual_premium / 12),
            annual_premium=figures.annual_premium,
            total_savings=figures.annual_savings,
        )


def _item(policy: Policy, row: TermRow) -> dict[str, Any]:
    own = ("policy_id", "driver_id", "status", "product", "state", "currency", "term", "revision", "created_at")
    return {
        **{name: getattr(policy, name) for name in own},
        "starts_on": row.starts_on,
        "ends_on": row.ends_on,
        "stopped_on": row.stopped_on,
        "written_premium": row.written,
    }
