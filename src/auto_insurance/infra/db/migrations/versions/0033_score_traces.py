"""The trace that a waiting score belongs to.

Revision ID: 0033_score_traces
Revises: 0032_privacy
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033_score_traces"
down_revision = "0032_privacy"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.add_column("risk_due_scores", sa.Column("traceparent", sa.Text))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.drop_column("risk_due_scores", "traceparent")
