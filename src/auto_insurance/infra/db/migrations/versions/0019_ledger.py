"""Ledger and billing.

Revision ID: 0019_ledger
Revises: 0018_trip_disputes
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0019_ledger"
down_revision = "0018_trip_disputes"
branch_labels = None
depends_on = None

APPEND_ONLY = ("ledger_entries", "ledger_postings", "statements")
TABLES = (
    "mile_changes",
    "statements",
    "payments",
    "invoices",
    "billing_instalments",
    "billing_accounts",
    "ledger_rates",
    "ledger_terms",
    "ledger_postings",
    "ledger_entries",
)
FUNCTIONS = ("refuse_change()", "ledger_check_balance()", "ledger_check_postings()")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    _ledger()
    _terms()
    _billing()
    _statements()
    _guards()


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for name in TABLES:
        op.drop_table(name)
    for name in FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}")


def _ledger() -> None:
    op.create_table(
        "ledger_entries",
        sa.Column("entry_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("term", sa.Integer, nullable=False),
        sa.Column("transaction_id", sa.Text),
        sa.Column("booked_on", sa.Date, nullable=False),
        sa.Column("effective_on", sa.Date, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("pattern", JSONB),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('booking', 'earning', 'usage', 'fee', 'payment', 'refund', 'credit', 'write_off')",
            name=op.f("ck_ledger_entries_kind"),
        ),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_ledger_entries")),
        sa.UniqueConstraint("reference", name=op.f("uq_ledger_entries_reference")),
    )
    op.create_index("ix_ledger_entries_policy_id_number", "ledger_entries", ["policy_id", "number"])
    op.create_table(
        "ledger_postings",
        sa.Column("entry_id", sa.Uuid, nullable=False),
        sa.Column("seq", sa.SmallInteger, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("amount", sa.Numeric(14, 2), nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_ledger_postings_amount")),
        sa.CheckConstraint("side IN ('debit', 'credit')", name=op.f("ck_ledger_postings_side")),
        sa.CheckConstraint(
            "account IN ('premium_receivable', 'cash', 'unearned_premium', 'earned_premium', 'fees', "
            "'taxes_payable', 'credits', 'write_offs')",
            name=op.f("ck_ledger_postings_account"),
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["ledger_entries.entry_id"], name=op.f("fk_ledger_postings_entry_id_ledger_entries")
        ),
        sa.PrimaryKeyConstraint("entry_id", "seq", name=op.f("pk_ledger_postings")),
    )


def _terms() -> None:
    op.create_table(
        "ledger_terms",
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("term", sa.Integer, nullable=False),
        sa.Column("driver_id", sa.Text),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("starts_on", sa.Date, nullable=False),
        sa.Column("ends_on", sa.Date, nullable=False),
        sa.Column("months", sa.SmallInteger, nullable=False),
        sa.Column("segments", JSONB, nullable=False),
        sa.Column("written", sa.Numeric(14, 2), nullable=False),
        sa.Column("earned", sa.Numeric(14, 2), nullable=False),
        sa.Column("earned_to", sa.Date, nullable=False),
        sa.Column("earns_to", sa.Date, nullable=False),
        sa.Column("billed", sa.Numeric(14, 2), nullable=False),
        sa.Column("instalments", sa.Text, nullable=False),
        sa.CheckConstraint(
            "instalments IN ('annual', 'half_yearly', 'quarterly', 'monthly')",
            name=op.f("ck_ledger_terms_instalments"),
        ),
        sa.PrimaryKeyConstraint("policy_id", "term", name=op.f("pk_ledger_terms")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "ix_ledger_terms_earning",
        "ledger_terms",
        ["earned_to", "policy_id", "term"],
        postgresql_where=sa.text("earned_to < earns_to"),
    )
    op.create_table(
        "ledger_rates",
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("from_on", sa.Date, nullable=False),
        sa.Column("rate_per_mile", sa.Numeric(12, 6), nullable=False),
        sa.Column("daily_cap_miles", sa.Numeric(10, 3)),
        sa.CheckConstraint("rate_per_mile >= 0 AND daily_cap_miles > 0", name=op.f("ck_ledger_rates_amounts")),
        sa.PrimaryKeyConstraint("policy_id", "from_on", name=op.f("pk_ledger_rates")),
    )


def _billing() -> None:
    op.create_table(
        "billing_accounts",
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("unapplied", sa.Numeric(14, 2), nullable=False),
        sa.CheckConstraint("unapplied >= 0", name=op.f("ck_billing_accounts_unapplied")),
        sa.PrimaryKeyConstraint("policy_id", name=op.f("pk_billing_accounts")),
    )
    op.create_table(
        "billing_instalments",
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("term", sa.Integer, nullable=False),
        sa.Column("seq", sa.SmallInteger, nullable=False),
        sa.Column("due_on", sa.Date, nullable=False),
        sa.Column("amount", sa.Numeric(14, 2), nullable=False),
        sa.Column("issued_on", sa.Date),
        sa.Column("invoice_id", sa.Uuid),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_billing_instalments_amount")),
        sa.PrimaryKeyConstraint("policy_id", "term", "seq", name=op.f("pk_billing_instalments")),
    )
    op.create_index(
        "ix_billing_instalments_to_come",
        "billing_instalments",
        ["due_on", "policy_id"],
        postgresql_where=sa.text("issued_on IS NULL"),
    )
    _invoices()
    _payments()


def _invoices() -> None:
    op.create_table(
        "invoices",
        sa.Column("invoice_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("term", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("issued_on", sa.Date, nullable=False),
        sa.Column("due_on", sa.Date, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("amount", sa.Numeric(14, 2), nullable=False),
        sa.Column("open_amount", sa.Numeric(14, 2), nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("stage_since", sa.Date, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('instalment', 'adjustment', 'usage')", name=op.f("ck_invoices_kind")),
        sa.CheckConstraint("stage IN ('issued', 'reminded', 'final_notice', 'lapsed')", name=op.f("ck_invoices_stage")),
        sa.CheckConstraint("open_amount BETWEEN 0 AND greatest(amount, 0)", name=op.f("ck_invoices_open_amount")),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_invoices_amount")),
        sa.PrimaryKeyConstraint("invoice_id", name=op.f("pk_invoices")),
        sa.UniqueConstraint("number", name=op.f("uq_invoices_number")),
    )
    op.create_index("ix_invoices_policy_id_number", "invoices", ["policy_id", sa.text("number DESC")])
    op.create_index(
        "ix_invoices_dunning",
        "invoices",
        ["stage", "due_on", "invoice_id"],
        postgresql_where=sa.text("open_amount > 0"),
    )
    op.create_index(
        "ix_invoices_open", "invoices", ["policy_id", "due_on", "number"], postgresql_where=sa.text("open_amount > 0")
    )


def _payments() -> None:
    op.create_table(
        "payments",
        sa.Column("payment_id", sa.Uuid, nullable=False),
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("amount", sa.Numeric(14, 2), nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("provider_reference", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('payment', 'refund')", name=op.f("ck_payments_kind")),
        sa.CheckConstraint("status IN ('pending', 'succeeded', 'failed')", name=op.f("ck_payments_status")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_payments_amount")),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_payments")),
    )
    op.create_index("ix_payments_policy_id_created_at", "payments", ["policy_id", sa.text("created_at DESC")])
    pending = sa.text("kind = 'refund' AND status = 'pending'")
    op.create_index("ix_payments_refunds_due", "payments", ["payment_id"], postgresql_where=pending)
    op.create_index("ix_payments_one_refund", "payments", ["policy_id"], unique=True, postgresql_where=pending)


def _statements() -> None:
    op.create_table(
        "statements",
        sa.Column("statement_id", sa.Uuid, nullable=False),
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("month", sa.Date, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("miles", sa.Numeric(12, 1), nullable=False),
        sa.Column("charged_miles", sa.Numeric(12, 3), nullable=False),
        sa.Column("amount", sa.Numeric(14, 2), nullable=False),
        sa.Column("days", JSONB, nullable=False),
        sa.Column("corrections", JSONB, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("extract(day FROM month) = 1", name=op.f("ck_statements_month")),
        sa.PrimaryKeyConstraint("statement_id", name=op.f("pk_statements")),
        sa.UniqueConstraint("policy_id", "month", name=op.f("uq_statements_policy_id_month")),
    )
    op.create_table(
        "mile_changes",
        sa.Column("policy_id", sa.Text, nullable=False),
        sa.Column("on_day", sa.Date, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("policy_id", "on_day", name=op.f("pk_mile_changes")),
    )


def _guards() -> None:
    """What the database itself refuses: changes of what is final, entries that don't balance."""
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
        END $$
        """
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    # After each statement, over all its rows at once: postings of thousands of entries are checked by one query.
    op.execute(
        """
        CREATE FUNCTION ledger_check_balance() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE wrong uuid;
        BEGIN
            SELECT p.entry_id INTO wrong
            FROM ledger_postings AS p
            WHERE p.entry_id IN (SELECT DISTINCT entry_id FROM added)
            GROUP BY p.entry_id
            HAVING sum(CASE p.side WHEN 'debit' THEN p.amount ELSE -p.amount END) <> 0
                OR count(*) < 2 OR count(DISTINCT p.currency) > 1
            LIMIT 1;
            IF FOUND THEN
                RAISE EXCEPTION 'ledger entry % does not balance', wrong USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER ledger_postings_balance AFTER INSERT ON ledger_postings REFERENCING NEW TABLE AS added "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger_check_balance()"
    )
    # At commit, when its postings must be there.
    op.execute(
        """
        CREATE FUNCTION ledger_check_postings() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NOT EXISTS (SELECT FROM ledger_postings WHERE entry_id = NEW.entry_id) THEN
                RAISE EXCEPTION 'ledger entry % has no postings', NEW.entry_id USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE CONSTRAINT TRIGGER ledger_entries_postings AFTER INSERT ON ledger_entries "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_check_postings()"
    )
