"""Drivers, vehicles, devices, assignments.

Revision ID: 0003_drivers
Revises: 0002_identity
"""

from __future__ import annotations

from alembic import op

revision = "0003_drivers"
down_revision = "0002_identity"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
