"""The database refuses to change a stored premium.

Revision ID: 0027_premiums_stay
Revises: 0026_trip_sums
"""

from __future__ import annotations

from alembic import op

revision = "0027_premiums_stay"
down_revision = "0026_trip_sums"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    # Deleting stays possible: a driver may be erased.
    op.execute(
        "CREATE TRIGGER premiums_stay BEFORE UPDATE ON premiums FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute("DROP TRIGGER premiums_stay ON premiums")
