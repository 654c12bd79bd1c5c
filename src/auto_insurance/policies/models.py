"""Tables of policies, their terms, the stretches of a term and what happened. The ledger's are in ``models_ledger``."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from auto_insurance.infra.db.metadata import metadata

STATUSES = "'quoted', 'bound', 'active', 'lapsed', 'cancelled', 'expired', 'renewed'"
policy_numbers = Sequence("policy_numbers", metadata=metadata)

policies = Table(
    "policies",
    metadata,
    Column("policy_id", Text, primary_key=True),
    Column("driver_id", Text, nullable=False),
    Column("quote_id", Text, unique=True),
    Column("product", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("anchor_day", SmallInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("term", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(f"status IN ({STATUSES})", name="status"),
    CheckConstraint("anchor_day BETWEEN 1 AND 31", name="anchor_day"),
    Index("ix_policies_driver_id", "driver_id", text("created_at DESC"), text("policy_id DESC")),
    Index("ix_policies_search_policy_id", "policy_id", postgresql_ops={"policy_id": "text_pattern_ops"}),
    Index("ix_policies_search_driver_id", "driver_id", postgresql_ops={"driver_id": "text_pattern_ops"}),
    Index("ix_policies_created_at", text("created_at DESC"), text("policy_id DESC")),
    Index("ix_policies_status", "status", text("created_at DESC"), text("policy_id DESC")),
)
"""``term`` is the one that runs (before the first day: the first), ``status`` how that term stands. ``revision`` counts
the transactions. Days are dates of ``time_zone``; ``anchor_day`` is the day of the month on which terms begin."""

policy_terms = Table(
    "policy_terms",
    metadata,
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("term", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date, nullable=False),
    Column("months", SmallInteger, nullable=False),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Column("written", Numeric(14, 2), nullable=False),
    Column("fees", Numeric(14, 2), nullable=False),
    Column("taxes", Numeric(14, 2), nullable=False),
    Column("stopped_on", Date),
    Column("stopped_revision", Integer),
    Column("method", Text),
    Column("revision", Integer, nullable=False),
    PrimaryKeyConstraint("policy_id", "term"),
    CheckConstraint(f"status IN ({STATUSES})", name="status"),
    CheckConstraint("months IN (6, 12)", name="months"),
    CheckConstraint("ends_on > starts_on AND ends_at > starts_at", name="in_order"),
    CheckConstraint("method IN ('pro_rata', 'short_rate', 'flat')", name="method"),
    Index("ix_policy_terms_to_begin", "starts_at", postgresql_where=text("status = 'bound'")),
    Index("ix_policy_terms_to_end", "ends_at", postgresql_where=text("status IN ('active', 'lapsed')")),
)
"""``stopped_on`` is when cover stopped early, by the transaction ``stopped_revision``; ``method`` is how a cancelled
term is paid for. ``revision`` is that of the term's last transaction."""

policy_segments = Table(
    "policy_segments",
    metadata,
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("term", Integer, nullable=False),
    Column("since_revision", Integer, nullable=False),
    Column("position", SmallInteger, nullable=False),
    Column("until_revision", Integer),
    Column("driver_id", Text, nullable=False),
    Column("vehicle_id", Text),
    Column("transaction_id", Text, nullable=False),
    Column("from_on", Date, nullable=False),
    Column("to_on", Date, nullable=False),
    Column("from_at", DateTime(timezone=True), nullable=False),
    Column("to_at", DateTime(timezone=True), nullable=False),
    Column("annual_premium", Numeric(12, 2), nullable=False),
    Column("flat", Numeric(12, 2), nullable=False),
    Column("changes", JSONB, nullable=False),
    Column("facts", JSONB, nullable=False),
    Column("rate", JSONB, nullable=False),
    PrimaryKeyConstraint("policy_id", "term", "since_revision", "position"),
    CheckConstraint("to_on >= from_on", name="in_order"),
    CheckConstraint("annual_premium >= 0 AND flat >= 0", name="amounts"),
    Index("ix_policy_segments_driver_id", "driver_id", "from_at", postgresql_where=text("until_revision IS NULL")),
)
"""How a term is cut, as of each revision: rows that hold now have no ``until_revision``. Nothing is overwritten, so
that a reinstatement brings back what was. ``rate`` is what the price rests on, see ``stretches.Rate``."""

policy_transactions = Table(
    "policy_transactions",
    metadata,
    Column("transaction_id", Text, primary_key=True),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("term", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("effective_on", Date, nullable=False),
    Column("written", Numeric(14, 2), nullable=False),
    Column("fees", Numeric(14, 2), nullable=False),
    Column("taxes", Numeric(14, 2), nullable=False),
    Column("written_after", Numeric(14, 2), nullable=False),
    Column("changes", JSONB, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("details", JSONB, nullable=False),
    Column("premium_id", Uuid),
    Column("reason", Text, nullable=False),
    UniqueConstraint("policy_id", "revision", name="uq_policy_transactions_policy_id"),
)
"""Who did what, when, effective when, for how much, by which worksheet and why. Never changed: the database refuses."""
