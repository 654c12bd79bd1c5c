"""Partitioned telematics_events.

Revision ID: 0004_telematics
Revises: 0003_drivers
"""

from __future__ import annotations

from alembic import op

revision = "0004_telematics"
down_revision = "0003_drivers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
