"""More sums of trips: phone use and time by speed, jerk, long drives, squares for spreads.

Trips from before know nothing of their speeds and jerk: the seconds in which these were known are 0 there. The squares
follow from what is known of them; of long drives it is what lies later than 2 h within one trip.

The first champion of new installations is another one than before. Who has scores already keeps the scorecard until
somebody decides otherwise. driving-1 is fitted on features that are no longer made, and leaves.

Revision ID: 0026_trip_sums
Revises: 0025_billing_indexes
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026_trip_sums"
down_revision = "0025_billing_indexes"
branch_labels = None
depends_on = None

SUMS = (
    "phone_speed_known_s",
    "phone_standing_s",
    "phone_moving_s",
    "phone_fast_s",
    "speed_known_s",
    "speed_standing_s",
    "speed_slow_s",
    "speed_fast_s",
    "speed_very_fast_s",
    "speed_mph_s",
    "speed_mph2_s",
    "jerk_known_s",
    "jerky_s",
    "jerk_square",
    "long_drive_s",
    "braking_square",
    "pace_square",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '30min'")
    for name in SUMS:
        op.add_column("trips", sa.Column(name, sa.Float(53), nullable=False, server_default="0"))
    for name in SUMS:
        op.alter_column("trips", name, server_default=None)
    op.execute(
        "UPDATE trips SET"
        " braking_square = CASE WHEN distance_miles > 0"
        " THEN harsh_braking_count * harsh_braking_count / distance_miles ELSE 0 END,"
        " pace_square = CASE WHEN duration_s > 0 THEN distance_miles * distance_miles / duration_s ELSE 0 END,"
        " long_drive_s = CASE WHEN duration_s > 7200 THEN moving_s * (duration_s - 7200) / duration_s ELSE 0 END"
    )
    op.execute(
        "INSERT INTO risk_models (version, kind, status, shipped, simulated, trained_on, sha256, metrics, card,"
        " created_at, created_by, changed_at) SELECT 'scorecard-1', 'scorecard', 'champion', true, true,"
        " 'Not trained: relativities are documented assumptions from published studies; the reference population is"
        " simulated.', '', '{}', '', now(), 'the upgrade', now() WHERE EXISTS (SELECT FROM risk_scores)"
        " AND NOT EXISTS (SELECT FROM risk_models WHERE status = 'champion')"
        " ON CONFLICT (version) DO UPDATE SET status = 'champion', changed_at = now()"
    )
    op.execute("DELETE FROM risk_models WHERE version = 'driving-1' AND shipped")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for name in SUMS:
        op.drop_column("trips", name)
