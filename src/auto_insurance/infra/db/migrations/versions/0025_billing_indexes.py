"""Terms of the ledger by driver, rates by day, accounts with money that has paid nothing.

Revision ID: 0025_billing_indexes
Revises: 0024_rewards
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025_billing_indexes"
down_revision = "0024_rewards"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.create_index("ix_ledger_terms_driver_id_starts_on", "ledger_terms", ["driver_id", "starts_on"])
    op.create_index("ix_ledger_rates_from_on", "ledger_rates", ["from_on"])
    op.create_index(
        "ix_billing_accounts_unapplied",
        "billing_accounts",
        ["policy_id"],
        postgresql_where=sa.text("unapplied > 0"),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.drop_index("ix_billing_accounts_unapplied", "billing_accounts")
    op.drop_index("ix_ledger_rates_from_on", "ledger_rates")
    op.drop_index("ix_ledger_terms_driver_id_starts_on", "ledger_terms")
