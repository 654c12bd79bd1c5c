"""Rewards: trips that count, the ledger of points, redemptions.

Revision ID: 0024_rewards
Revises: 0023_policies
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024_rewards"
down_revision = "0023_policies"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.create_table(
        "reward_trips",
        sa.Column("trip_id", sa.Uuid, nullable=False),
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("season", sa.Integer, nullable=False),
        sa.Column("local_date", sa.Date, nullable=False),
        sa.Column("score", sa.Float(53), nullable=False),
        sa.Column("milli_miles", sa.Integer, nullable=False),
        sa.Column("harsh_events", sa.Integer, nullable=False),
        sa.Column("phone_free_milli", sa.Integer, nullable=False),
        sa.Column("limit_milli", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("trip_id", name=op.f("pk_reward_trips")),
    )
    op.create_index("ix_reward_trips_driver_id_local_date", "reward_trips", ["driver_id", "local_date"])
    _ledger()
    op.create_table(
        "reward_redemptions",
        sa.Column("redemption_id", sa.Uuid, nullable=False),
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("points", sa.Integer, nullable=False),
        sa.Column("amount", sa.Numeric(12, 2), nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("redeemed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("redeemed_by", sa.Uuid, nullable=False),
        sa.PrimaryKeyConstraint("redemption_id", name=op.f("pk_reward_redemptions")),
        sa.CheckConstraint("points > 0 AND amount > 0", name=op.f("ck_reward_redemptions_amounts")),
    )
    op.create_index("ix_reward_redemptions_driver_id", "reward_redemptions", ["driver_id", sa.text("redeemed_at DESC")])


def _ledger() -> None:
    op.create_table(
        "reward_entries",
        sa.Column("entry_id", sa.Uuid, nullable=False),
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("points", sa.Integer, nullable=False),
        sa.Column("balance", sa.Integer, nullable=False),
        sa.Column("season", sa.Integer),
        sa.Column("local_date", sa.Date),
        sa.Column("trip_id", sa.Uuid),
        sa.Column("is_correction", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("rules_version", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_reward_entries")),
        sa.UniqueConstraint("driver_id", "seq", name=op.f("uq_reward_entries_driver_id_seq")),
        sa.CheckConstraint(
            "kind IN ('trip', 'streak', 'milestone', 'achievement', 'redemption')", name=op.f("ck_reward_entries_kind")
        ),
        sa.CheckConstraint("points <> 0", name=op.f("ck_reward_entries_points")),
        sa.CheckConstraint(
            "kind <> 'redemption' OR (points < 0 AND balance >= 0)", name=op.f("ck_reward_entries_redeemed")
        ),
    )
    op.create_index(
        "ix_reward_entries_driver_id_kind_local_date", "reward_entries", ["driver_id", "kind", "local_date"]
    )
    op.execute(
        """
        CREATE FUNCTION rewards_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is only added to', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER reward_entries_append_only BEFORE UPDATE ON reward_entries"
        " FOR EACH ROW EXECUTE FUNCTION rewards_refuse_change()"
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for name in ("reward_redemptions", "reward_entries", "reward_trips"):
        op.drop_table(name)
    op.execute("DROP FUNCTION rewards_refuse_change()")
