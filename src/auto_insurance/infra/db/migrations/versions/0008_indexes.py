"""Indexes: trips of all drivers in order of time; none that no query uses.

Revision ID: 0008_indexes
Revises: 0012_risk_runs
"""

from __future__ import annotations

from alembic import op

from auto_insurance.infra.db.indexes import create_index, drop_index

revision = "0008_indexes"
down_revision = "0012_risk_runs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    create_index("ix_trips_start_time", "trips", "start_time DESC, trip_id")
    drop_index("ix_trip_scores_driver_id", "trip_scores")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    create_index("ix_trip_scores_driver_id", "trip_scores", "driver_id")
    drop_index("ix_trips_start_time", "trips")
