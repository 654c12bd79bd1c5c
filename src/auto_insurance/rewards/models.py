"""Tables of rewards: the trips that count, the ledger of points, redemptions."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Float,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from auto_insurance.infra.db.metadata import metadata

reward_trips = Table(
    "reward_trips",
    metadata,
    Column("trip_id", Uuid, primary_key=True),
    Column("driver_id", Text, nullable=False),
    Column("season", Integer, nullable=False),
    Column("local_date", Date, nullable=False),
    Column("score", Float(53), nullable=False),
    Column("milli_miles", Integer, nullable=False),
    Column("harsh_events", Integer, nullable=False),
    Column("phone_free_milli", Integer, nullable=False),
    Column("limit_milli", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Index("ix_reward_trips_driver_id_local_date", "driver_id", "local_date"),
)
"""Trips that count for rewards as they are now, with the score that their points rest on. Thousandths of a mile."""

reward_entries = Table(
    "reward_entries",
    metadata,
    Column("entry_id", Uuid, primary_key=True),
    Column("driver_id", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("points", Integer, nullable=False),
    Column("balance", Integer, nullable=False),
    Column("season", Integer),
    Column("local_date", Date),
    Column("trip_id", Uuid),
    Column("is_correction", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("rules_version", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("driver_id", "seq"),
    CheckConstraint("kind IN ('trip', 'streak', 'milestone', 'achievement', 'redemption')", name="kind"),
    CheckConstraint("points <> 0", name="points"),
    CheckConstraint("kind <> 'redemption' OR (points < 0 AND balance >= 0)", name="redeemed"),
    Index("ix_reward_entries_driver_id_kind_local_date", "driver_id", "kind", "local_date"),
)
"""Points as they came and went, with the balance after each; a trigger refuses changes. ``seq`` counts a driver's
entries from 1. The entries of a key add up to what the trips earn under it. A correction may take the balance below 0
when its points were spent; a redemption never does."""

reward_redemptions = Table(
    "reward_redemptions",
    metadata,
    Column("redemption_id", Uuid, primary_key=True),
    Column("driver_id", Text, nullable=False),
    Column("points", Integer, nullable=False),
    Column("amount", Numeric(12, 2), nullable=False),
    Column("currency", Text, nullable=False),
    Column("policy_id", Text, nullable=False),
    Column("redeemed_at", DateTime(timezone=True), nullable=False),
    Column("redeemed_by", Uuid, nullable=False),
    CheckConstraint("points > 0 AND amount > 0", name="amounts"),
    Index("ix_reward_redemptions_driver_id", "driver_id", text("redeemed_at DESC")),
)
"""Points that became a credit on a policy; the ledger of the policy has it under ``rewards:<redemption_id>``."""
