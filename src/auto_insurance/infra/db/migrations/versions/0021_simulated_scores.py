"""Scores say whether observed claims stood behind their model.

Revision ID: 0021_simulated_scores
Revises: 0020_claims
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021_simulated_scores"
down_revision = "0020_claims"
branch_labels = None
depends_on = None
TABLES = ("risk_scores", "trip_scores")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    # All models of before rest on assumptions or a simulation. A constant default rewrites no row.
    for table in TABLES:
        op.add_column(table, sa.Column("simulated", sa.Boolean, nullable=False, server_default=sa.text("true")))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for table in TABLES:
        op.drop_column(table, "simulated")
