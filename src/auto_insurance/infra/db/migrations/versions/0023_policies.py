"""Policies, their terms, the stretches of a term and what happened.

Revision ID: 0023_policies
Revises: 0022_prices
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import CreateSequence, DropSequence

revision = "0023_policies"
down_revision = "0022_prices"
branch_labels = None
depends_on = None
STATUSES = "status IN ('quoted', 'bound', 'active', 'lapsed', 'cancelled', 'expired', 'renewed')"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute(CreateSequence(sa.Sequence("policy_numbers")))
    _policies()
    _terms()
    _segments()
    _transactions()


def _policies() -> None:
    op.create_table(
        "policies",
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("quote_id", sa.Text),
        sa.Column("product", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("time_zone", sa.Text, nullable=False),
        sa.Column("anchor_day", sa.SmallInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("term", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(STATUSES, name=op.f("ck_policies_status")),
        sa.CheckConstraint("anchor_day BETWEEN 1 AND 31", name=op.f("ck_policies_anchor_day")),
        sa.PrimaryKeyConstraint("policy_id", name=op.f("pk_policies")),
        sa.UniqueConstraint("quote_id", name=op.f("uq_policies_quote_id")),
    )
    newest = [sa.text("created_at DESC"), sa.text("policy_id DESC")]
    op.create_index("ix_policies_driver_id", "policies", ["driver_id", *newest])
    for name in ("policy_id", "driver_id"):
        ops = {name: "text_pattern_ops"}
        op.create_index(f"ix_policies_search_{name}", "policies", [name], postgresql_ops=ops)
    op.create_index("ix_policies_created_at", "policies", newest)
    op.create_index("ix_policies_status", "policies", ["status", *newest])


def _terms() -> None:
    op.create_table(
        "policy_terms",
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("term", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("starts_on", sa.Date, nullable=False),
        sa.Column("ends_on", sa.Date, nullable=False),
        sa.Column("months", sa.SmallInteger, nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("written", sa.Numeric(14, 2), nullable=False),
        sa.Column("fees", sa.Numeric(14, 2), nullable=False),
        sa.Column("taxes", sa.Numeric(14, 2), nullable=False),
        sa.Column("stopped_on", sa.Date),
        sa.Column("stopped_revision", sa.Integer),
        sa.Column("method", sa.Text),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.CheckConstraint(STATUSES, name=op.f("ck_policy_terms_status")),
        sa.CheckConstraint("months IN (6, 12)", name=op.f("ck_policy_terms_months")),
        sa.CheckConstraint("ends_on > starts_on AND ends_at > starts_at", name=op.f("ck_policy_terms_in_order")),
        sa.CheckConstraint("method IN ('pro_rata', 'short_rate', 'flat')", name=op.f("ck_policy_terms_method")),
        sa.ForeignKeyConstraint(["policy_id"], ["policies.policy_id"], name=op.f("fk_policy_terms_policy_id_policies")),
        sa.PrimaryKeyConstraint("policy_id", "term", name=op.f("pk_policy_terms")),
    )
    op.create_index(
        "ix_policy_terms_to_begin", "policy_terms", ["starts_at"], postgresql_where=sa.text("status = 'bound'")
    )
    op.create_index(
        "ix_policy_terms_to_end",
        "policy_terms",
        ["ends_at"],
        postgresql_where=sa.text("status IN ('active', 'lapsed')"),
    )


def _segments() -> None:
    op.create_table(
        "policy_segments",
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("term", sa.Integer, nullable=False),
        sa.Column("since_revision", sa.Integer, nullable=False),
        sa.Column("position", sa.SmallInteger, nullable=False),
        sa.Column("until_revision", sa.Integer),
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("vehicle_id", sa.Text),
        sa.Column("transaction_id", sa.Text, nullable=False),
        sa.Column("from_on", sa.Date, nullable=False),
        sa.Column("to_on", sa.Date, nullable=False),
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("to_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("annual_premium", sa.Numeric(12, 2), nullable=False),
        sa.Column("flat", sa.Numeric(12, 2), nullable=False),
        sa.Column("changes", JSONB, nullable=False),
        sa.Column("facts", JSONB, nullable=False),
        sa.Column("rate", JSONB, nullable=False),
        sa.CheckConstraint("to_on >= from_on", name=op.f("ck_policy_segments_in_order")),
        sa.CheckConstraint("annual_premium >= 0 AND flat >= 0", name=op.f("ck_policy_segments_amounts")),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["policies.policy_id"], name=op.f("fk_policy_segments_policy_id_policies")
        ),
        sa.PrimaryKeyConstraint("policy_id", "term", "since_revision", "position", name=op.f("pk_policy_segments")),
    )
    op.create_index(
        "ix_policy_segments_driver_id",
        "policy_segments",
        ["driver_id", "from_at"],
        postgresql_where=sa.text("until_revision IS NULL"),
    )


def _transactions() -> None:
    op.create_table(
        "policy_transactions",
        sa.Column("transaction_id", sa.Text, nullable=False),
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("term", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("effective_on", sa.Date, nullable=False),
        sa.Column("written", sa.Numeric(14, 2), nullable=False),
        sa.Column("fees", sa.Numeric(14, 2), nullable=False),
        sa.Column("taxes", sa.Numeric(14, 2), nullable=False),
        sa.Column("written_after", sa.Numeric(14, 2), nullable=False),
        sa.Column("changes", JSONB, nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("details", JSONB, nullable=False),
        sa.Column("premium_id", sa.Uuid),
        sa.Column("reason", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["policies.policy_id"], name=op.f("fk_policy_transactions_policy_id_policies")
        ),
        sa.PrimaryKeyConstraint("transaction_id", name=op.f("pk_policy_transactions")),
        sa.UniqueConstraint("policy_id", "revision", name=op.f("uq_policy_transactions_policy_id")),
    )
    op.execute(
        "CREATE TRIGGER policy_transactions_append_only BEFORE UPDATE OR DELETE ON policy_transactions "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for name in ("policy_transactions", "policy_segments", "policy_terms", "policies"):
        op.drop_table(name)
    op.execute(DropSequence(sa.Sequence("policy_numbers")))
