"""Tables of billing: instalments, invoices, payments, statements of miles."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from auto_insurance.infra.db.metadata import metadata

billing_accounts = Table(
    "billing_accounts",
    metadata,
    Column("policy_id", Text, primary_key=True),
    Column("currency", Text, nullable=False),
    Column("unapplied", Numeric(14, 2), nullable=False),
    CheckConstraint("unapplied >= 0", name="unapplied"),
    Index("ix_billing_accounts_unapplied", "policy_id", postgresql_where=text("unapplied > 0")),
)
"""What came in and has paid no invoice yet; its row lock orders everything that happens to a policy's invoices."""

billing_instalments = Table(
    "billing_instalments",
    metadata,
    Column("policy_id", Text, nullable=False),
    Column("term", Integer, nullable=False),
    Column("seq", SmallInteger, nullable=False),
    Column("due_on", Date, nullable=False),
    Column("amount", Numeric(14, 2), nullable=False),
    Column("issued_on", Date),
    Column("invoice_id", Uuid),
    PrimaryKeyConstraint("policy_id", "term", "seq"),
    CheckConstraint("amount >= 0", name="amount"),
    Index("ix_billing_instalments_to_come", "due_on", "policy_id", postgresql_where=text("issued_on IS NULL")),
)
"""How a term is paid for. What is not issued yet changes with the premium; an instalment of 0 gets no invoice."""

invoices = Table(
    "invoices",
    metadata,
    Column("invoice_id", Uuid, primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("policy_id", Text, nullable=False),
    Column("term", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("issued_on", Date, nullable=False),
    Column("due_on", Date, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", Numeric(14, 2), nullable=False),
    Column("open_amount", Numeric(14, 2), nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("stage", Text, nullable=False),
    Column("stage_since", Date, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("kind IN ('instalment', 'adjustment', 'usage')", name="kind"),
    CheckConstraint("stage IN ('issued', 'reminded', 'final_notice', 'lapsed')", name="stage"),
    CheckConstraint("open_amount BETWEEN 0 AND greatest(amount, 0)", name="open_amount"),
    CheckConstraint("amount <> 0", name="amount"),
    Index("ix_invoices_policy_id_number", "policy_id", text("number DESC")),
    Index("ix_invoices_dunning", "stage", "due_on", "invoice_id", postgresql_where=text("open_amount > 0")),
    Index("ix_invoices_open", "policy_id", "due_on", "number", postgresql_where=text("open_amount > 0")),
)
"""Of an invoice only what is open of it and how far the reminding has gone ever change. ``lines`` are [text, amount].
A credit note has a negative amount and is never open."""

payments = Table(
    "payments",
    metadata,
    Column("payment_id", Uuid, primary_key=True),
    Column("policy_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("amount", Numeric(14, 2), nullable=False),
    Column("currency", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("provider_reference", Text),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("kind IN ('payment', 'refund')", name="kind"),
    CheckConstraint("status IN ('pending', 'succeeded', 'failed')", name="status"),
    CheckConstraint("amount > 0", name="amount"),
    Index("ix_payments_policy_id_created_at", "policy_id", text("created_at DESC")),
    Index(
        "ix_payments_refunds_due",
        "payment_id",
        postgresql_where=text("kind = 'refund' AND status = 'pending'"),
    ),
    Index(
        "ix_payments_one_refund",
        "policy_id",
        unique=True,
        postgresql_where=text("kind = 'refund' AND status = 'pending'"),
    ),
)
"""``method`` is the provider's opaque token; nothing else is known of cards and accounts."""

statements = Table(
    "statements",
    metadata,
    Column("statement_id", Uuid, primary_key=True),
    Column("policy_id", Text, nullable=False),
    Column("driver_id", Text, nullable=False),
    Column("month", Date, nullable=False),
    Column("currency", Text, nullable=False),
    Column("miles", Numeric(12, 1), nullable=False),
    Column("charged_miles", Numeric(12, 3), nullable=False),
    Column("amount", Numeric(14, 2), nullable=False),
    Column("days", JSONB, nullable=False),
    Column("corrections", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("policy_id", "month"),
    CheckConstraint("extract(day FROM month) = 1", name="month"),
)
"""The miles of a month and what they cost, once and for all: the database refuses changes. ``amount`` is with the
corrections of earlier months. ``days`` are [day, miles, charged miles, rate, amount], ``corrections`` [day, reason,
miles before, miles now, amount]."""

mile_changes = Table(
    "mile_changes",
    metadata,
    Column("policy_id", Text, nullable=False),
    Column("on_day", Date, nullable=False),
    Column("reason", Text, nullable=False),
    Column("noted_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("policy_id", "on_day"),
)
"""Days of final statements on which trips have changed since: the next statement looks at them again."""
