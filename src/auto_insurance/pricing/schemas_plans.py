"""Answers of the routes of rating plans."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

PLAN_VERSION_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
MAX_DOCUMENT = 200_000
"""Characters of a plan."""


class PlanOut(BaseModel):
    """A rating plan that may be put in force."""

    version: str
    fingerprint: str = Field(description="Of what it says, whatever its comments.")
    shipped: bool = Field(description="It came with the program.")
    in_force: bool = Field(description="It rates what takes effect today.")
    in_force_since: date | None = Field(description="Null before any activation: then the shipped default rates.")
    effective_from: date = Field(description="The first day on which it may be in force, as it says itself.")
    currency: str
    products: list[str]
    basis: str = Field(description="What its rates rest on.")
    created_at: datetime | None = Field(description="When it was kept; null for a shipped one that was never used.")
    created_by: str | None


class ActivationOut(BaseModel):
    """Who put which plan in force, from which day on, and why."""

    activation_id: UUID
    version: str
    effective_from: date
    activated_at: datetime
    activated_by: str
    reason: str
    dislocation_id: UUID = Field(description="The report that was looked at.")


class PlansOut(BaseModel):
    """The registry."""

    plans: list[PlanOut]
    activations: list[ActivationOut] = Field(description="The latest day first; of one day the last decided holds.")


class PlanDetailOut(PlanOut):
    """A plan with what it says."""

    document: str = Field(description="TOML, as it was written.")


class NewPlanRequest(BaseModel):
    """A plan of the operator."""

    model_config = ConfigDict(extra="forbid")

    document: str = Field(min_length=1, max_length=MAX_DOCUMENT, description="TOML; its schema is in the reference.")


class ActivatePlanRequest(BaseModel):
    """From when on, and why."""

    model_config = ConfigDict(extra="forbid")

    effective_from: date = Field(description="Today or later: nothing is dated back.")
    reason: str = Field(min_length=1, max_length=500, description="For the record.")


class DislocationOut(BaseModel):
    """A report on who moves by how much, without its numbers."""

    dislocation_id: UUID
    old_version: str
    new_version: str
    source: str = Field(description="book or file; only one on the book opens the way to an activation.")
    book_date: date
    book_fingerprint: str
    policies: int
    created_at: datetime
    created_by: str


class DislocationsOut(BaseModel):
    """The reports on a plan."""

    dislocations: list[DislocationOut] = Field(description="The last 20, newest first.")


class DislocationDetailOut(DislocationOut):
    """A report with its numbers: totals, quantiles, histogram, segments, movers."""

    report: dict[str, Any]
