"""Partitioned telematics_events, what devices sent, imports.

Revision ID: 0004_telematics
Revises: 0003_drivers
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004_telematics"
down_revision = "0003_drivers"
branch_labels = None
depends_on = None

# Beside its parent first and then attached: ATTACH blocks neither readers nor writers, CREATE ... PARTITION OF does.
_CREATE_MONTH = """
CREATE FUNCTION create_month_partition(parent text, month date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    first_day date := date_trunc('month', month)::date;
    child text := parent || '_' || to_char(first_day, 'YYYY_MM');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('partitions:' || parent, 0));
    IF EXISTS (
        SELECT 1 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = parent::regclass AND c.relname = child
    ) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)',
        child, parent);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child,
        to_char(first_day, 'YYYY-MM-DD') || ' 00:00:00+00',
        to_char(first_day + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00');
    RETURN true;
END;
$$
"""
_CREATE_IF_NOT_EXISTS = """
CREATE FUNCTION create_partition_if_not_exists(
    month date DEFAULT (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month')::date
) RETURNS boolean LANGUAGE sql AS $$ SELECT create_month_partition('telematics_events', month) $$
"""
_CREATE_NEXT_MONTH = """
CREATE FUNCTION create_next_month_partition() RETURNS boolean LANGUAGE sql
AS $$ SELECT create_partition_if_not_exists() $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    _create_events()
    _create_contacts()
    _create_imports()
    for function in (_CREATE_MONTH, _CREATE_IF_NOT_EXISTS, _CREATE_NEXT_MONTH):
        op.execute(function)
    op.execute(
        "SELECT create_partition_if_not_exists((date_trunc('month', now() AT TIME ZONE 'UTC')"
        " + n * interval '1 month')::date) FROM generate_series(0, 3) AS n"
    )


def _create_events() -> None:
    op.create_table(
        "telematics_events",
        sa.Column("device_id", sa.Text, nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("latitude", sa.Float(53)),
        sa.Column("longitude", sa.Float(53)),
        sa.Column("speed_mph", sa.REAL),
        sa.Column("acceleration_g", sa.REAL),
        sa.Column("lateral_acceleration_g", sa.REAL),
        sa.Column("heading_deg", sa.REAL),
        sa.Column("altitude_m", sa.REAL),
        sa.Column("gps_accuracy_m", sa.REAL),
        sa.Column("event_type", sa.Text, nullable=False),
        sa.Column("speed_limit_mph", sa.REAL),
        sa.Column("phone_in_use", sa.Boolean),
        sa.Column("quality", sa.SmallInteger, nullable=False),
        sa.Column("device_trip_id", sa.Text),
        sa.Column("extra", JSONB),
        sa.PrimaryKeyConstraint("device_id", "timestamp", "event_id", name="pk_telematics_events"),
        postgresql_partition_by="RANGE (timestamp)",
    )
    op.create_index(
        "ix_telematics_events_driver_id_timestamp", "telematics_events", ["driver_id", sa.text("timestamp DESC")]
    )
    op.create_index(
        "ix_telematics_events_harsh",
        "telematics_events",
        ["event_type", "timestamp"],
        postgresql_where=sa.text("event_type IN ('harsh_brake', 'rapid_accel', 'harsh_corner', 'crash')"),
    )


def _create_contacts() -> None:
    op.create_table(
        "telematics_device_contacts",
        sa.Column("device_id", sa.Text, nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted", sa.BigInteger, nullable=False),
        sa.Column("rejected", sa.BigInteger, nullable=False),
        sa.Column("last_received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("min_clock_offset_us", sa.BigInteger),
        sa.PrimaryKeyConstraint("device_id", "hour", name="pk_telematics_device_contacts"),
    )
    op.create_index("ix_telematics_device_contacts_hour", "telematics_device_contacts", ["hour"])


def _create_imports() -> None:
    op.create_table(
        "telematics_imports",
        sa.Column("job_id", sa.Uuid, nullable=False),
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("device_id", sa.Text, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary),
        sa.Column("next_row", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("accepted", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("rejected", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("reasons", JSONB, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("problems", JSONB, nullable=False, server_default=sa.text("'[]'")),
        sa.Column("detail", sa.Text),
        sa.Column("attempts", sa.SmallInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("leased_until", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("job_id", name="pk_telematics_imports"),
        sa.CheckConstraint("status IN ('queued', 'running', 'done', 'failed')", name="status"),
    )
    op.create_index(
        "ix_telematics_imports_open",
        "telematics_imports",
        ["created_at"],
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute("DROP FUNCTION create_next_month_partition()")
    op.execute("DROP FUNCTION create_partition_if_not_exists(date)")
    op.execute("DROP FUNCTION create_month_partition(text, date)")
    for table in ("telematics_imports", "telematics_device_contacts", "telematics_events"):
        op.drop_table(table)
