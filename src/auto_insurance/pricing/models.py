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
    UniqueConstraint("driver_id", "version"),
    CheckConstraint("kind IN ('indicated', 'charged')", name="kind"),
    CheckConstraint("version >= 1", name="version"),
    CheckConstraint("annual_premium >= 0 AND monthly_premium >= 0", name="amounts"),
    Index("ix_premiums_driver_id_kind_version", "driver_id", "kind", text("version DESC")),
)
"""Never overwritten. ``version`` counts a driver's rows from 1 without a gap, over both kinds. ``status`` is
``indicated`` for a price that is only shown, ``active`` for a charged one; the newest charged row in effect is the
price."""
