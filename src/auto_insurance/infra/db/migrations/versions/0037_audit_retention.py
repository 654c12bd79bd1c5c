"""Closings of the audit log: what may leave it, and only that.

Revision ID: 0037_audit_retention
Revises: 0036_audit
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0037_audit_retention"
down_revision = "0036_audit"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.create_table(
        "audit_closings",
        sa.Column("last_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("first_number", sa.BigInteger(), nullable=False),
        sa.Column("before", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("last_number", name=op.f("pk_audit_closings")),
    )
    op.execute(
        "CREATE TRIGGER audit_closings_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_closings "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        """
        CREATE FUNCTION audit_only_closed() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF OLD.number IS NULL OR OLD.number > coalesce((SELECT max(last_number) FROM audit_closings), 0) THEN
                RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN OLD;
        END $$
        """
    )
    op.execute("DROP TRIGGER audit_log_append_only ON audit_log")
    op.execute(
        "CREATE TRIGGER audit_log_append_only BEFORE TRUNCATE ON audit_log "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER audit_log_only_closed BEFORE DELETE ON audit_log "
        "FOR EACH ROW EXECUTE FUNCTION audit_only_closed()"
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute("DROP TRIGGER audit_log_only_closed ON audit_log")
    op.execute("DROP TRIGGER audit_log_append_only ON audit_log")
    op.execute(
        "CREATE TRIGGER audit_log_append_only BEFORE DELETE OR TRUNCATE ON audit_log "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute("DROP FUNCTION audit_only_closed()")
    op.drop_table("audit_closings")
