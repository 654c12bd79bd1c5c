"""Policies and claims as risk learns of them, drivers who wait for a score, drift of the book.

Revision ID: 0016_risk_learning
Revises: 0015_idempotency
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0016_risk_learning"
down_revision = "0015_idempotency"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.create_table(
        "risk_policy_exposure",
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("term", sa.Integer, nullable=False),
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("term_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("term_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("in_force", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("policy_id", "term", name=op.f("pk_risk_policy_exposure")),
    )
    op.create_index("ix_risk_policy_exposure_term_end", "risk_policy_exposure", ["term_end"])
    op.create_table(
        "risk_claims",
        sa.Column("claim_id", sa.Text, nullable=False),
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("policy_id", sa.Text),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("coverage", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counts", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("claim_id", name=op.f("pk_risk_claims")),
    )
    op.create_index("ix_risk_claims_occurred_at", "risk_claims", ["occurred_at"])
    op.create_table(
        "risk_due_scores",
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("driver_id", name=op.f("pk_risk_due_scores")),
    )
    op.create_index("ix_risk_due_scores_due_at", "risk_due_scores", ["due_at"])
    op.create_table(
        "risk_drift_nights",
        sa.Column("run_id", sa.Uuid, nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("drivers", sa.Integer, nullable=False),
        sa.Column("score_drift", sa.Float(53)),
        sa.Column("feature_drift", JSONB, nullable=False),
        sa.Column("insured_years", sa.Float(53), nullable=False),
        sa.Column("actual_claims", sa.Integer, nullable=False),
        sa.Column("expected_claims", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_risk_drift_nights")),
    )
    op.create_index("ix_risk_drift_nights_measured_at", "risk_drift_nights", ["measured_at"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for name in ("risk_drift_nights", "risk_due_scores", "risk_claims", "risk_policy_exposure"):
        op.drop_table(name)
