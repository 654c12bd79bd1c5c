"""Premiums.

Revision ID: 0007_pricing
Revises: 0006_risk
"""

from __future__ import annotations

from alembic import op

revision = "0007_pricing"
down_revision = "0006_risk"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
