"""Months that can be archived: their table, claims of months, and creation that tolerates company.

Revision ID: 0009_partitions
Revises: 0007_pricing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009_partitions"
down_revision = "0007_pricing"
branch_labels = None
depends_on = None

# The bounds decide which months are there, not the names: a converted table may span many months. Casting the text of
# a bound back is safe, as PostgreSQL writes and reads it under the same settings of the session.
_MONTH_PARTITIONS = """
CREATE FUNCTION month_partitions(parent text)
RETURNS TABLE (partition text, from_at timestamptz, to_at timestamptz, pending boolean) LANGUAGE sql STABLE AS $$
    SELECT c.relname::text,
        CASE WHEN b[1] = 'MINVALUE' THEN '-infinity'::timestamptz ELSE trim('''' FROM b[1])::timestamptz END,
        CASE WHEN b[2] = 'MAXVALUE' THEN 'infinity'::timestamptz ELSE trim('''' FROM b[2])::timestamptz END,
        i.inhdetachpending
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
        LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM \\((.*)\\) TO \\((.*)\\)$') AS b
    WHERE i.inhparent = to_regclass(parent)
$$
"""
_CLOSED_MONTHS = """
CREATE FUNCTION closed_months(parent text) RETURNS SETOF date LANGUAGE sql STABLE AS $$
    SELECT month FROM telematics_archives
    WHERE parent = 'telematics_events' AND status IN ('closing', 'archived', 'restoring', 'dropping')
$$
"""
# The lock comes first and the look second: whoever closes a month holds the lock alone while saying so.
_CLAIM = """
CREATE FUNCTION claim_months(parent text, months date[]) RETURNS TABLE (month date, state text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('month:' || parent || ':' || m, 0))
        FROM (SELECT DISTINCT unnest(months) AS m ORDER BY 1) AS wanted;
    RETURN QUERY SELECT m, CASE
            WHEN m IN (SELECT closed_months(parent)) THEN 'closed'
            WHEN EXISTS (
                SELECT FROM month_partitions(parent), LATERAL (SELECT m::timestamp AT TIME ZONE 'UTC') AS s (start_at)
                WHERE from_at <= start_at AND to_at > start_at
            ) THEN 'online'
            ELSE 'missing' END
        FROM unnest(months) AS m;
END;
$$
"""
# Beside its parent first and then attached: ATTACH blocks neither readers nor writers, CREATE ... PARTITION OF does.
_CREATE_MONTH = """
CREATE OR REPLACE FUNCTION create_month_partition(parent text, month date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    first_day date := date_trunc('month', month)::date;
    start_at timestamptz := first_day::timestamp AT TIME ZONE 'UTC';
    end_at timestamptz := (first_day + interval '1 month') AT TIME ZONE 'UTC';
    stem text := parent || '_' || to_char(first_day, 'YYYY_MM');
    child text := stem;
    number int := 1;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('partitions:' || parent, 0));
    IF first_day IN (SELECT closed_months(parent)) THEN
        RAISE EXCEPTION 'month % of % is archived', to_char(first_day, 'YYYY-MM'), parent
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Restore it first: auto-insurance partitions restore ' || to_char(first_day, 'YYYY-MM');
    END IF;
    IF EXISTS (SELECT FROM month_partitions(parent) WHERE from_at < end_at AND to_at > start_at) THEN
        RETURN false;
    END IF;
    -- A table that somebody detached by hand keeps its name; the month gets another one.
    WHILE to_regclass(quote_ident(child)) IS NOT NULL LOOP
        number := number + 1;
        child := stem || '_n' || number;
    END LOOP;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES'
        ' INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING GENERATED)', child, parent);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child,
        start_at, end_at);
    RETURN true;
END;
$$
"""
_CREATE_MONTH_BEFORE = """
CREATE OR REPLACE FUNCTION create_month_partition(parent text, month date) RETURNS boolean LANGUAGE plpgsql AS $$
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


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.create_table(
        "telematics_archives",
        sa.Column("month", sa.Date, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("table_name", sa.Text),
        sa.Column("folder", sa.Text),
        sa.Column("rows", sa.BigInteger),
        sa.Column("files", sa.Integer),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("checksum", sa.Text),
        sa.Column("manifest_sha256", sa.Text),
        sa.Column("last_arrival", sa.DateTime(timezone=True)),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("month", name="pk_telematics_archives"),
        sa.CheckConstraint(
            "status IN ('writing', 'written', 'closing', 'archived', 'restoring', 'restored', 'dropping')",
            name="status",
        ),
    )
    for function in (_MONTH_PARTITIONS, _CLOSED_MONTHS, _CLAIM, _CREATE_MONTH):
        op.execute(function)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute(_CREATE_MONTH_BEFORE)
    op.execute("DROP FUNCTION claim_months(text, date[])")
    op.execute("DROP FUNCTION closed_months(text)")
    op.execute("DROP FUNCTION month_partitions(text)")
    op.drop_table("telematics_archives")
