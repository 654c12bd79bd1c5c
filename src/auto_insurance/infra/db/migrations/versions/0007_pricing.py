"""Premiums.

Revision ID: 0007_pricing
Revises: 0006_risk
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007_pricing"
down_revision = "0006_risk"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.create_table(
        "premiums",
        sa.Column("premium_id", sa.Uuid, nullable=False),
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("effective_date", sa.Date, nullable=False),
        sa.Column("annual_premium", sa.Numeric(12, 2), nullable=False),
        sa.Column("monthly_premium", sa.Numeric(12, 2), nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("plan_version", sa.Text, nullable=False),
        sa.Column("model_version", sa.Text),
        sa.Column("score_id", sa.Uuid),
        sa.Column("worksheet", JSONB, nullable=False),
        sa.Column("inputs", JSONB, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("premium_id", name="pk_premiums"),
        sa.UniqueConstraint("driver_id", "version", name="uq_premiums_driver_id_version"),
        sa.CheckConstraint("kind IN ('indicated', 'charged')", name=op.f("ck_premiums_kind")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_premiums_version")),
        sa.CheckConstraint("annual_premium >= 0 AND monthly_premium >= 0", name=op.f("ck_premiums_amounts")),
    )
    op.create_index("ix_premiums_driver_id_kind_version", "premiums", ["driver_id", "kind", sa.text("version DESC")])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.drop_table("premiums")
