"""The audit log: append-only rows, what their seals stand for, anchors.

Revision ID: 0036_audit
Revises: 0035_accounts
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0036_audit"
down_revision = "0035_accounts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    _log()
    _beside()
    _guards()


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for table in ("audit_anchors", "audit_subjects", "audit_log"):
        op.drop_table(table)
    op.execute("DROP FUNCTION audit_only_number()")


def _log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.LargeBinary()),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text()),
        sa.Column("subject_id", sa.Text()),
        sa.Column("subject", sa.LargeBinary()),
        sa.Column("request_id", sa.Text()),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger()),
        sa.Column("hash", sa.LargeBinary()),
        sa.CheckConstraint("(number IS NULL) = (hash IS NULL)", name=op.f("ck_audit_log_chained")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index("uq_audit_log_number", "audit_log", ["number"], unique=True)
    op.create_index("ix_audit_log_waiting", "audit_log", ["at", "id"], postgresql_where=sa.text("number IS NULL"))
    op.create_index("ix_audit_log_at_id", "audit_log", ["at", "id"])
    op.create_index(
        "ix_audit_log_subject_id",
        "audit_log",
        ["subject_id"],
        postgresql_where=sa.text("subject_id IS NOT NULL"),
    )


def _beside() -> None:
    op.create_table(
        "audit_subjects",
        sa.Column("seal", sa.LargeBinary(), nullable=False),
        sa.Column("log_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ident", sa.Text(), nullable=False),
        sa.Column("label", sa.Text()),
        sa.Column("address", sa.Text()),
        sa.Column("private", sa.Text()),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seal", name=op.f("pk_audit_subjects")),
    )
    op.create_index("ix_audit_subjects_ident_kind", "audit_subjects", ["ident", "kind"])
    op.create_index(
        "ix_audit_subjects_label", "audit_subjects", ["label"], postgresql_where=sa.text("label IS NOT NULL")
    )
    op.create_table(
        "audit_anchors",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_anchors")),
    )


def _guards() -> None:
    """Rows are never deleted; the one change is that a row without a number gets its number and hash."""
    op.execute(
        """
        CREATE FUNCTION audit_only_number() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            unnumbered audit_log := NEW;
        BEGIN
            unnumbered.number := OLD.number;
            unnumbered.hash := OLD.hash;
            IF OLD.number IS NOT NULL OR NEW.number IS NULL OR unnumbered IS DISTINCT FROM OLD THEN
                RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER audit_log_only_number BEFORE UPDATE ON audit_log "
        "FOR EACH ROW EXECUTE FUNCTION audit_only_number()"
    )
    for table, events in (
        ("audit_log", "DELETE OR TRUNCATE"),
        ("audit_anchors", "UPDATE OR DELETE OR TRUNCATE"),
        # Deleting stays possible: a person may be erased.
        ("audit_subjects", "UPDATE OR TRUNCATE"),
    ):
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE {events} ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
