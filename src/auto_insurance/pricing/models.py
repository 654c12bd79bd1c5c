"""Table of premiums: every version that was ever indicated or charged."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from auto_insurance.infra.db.metadata import metadata

KINDS = ("indicated", "charged")

premiums = Table(
    "premiums",
    metadata,
    Column("premium_id", Uuid, primary_key=True),
    Column("driver_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("effective_date", Date, nullable=False),
    Column("annual_premium", Numeric(12, 2), nullable=False),
    Column("monthly_premium", Numeric(12, 2), nullable=False),
    Column("currency", Text, nullable=False),
    Column("plan_version", Text, nullable=False),
    Column("model_version", Text),
    Column("score_id", Uuid),
    Column("worksheet", JSONB, nullable=False),
    Column("inputs", JSONB, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("policy_id", Text),
    Column("segment", Integer),
    Column("corrects", Integer),
    Column("changes", JSONB(none_as_null=True)),
    Column("driving", JSONB(none_as_null=True)),
    Column("driving_from", DateTime(timezone=True)),
    Column("driving_to", DateTime(timezone=True)),
    UniqueConstraint("driver_id", "version"),
    CheckConstraint("kind IN ('indicated', 'charged')", name="kind"),
    CheckConstraint("version >= 1", name="version"),
    CheckConstraint("annual_premium >= 0 AND monthly_premium >= 0", name="amounts"),
    CheckConstraint("reason <> ''", name="reason"),
    Index("ix_premiums_driver_id_kind_version", "driver_id", "kind", text("version DESC")),
    Index(
        "ix_premiums_driver_id_kind_effective_date",
        "driver_id",
        "kind",
        text("effective_date DESC"),
        text("version DESC"),
    ),
)
"""Never overwritten, which the database sees to. ``version`` counts a driver's rows from 1 without a gap, over both
kinds. ``status`` is ``indicated`` for a price that is only shown, ``active`` for a charged one. The price on a day is
the charged row with the latest ``effective_date`` up to that day, of several the one with the highest version.

``policy_id`` and ``segment``: for which policy and which part of its term a charged one was made. ``corrects`` is the
version whose place a correction takes. ``changes``: facts that held instead of those known of the driver. ``driving``
is what a charged one rests on: features, window, and as of when it was known. ``driving_from`` and ``driving_to`` bound
that window: a trip of that time that comes to light later leads to a correction."""

quotes = Table(
    "quotes",
    metadata,
    Column("quote_id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("driver_id", Text),
    Column("request", JSONB, nullable=False),
    Column("inputs", JSONB, nullable=False),
    Column("worksheet", JSONB, nullable=False),
    Column("annual_premium", Numeric(12, 2), nullable=False),
    Column("monthly_premium", Numeric(12, 2), nullable=False),
    Column("currency", Text, nullable=False),
    Column("plan_version", Text, nullable=False),
    Column("score_id", Uuid),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("bound_at", DateTime(timezone=True)),
    Column("policy_id", Text),
    CheckConstraint("status IN ('open', 'bound')", name="status"),
    CheckConstraint("(status = 'bound') = (bound_at IS NOT NULL)", name="bound"),
    CheckConstraint("annual_premium >= 0 AND monthly_premium >= 0", name="amounts"),
    Index("ix_quotes_expires_at", "expires_at", postgresql_where=text("status = 'open'")),
)
"""Prices that were named to somebody. ``driver_id`` is the driver of ours that it was made for, null for a stranger's,
which whoever has its id may see. An open one past ``expires_at`` is expired; it is forgotten some time later."""
