"""Risk and trip scores.

Revision ID: 0006_risk
Revises: 0005_trips
"""

from __future__ import annotations

from alembic import op

revision = "0006_risk"
down_revision = "0005_trips"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
