"""Disputes of trips.

Revision ID: 0018_trip_disputes
Revises: 0017_rating_plans
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018_trip_disputes"
down_revision = "0017_rating_plans"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.create_table(
        "trip_disputes",
        sa.Column("dispute_id", sa.Uuid, nullable=False),
        sa.Column("trip_id", sa.Uuid, nullable=False),
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Uuid, nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.Column("decided_by", sa.Uuid),
        sa.Column("decision_note", sa.Text),
        sa.PrimaryKeyConstraint("dispute_id", name=op.f("pk_trip_disputes")),
        sa.UniqueConstraint("trip_id", name=op.f("uq_trip_disputes_trip_id")),
        sa.CheckConstraint("reason IN ('passenger', 'not_me', 'wrong_data')", name=op.f("ck_trip_disputes_reason")),
        sa.CheckConstraint("status IN ('open', 'accepted', 'rejected')", name=op.f("ck_trip_disputes_status")),
        sa.CheckConstraint("(status = 'open') = (decided_at IS NULL)", name=op.f("ck_trip_disputes_decided")),
    )
    op.create_index("ix_trip_disputes_driver_id_created_at", "trip_disputes", ["driver_id", sa.text("created_at DESC")])
    op.create_index("ix_trip_disputes_created_at", "trip_disputes", [sa.text("created_at DESC")])
    op.create_index(
        "ix_trip_disputes_open",
        "trip_disputes",
        [sa.text("created_at DESC")],
        postgresql_where=sa.text("status = 'open'"),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.drop_table("trip_disputes")
