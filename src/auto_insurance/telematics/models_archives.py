"""Tables that know which months are archived, and what staff asked to be done with months."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    text,
)

from auto_insurance.infra.db.metadata import metadata

STATUSES = ("writing", "written", "closing", "archived", "restoring", "restored", "dropping")
CLOSED = ("closing", "archived", "restoring", "dropping")
"""Writers refuse the months of these statuses. The SQL function ``closed_months()`` says the same."""

archives = Table(
    "telematics_archives",
    metadata,
    Column("month", Date, primary_key=True),
    Column("status", Text, nullable=False),
    Column("table_name", Text),
    Column("folder", Text),
    Column("rows", BigInteger),
    Column("files", Integer),
    Column("bytes", BigInteger),
    Column("checksum", Text),
    Column("manifest_sha256", Text),
    Column("last_arrival", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint(f"status IN ({', '.join(repr(status) for status in STATUSES)})", name="status"),
)
"""One row per month that has been written to Parquet or is about to leave. ``folder`` is below ARCHIVE_DIR."""

month_jobs = Table(
    "telematics_month_jobs",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("action", Text, nullable=False),
    Column("month", Date, nullable=False),
    Column("force", Boolean, nullable=False, server_default=text("false")),
    Column("status", Text, nullable=False),
    Column("step", Text),
    Column("done", BigInteger, nullable=False, server_default=text("0")),
    Column("total", BigInteger, nullable=False, server_default=text("0")),
    Column("result", Text),
    Column("detail", Text),
    Column("attempts", SmallInteger, nullable=False, server_default=text("0")),
    Column("leased_until", DateTime(timezone=True)),
    Column("requested_by", Uuid, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    CheckConstraint("action IN ('archive', 'restore')", name="action"),
    CheckConstraint("status IN ('queued', 'running', 'done', 'failed')", name="status"),
    Index("ix_telematics_month_jobs_created_at", "created_at", "job_id"),
    Index(
        "uq_telematics_month_jobs_open",
        "month",
        unique=True,
        postgresql_where=text("status IN ('queued', 'running')"),
    ),
)
"""Archiving and restoring that staff asked for. The scheduler does them, one at a time; a month has one open job."""
