"""Risk and trip scores.

Revision ID: 0006_risk
Revises: 0005_trips
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006_risk"
down_revision = "0005_trips"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.create_table(
        "risk_scores",
        sa.Column("score_id", sa.Uuid, nullable=False),
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("calculated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("risk_score", sa.Float(53), nullable=False),
        sa.Column("risk_category", sa.Text, nullable=False),
        sa.Column("confidence", sa.Float(53), nullable=False),
        sa.Column("exposure_miles", sa.Float(53), nullable=False),
        sa.Column("expected_claims_per_million_miles", sa.Float(53), nullable=False),
        sa.Column("relativity", sa.Float(53), nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("features_version", sa.Text, nullable=False),
        sa.Column("features", JSONB, nullable=False),
        sa.Column("contributions", JSONB, nullable=False),
        sa.Column("trip_count", sa.Integer, nullable=False),
        sa.Column("window_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trips_until", sa.DateTime(timezone=True)),
        sa.Column("basis", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("score_id", name="pk_risk_scores"),
        sa.CheckConstraint("risk_score BETWEEN 0 AND 100", name=op.f("ck_risk_scores_risk_score")),
        sa.CheckConstraint("confidence BETWEEN 0 AND 1", name=op.f("ck_risk_scores_confidence")),
        sa.CheckConstraint("basis IN ('recent', 'older', 'none')", name=op.f("ck_risk_scores_basis")),
    )
    op.create_index(
        "ix_risk_scores_driver_id_calculated_at", "risk_scores", ["driver_id", sa.text("calculated_at DESC")]
    )
    op.create_table(
        "trip_scores",
        sa.Column("trip_id", sa.Uuid, nullable=False),
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("trip_score", sa.Float(53), nullable=False),
        sa.Column("risk_level", sa.Text, nullable=False),
        sa.Column("relativity", sa.Float(53), nullable=False),
        sa.Column("contributions", JSONB, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("scored_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("trip_id", name="pk_trip_scores"),
        sa.CheckConstraint("trip_score BETWEEN 0 AND 100", name=op.f("ck_trip_scores_trip_score")),
        sa.CheckConstraint("risk_level IN ('low', 'medium', 'high')", name=op.f("ck_trip_scores_risk_level")),
    )
    op.create_index("ix_trip_scores_driver_id", "trip_scores", ["driver_id"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.drop_table("trip_scores")
    op.drop_table("risk_scores")
