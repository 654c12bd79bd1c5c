"""Users, sessions, device credentials.

Revision ID: 0002_identity
Revises: 0001_event_log
"""

from __future__ import annotations

from alembic import op

revision = "0002_identity"
down_revision = "0001_event_log"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
