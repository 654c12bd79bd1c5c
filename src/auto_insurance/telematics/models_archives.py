"""The table that knows which months are archived."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Date, DateTime, Integer, Table, Text, func

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
