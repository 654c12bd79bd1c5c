"""Tables of webhooks: endpoints and what is sent to them."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from auto_insurance.infra.db.metadata import metadata

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("endpoint_id", Uuid, primary_key=True),
    Column("url", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("events", ARRAY(Text), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("secret_salt", LargeBinary, nullable=False),
    Column("secret_key_id", Text, nullable=False),
    Column("old_salt", LargeBinary),
    Column("old_key_id", Text),
    Column("old_until", DateTime(timezone=True)),
    Column("failing_since", DateTime(timezone=True)),
    Column("disabled_reason", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_by", Uuid, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)
"""Where events go. The signing secret is computed from the salt and a key outside of the database; the ``old_*`` one
signs as well until its time is over. ``failing_since`` is the first failure after the last success."""

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("delivery_id", Uuid, primary_key=True),
    Column("endpoint_id", Uuid, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("attempted_at", DateTime(timezone=True)),
    Column("last_status", Integer),
    Column("last_error", Text),
    Column("duration_ms", Integer),
    UniqueConstraint("endpoint_id", "event_id"),
    CheckConstraint("state IN ('pending', 'delivered', 'dead')", name="state"),
    Index(
        "ix_webhook_deliveries_due",
        "endpoint_id",
        "next_at",
        postgresql_where=text("state = 'pending'"),
    ),
    Index("ix_webhook_deliveries_endpoint_id_created_at", "endpoint_id", text("created_at DESC"), "delivery_id"),
    Index(
        "ix_webhook_deliveries_dead",
        "endpoint_id",
        text("created_at DESC"),
        "delivery_id",
        postgresql_where=text("state = 'dead'"),
    ),
    Index("ix_webhook_deliveries_created_at", "created_at"),
)
"""An event on its way to an endpoint. Whoever takes one counts the attempt and moves ``next_at`` past the time that it
may need: if it dies, the delivery is due again. Without a foreign key: a deleted endpoint's go with their age."""
