"""Rating plans: what they say, since when each is in force, who moved by how much.

Revision ID: 0017_rating_plans
Revises: 0016_risk_learning
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0017_rating_plans"
down_revision = "0016_risk_learning"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.create_table(
        "rating_plans",
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("shipped", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_rating_plans")),
    )
    op.create_table(
        "plan_dislocations",
        sa.Column("dislocation_id", sa.Uuid, nullable=False),
        sa.Column("old_version", sa.Text, nullable=False),
        sa.Column("new_version", sa.Text, nullable=False),
        sa.Column("old_fingerprint", sa.Text, nullable=False),
        sa.Column("new_fingerprint", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("book_date", sa.Date, nullable=False),
        sa.Column("book_fingerprint", sa.Text, nullable=False),
        sa.Column("policies", sa.Integer, nullable=False),
        sa.Column("report", JSONB, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.CheckConstraint("source IN ('book', 'file')", name=op.f("ck_plan_dislocations_source")),
        sa.CheckConstraint("policies >= 0", name=op.f("ck_plan_dislocations_policies")),
        sa.PrimaryKeyConstraint("dislocation_id", name=op.f("pk_plan_dislocations")),
    )
    op.create_index(
        "ix_plan_dislocations_new_version_created_at",
        "plan_dislocations",
        ["new_version", sa.text("created_at DESC")],
    )
    op.create_table(
        "plan_activations",
        sa.Column("activation_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("effective_from", sa.Date, nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activated_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("dislocation_id", sa.Uuid, nullable=False),
        sa.ForeignKeyConstraint(
            ["version"], ["rating_plans.version"], name=op.f("fk_plan_activations_version_rating_plans")
        ),
        sa.ForeignKeyConstraint(
            ["dislocation_id"],
            ["plan_dislocations.dislocation_id"],
            name=op.f("fk_plan_activations_dislocation_id_plan_dislocations"),
        ),
        sa.PrimaryKeyConstraint("activation_id", name=op.f("pk_plan_activations")),
    )
    op.create_index("ix_plan_activations_effective_from", "plan_activations", ["effective_from", "activated_at"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for name in ("plan_activations", "plan_dislocations", "rating_plans"):
        op.drop_table(name)
