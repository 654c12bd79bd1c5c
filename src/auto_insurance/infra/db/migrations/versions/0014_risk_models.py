"""The registry of risk models.

Revision ID: 0014_risk_models
Revises: 0008_indexes
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0014_risk_models"
down_revision = "0008_indexes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.create_table(
        "risk_models",
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("shipped", sa.Boolean, nullable=False),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("trained_on", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("artefact", sa.LargeBinary),
        sa.Column("metrics", JSONB, nullable=False),
        sa.Column("card", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('candidate', 'shadow', 'champion', 'retired')", name=op.f("ck_risk_models_status")
        ),
        sa.CheckConstraint("shipped OR artefact IS NOT NULL", name=op.f("ck_risk_models_artefact")),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_risk_models")),
    )
    for name in ("champion", "shadow"):
        op.create_index(
            f"ix_risk_models_one_{name}",
            "risk_models",
            ["status"],
            unique=True,
            postgresql_where=sa.text(f"status = '{name}'"),
        )
    op.create_table(
        "risk_model_changes",
        sa.Column("change_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("from_status", sa.Text),
        sa.Column("to_status", sa.Text, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("note", sa.Text),
        sa.PrimaryKeyConstraint("change_id", name=op.f("pk_risk_model_changes")),
    )
    op.create_index("ix_risk_model_changes_changed_at", "risk_model_changes", ["changed_at"])
    op.create_table(
        "risk_shadow_scores",
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("challenger_version", sa.Text, nullable=False),
        sa.Column("champion_version", sa.Text, nullable=False),
        sa.Column("calculated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("champion_score", sa.Float(53), nullable=False),
        sa.Column("challenger_score", sa.Float(53), nullable=False),
        sa.Column("champion_frequency", sa.Float(53), nullable=False),
        sa.Column("challenger_frequency", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("driver_id", "challenger_version", name=op.f("pk_risk_shadow_scores")),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for name in ("risk_shadow_scores", "risk_model_changes", "risk_models"):
        op.drop_table(name)
