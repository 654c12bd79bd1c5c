"""Checkpoints of devices: an older one beside the newest, and marks of long sessions."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0011_checkpoints"
down_revision = "0014_risk_models"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add them, empty: states in the form of before are folded anew from the events."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.add_column("device_trip_state", sa.Column("older", sa.LargeBinary()))
    op.add_column("device_trip_state", sa.Column("older_us", sa.BigInteger()))
    op.create_table(
        "device_trip_marks",
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", "at_us", name="pk_device_trip_marks"),
    )
    # Rewritten over and over: room on each page lets an update stay there.
    op.execute("ALTER TABLE device_trip_state SET (fillfactor = 70)")


def downgrade() -> None:
    """Take them away."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute("ALTER TABLE device_trip_state RESET (fillfactor)")
    op.drop_table("device_trip_marks")
    op.drop_column("device_trip_state", "older_us")
    op.drop_column("device_trip_state", "older")
