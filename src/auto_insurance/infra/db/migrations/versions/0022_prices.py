"""What a charged premium is for and rests on; quotes.

Revision ID: 0022_prices
Revises: 0021_simulated_scores
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0022_prices"
down_revision = "0021_simulated_scores"
branch_labels = None
depends_on = None

ADDED = (
    ("policy_id", sa.Text()),
    ("segment", sa.Integer()),
    ("corrects", sa.Integer()),
    ("changes", JSONB()),
    ("driving", JSONB()),
    ("driving_from", sa.DateTime(timezone=True)),
    ("driving_to", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '600s'")
    for name, kind in ADDED:
        op.add_column("premiums", sa.Column(name, kind))
    op.create_check_constraint(op.f("ck_premiums_reason"), "premiums", "reason <> ''")
    op.create_index(
        "ix_premiums_driver_id_kind_effective_date",
        "premiums",
        ["driver_id", "kind", sa.text("effective_date DESC"), sa.text("version DESC")],
    )
    op.create_table(
        "quotes",
        sa.Column("quote_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("driver_id", sa.Text),
        sa.Column("request", JSONB, nullable=False),
        sa.Column("inputs", JSONB, nullable=False),
        sa.Column("worksheet", JSONB, nullable=False),
        sa.Column("annual_premium", sa.Numeric(12, 2), nullable=False),
        sa.Column("monthly_premium", sa.Numeric(12, 2), nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("plan_version", sa.Text, nullable=False),
        sa.Column("score_id", sa.Uuid),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("bound_at", sa.DateTime(timezone=True)),
        sa.Column("policy_id", sa.Text),
        sa.PrimaryKeyConstraint("quote_id", name=op.f("pk_quotes")),
        sa.CheckConstraint("status IN ('open', 'bound')", name=op.f("ck_quotes_status")),
        sa.CheckConstraint("(status = 'bound') = (bound_at IS NOT NULL)", name=op.f("ck_quotes_bound")),
        sa.CheckConstraint("annual_premium >= 0 AND monthly_premium >= 0", name=op.f("ck_quotes_amounts")),
    )
    op.create_index("ix_quotes_expires_at", "quotes", ["expires_at"], postgresql_where=sa.text("status = 'open'"))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.drop_table("quotes")
    op.drop_index("ix_premiums_driver_id_kind_effective_date", "premiums")
    op.drop_constraint(op.f("ck_premiums_reason"), "premiums")
    for name, _ in reversed(ADDED):
        op.drop_column("premiums", name)
