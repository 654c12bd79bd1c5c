"""Tables of the audit log."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Index, LargeBinary, Table, Text, Uuid, text

from auto_insurance.infra.db.metadata import metadata

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor", LargeBinary),
    Column("action", Text, nullable=False),
    Column("subject_kind", Text),
    Column("subject_id", Text),
    Column("subject", LargeBinary),
    Column("request_id", Text),
    Column("details", Text, nullable=False),
    Column("number", BigInteger),
    Column("hash", LargeBinary),
    CheckConstraint("(number IS NULL) = (hash IS NULL)", name="chained"),
    Index("uq_audit_log_number", "number", unique=True),
    Index("ix_audit_log_waiting", "at", "id", postgresql_where=text("number IS NULL")),
    Index("ix_audit_log_at_id", "at", "id"),
    Index("ix_audit_log_subject_id", "subject_id", postgresql_where=text("subject_id IS NOT NULL")),
)
"""One row per transaction of a person, key or command; see ``chain`` for what is hashed. Rows wait for their number."""

audit_subjects = Table(
    "audit_subjects",
    metadata,
    Column("seal", LargeBinary, primary_key=True),
    Column("log_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("ident", Text, nullable=False),
    Column("label", Text),
    Column("address", Text),
    Column("private", Text),
    Column("salt", LargeBinary, nullable=False),
    Index("ix_audit_subjects_ident_kind", "ident", "kind"),
    Index("ix_audit_subjects_label", "label", postgresql_where=text("label IS NOT NULL")),
)
"""What the seals in the log stand for. Deleting a row makes its seal unreadable for ever."""

audit_anchors = Table(
    "audit_anchors",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)
"""How far the chain was verified, and its hash there. Copies of these are to be kept elsewhere."""

audit_closings = Table(
    "audit_closings",
    metadata,
    Column("last_number", BigInteger, primary_key=True, autoincrement=False),
    Column("month", Text, nullable=False),
    Column("first_number", BigInteger, nullable=False),
    Column("before", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("at", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)
"""What left: one row per month; the chain is taken up after the last of them."""
