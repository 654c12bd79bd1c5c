"""Tables of claims: the claim, its moves, its money and its evidence."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Sequence,
    Table,
    Text,
    Uuid,
    text,
)

from auto_insurance.infra.db.metadata import metadata

claim_numbers = Sequence("claim_numbers", metadata=metadata)

claims = Table(
    "claims",
    metadata,
    Column("claim_id", Text, primary_key=True),
    Column("driver_id", Text, nullable=False),
    Column("vehicle_id", Text),
    Column("status", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("coverage", Text),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("latitude", Float(53)),
    Column("longitude", Float(53)),
    Column("description", Text),
    Column("injuries", Boolean, nullable=False),
    Column("others_involved", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("crash_device_id", Text),
    Column("crash_event_id", Text),
    Column("policy_id", Text),
    Column("term", Integer),
    Column("cover_limit", Numeric(14, 2)),
    Column("deductible", Numeric(14, 2)),
    Column("cover_checked_at", DateTime(timezone=True)),
    Column("decision", Text),
    Column("decision_reason", Text),
    Column("fault_share", Numeric(4, 3)),
    Column("currency", Text, nullable=False),
    Column("reserve", Numeric(14, 2), nullable=False),
    Column("paid", Numeric(14, 2), nullable=False),
    Column("recovered", Numeric(14, 2), nullable=False),
    Column("counts", Boolean, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_by", Uuid),
    Column("reported_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(
        "status IN ('draft', 'reported', 'open', 'investigating', 'approved', 'denied', 'paid', 'closed', 'reopened',"
        " 'withdrawn')",
        name="status",
    ),
    CheckConstraint("coverage IN ('liability', 'collision', 'comprehensive')", name="coverage"),
    CheckConstraint("source IN ('driver', 'staff', 'device')", name="source"),
    CheckConstraint("reserve >= 0 AND paid >= recovered AND recovered >= 0", name="amounts"),
    CheckConstraint("fault_share BETWEEN 0 AND 1", name="fault_share"),
    CheckConstraint("(crash_device_id IS NULL) = (crash_event_id IS NULL)", name="crash"),
    Index("ix_claims_driver_id_occurred_at", "driver_id", text("occurred_at DESC")),
    Index("ix_claims_occurred_at", text("occurred_at DESC"), "claim_id"),
    Index("ix_claims_updated_at", text("updated_at DESC"), "claim_id"),
    Index("ix_claims_status_occurred_at", "status", text("occurred_at DESC")),
    Index("ix_claims_search_claim_id", "claim_id", postgresql_ops={"claim_id": "text_pattern_ops"}),
    Index("uq_claims_crash", "crash_device_id", "crash_event_id", unique=True),
)
"""``reserve``, ``paid`` and ``recovered`` are the last balances of ``claim_amounts``; ``counts`` follows from status
and reason. ``revision`` counts the changes that were announced. Cover is as of the loss: null where none was found."""

claim_moves = Table(
    "claim_moves",
    metadata,
    Column("claim_id", Text, ForeignKey("claims.claim_id"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("from_status", Text),
    Column("to_status", Text, nullable=False),
    Column("reason", Text),
    Column("note", Text),
    Column("moved_at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("moved_by", Uuid),
    CheckConstraint("actor IN ('driver', 'staff', 'device')", name="actor"),
)
"""Every move of a claim, from its first (``from_status`` null). A trigger refuses changes."""

claim_amounts = Table(
    "claim_amounts",
    metadata,
    Column("claim_id", Text, ForeignKey("claims.claim_id"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("change", Numeric(14, 2), nullable=False),
    Column("balance", Numeric(14, 2), nullable=False),
    Column("note", Text),
    Column("booked_at", DateTime(timezone=True), nullable=False),
    Column("booked_by", Uuid, nullable=False),
    CheckConstraint("kind IN ('reserve', 'payment', 'recovery')", name="kind"),
    CheckConstraint("balance >= 0", name="balance"),
)
"""Changes of a claim's money with the balance of their kind after each. A trigger refuses changes."""

claim_evidence = Table(
    "claim_evidence",
    metadata,
    Column("claim_id", Text, ForeignKey("claims.claim_id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("window_start", DateTime(timezone=True), nullable=False),
    Column("window_end", DateTime(timezone=True), nullable=False),
    Column("devices", ARRAY(Text), nullable=False),
    Column("event_count", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("checksum", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("frozen_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("version >= 1", name="version"),
)
"""Frozen telemetry around losses in the form of :mod:`claims.evidence`. Versions stay; a trigger refuses changes."""
