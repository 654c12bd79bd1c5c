"""Table of disputes: what drivers say against trips, and what staff decided."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, Index, Table, Text, UniqueConstraint, Uuid, text

from auto_insurance.infra.db.metadata import metadata

trip_disputes = Table(
    "trip_disputes",
    metadata,
    Column("dispute_id", Uuid, primary_key=True),
    Column("trip_id", Uuid, nullable=False),
    Column("driver_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("note", Text),
    Column("status", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_by", Uuid, nullable=False),
    Column("decided_at", DateTime(timezone=True)),
    Column("decided_by", Uuid),
    Column("decision_note", Text),
    UniqueConstraint("trip_id"),
    CheckConstraint("reason IN ('passenger', 'not_me', 'wrong_data')", name="reason"),
    CheckConstraint("status IN ('open', 'accepted', 'rejected')", name="status"),
    CheckConstraint("(status = 'open') = (decided_at IS NULL)", name="decided"),
    Index("ix_trip_disputes_driver_id_created_at", "driver_id", text("created_at DESC")),
    Index("ix_trip_disputes_created_at", text("created_at DESC")),
    Index("ix_trip_disputes_open", text("created_at DESC"), postgresql_where=text("status = 'open'")),
)
"""One dispute per trip, decided once. A trip whose dispute was accepted stays as it is and counts nowhere. The trip's
own row can't say so: it is written anew whenever late events change the trip."""
