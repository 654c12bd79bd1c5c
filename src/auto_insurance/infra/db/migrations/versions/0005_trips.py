"""Trips, trip events, device state.

Revision ID: 0005_trips
Revises: 0004_telematics
"""

from __future__ import annotations

from alembic import op

revision = "0005_trips"
down_revision = "0004_telematics"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
