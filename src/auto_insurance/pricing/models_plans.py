"""Tables of rating plans: what they say, since when each is in force, and who moved by how much before it was."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from auto_insurance.infra.db.metadata import metadata

rating_plans = Table(
    "rating_plans",
    metadata,
    Column("version", Text, primary_key=True),
    Column("document", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("shipped", Boolean, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_by", Text, nullable=False),
)
"""Plans of the operator, and shipped ones from their first activation on, as TOML. Never changed: a stored premium
names the version that it was rated with."""

plan_dislocations = Table(
    "plan_dislocations",
    metadata,
    Column("dislocation_id", Uuid, primary_key=True),
    Column("old_version", Text, nullable=False),
    Column("new_version", Text, nullable=False),
    Column("old_fingerprint", Text, nullable=False),
    Column("new_fingerprint", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("book_date", Date, nullable=False),
    Column("book_fingerprint", Text, nullable=False),
    Column("policies", Integer, nullable=False),
    Column("report", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_by", Text, nullable=False),
    CheckConstraint("source IN ('book', 'file')", name="source"),
    CheckConstraint("policies >= 0", name="policies"),
    Index("ix_plan_dislocations_new_version_created_at", "new_version", text("created_at DESC")),
)
"""Reports of who moves by how much from one plan to another. ``book_fingerprint`` is of all the inputs that were
rated; only a report on the book itself, not on a file, opens the way to an activation."""

plan_activations = Table(
    "plan_activations",
    metadata,
    Column("activation_id", Uuid, primary_key=True),
    Column("version", Text, ForeignKey("rating_plans.version"), nullable=False),
    Column("effective_from", Date, nullable=False),
    Column("activated_at", DateTime(timezone=True), nullable=False),
    Column("activated_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("dislocation_id", Uuid, ForeignKey("plan_dislocations.dislocation_id"), nullable=False),
    Index("ix_plan_activations_effective_from", "effective_from", "activated_at"),
)
"""Who put which plan in force, from which day on, and why. Of those in effect on a day the one with the latest
``effective_from`` holds, then the one decided last. Never changed, and never dated back."""
