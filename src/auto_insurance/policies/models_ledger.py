"""Tables of the ledger. Entries and postings are never changed: the database refuses it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from auto_insurance.infra.db.metadata import metadata

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("entry_id", Uuid, primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False),
    Column("policy_id", Text, nullable=False),
    Column("term", Integer, nullable=False),
    Column("transaction_id", Text),
    Column("booked_on", Date, nullable=False),
    Column("effective_on", Date, nullable=False),
    Column("kind", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("reference", Text, nullable=False, unique=True),
    Column("pattern", JSONB(none_as_null=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(
        "kind IN ('booking', 'earning', 'usage', 'fee', 'payment', 'refund', 'credit', 'write_off')", name="kind"
    ),
    Index(None, "policy_id", "number"),
    Index("ix_ledger_entries_booked_on", "booked_on"),
)
"""The journal. ``reference`` is what the entry is for: the same thing is booked once. ``pattern`` is the term's whole
earning pattern from this entry on, of bookings alone: segments as [from, to, annual premium, flat amount]."""

ledger_postings = Table(
    "ledger_postings",
    metadata,
    Column("entry_id", Uuid, ForeignKey("ledger_entries.entry_id"), nullable=False),
    Column("seq", SmallInteger, nullable=False),
    Column("account", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("amount", Numeric(14, 2), nullable=False),
    Column("currency", Text, nullable=False),
    PrimaryKeyConstraint("entry_id", "seq"),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("side IN ('debit', 'credit')", name="side"),
    CheckConstraint(
        "account IN ('premium_receivable', 'cash', 'unearned_premium', 'earned_premium', 'fees', 'taxes_payable', "
        "'credits', 'write_offs')",
        name="account",
    ),
)
"""The lines of an entry; all of them come in one statement, after which debits must equal credits."""

ledger_terms = Table(
    "ledger_terms",
    metadata,
    Column("policy_id", Text, nullable=False),
    Column("term", Integer, nullable=False),
    Column("driver_id", Text),
    Column("currency", Text, nullable=False),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date, nullable=False),
    Column("months", SmallInteger, nullable=False),
    Column("segments", JSONB, nullable=False),
    Column("written", Numeric(14, 2), nullable=False),
    Column("earned", Numeric(14, 2), nullable=False),
    Column("earned_to", Date, nullable=False),
    Column("earns_to", Date, nullable=False),
    Column("billed", Numeric(14, 2), nullable=False),
    Column("instalments", Text, nullable=False),
    PrimaryKeyConstraint("policy_id", "term"),
    CheckConstraint("instalments IN ('annual', 'half_yearly', 'quarterly', 'monthly')", name="instalments"),
    Index("ix_ledger_terms_earning", "earned_to", "policy_id", "term", postgresql_where=text("earned_to < earns_to")),
    Index(None, "driver_id", "starts_on"),
    postgresql_with={"fillfactor": 70},
)
"""How each term stands: its pattern, what is written of it, earned up to the beginning of ``earned_to``, to be billed
(premium, fees and taxes of its bookings). From ``earns_to`` on nothing more is earned."""

ledger_rates = Table(
    "ledger_rates",
    metadata,
    Column("policy_id", Text, nullable=False),
    Column("from_on", Date, nullable=False),
    Column("rate_per_mile", Numeric(12, 6), nullable=False),
    Column("daily_cap_miles", Numeric(10, 3)),
    PrimaryKeyConstraint("policy_id", "from_on"),
    CheckConstraint("rate_per_mile >= 0 AND daily_cap_miles > 0", name="amounts"),
    Index(None, "from_on"),
)
"""What a mile costs from a day on, for policies that charge miles."""
