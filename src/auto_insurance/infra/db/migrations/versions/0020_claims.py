"""Claims with their moves, money and evidence.

Revision ID: 0020_claims
Revises: 0019_ledger
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import CreateSequence, DropSequence

revision = "0020_claims"
down_revision = "0019_ledger"
branch_labels = None
depends_on = None

_STATUSES = (
    "status IN ('draft', 'reported', 'open', 'investigating', 'approved', 'denied', 'paid', 'closed', 'reopened',"
    " 'withdrawn')"
)
_APPENDED = ("claim_moves", "claim_amounts", "claim_evidence")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute(CreateSequence(sa.Sequence("claim_numbers")))
    _claims()
    _histories()
    op.execute(
        """
        CREATE FUNCTION claims_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is only added to', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
        END $$
        """
    )
    for table in _APPENDED:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION claims_refuse_change()"
        )


def _claims() -> None:
    op.create_table(
        "claims",
        sa.Column("claim_id", sa.Text, nullable=False),
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("vehicle_id", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("coverage", sa.Text),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("time_zone", sa.Text, nullable=False),
        sa.Column("latitude", sa.Float(53)),
        sa.Column("longitude", sa.Float(53)),
        sa.Column("description", sa.Text),
        sa.Column("injuries", sa.Boolean, nullable=False),
        sa.Column("others_involved", sa.Boolean, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("crash_device_id", sa.Text),
        sa.Column("crash_event_id", sa.Text),
        sa.Column("policy_id", sa.Text),
        sa.Column("term", sa.Integer),
        sa.Column("cover_limit", sa.Numeric(14, 2)),
        sa.Column("deductible", sa.Numeric(14, 2)),
        sa.Column("cover_checked_at", sa.DateTime(timezone=True)),
        sa.Column("decision", sa.Text),
        sa.Column("decision_reason", sa.Text),
        sa.Column("fault_share", sa.Numeric(4, 3)),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("reserve", sa.Numeric(14, 2), nullable=False),
        sa.Column("paid", sa.Numeric(14, 2), nullable=False),
        sa.Column("recovered", sa.Numeric(14, 2), nullable=False),
        sa.Column("counts", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Uuid),
        sa.Column("reported_at", sa.DateTime(timezone=True)),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("claim_id", name=op.f("pk_claims")),
        sa.CheckConstraint(_STATUSES, name=op.f("ck_claims_status")),
        sa.CheckConstraint("coverage IN ('liability', 'collision', 'comprehensive')", name=op.f("ck_claims_coverage")),
        sa.CheckConstraint("source IN ('driver', 'staff', 'device')", name=op.f("ck_claims_source")),
        sa.CheckConstraint("reserve >= 0 AND paid >= recovered AND recovered >= 0", name=op.f("ck_claims_amounts")),
        sa.CheckConstraint("fault_share BETWEEN 0 AND 1", name=op.f("ck_claims_fault_share")),
        sa.CheckConstraint("(crash_device_id IS NULL) = (crash_event_id IS NULL)", name=op.f("ck_claims_crash")),
    )
    op.create_index("ix_claims_driver_id_occurred_at", "claims", ["driver_id", sa.text("occurred_at DESC")])
    op.create_index("ix_claims_occurred_at", "claims", [sa.text("occurred_at DESC"), "claim_id"])
    op.create_index("ix_claims_updated_at", "claims", [sa.text("updated_at DESC"), "claim_id"])
    op.create_index("ix_claims_status_occurred_at", "claims", ["status", sa.text("occurred_at DESC")])
    op.create_index("uq_claims_crash", "claims", ["crash_device_id", "crash_event_id"], unique=True)


def _histories() -> None:
    op.create_table(
        "claim_moves",
        sa.Column("claim_id", sa.Text, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("from_status", sa.Text),
        sa.Column("to_status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("note", sa.Text),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("moved_by", sa.Uuid),
        sa.PrimaryKeyConstraint("claim_id", "seq", name=op.f("pk_claim_moves")),
        sa.ForeignKeyConstraint(["claim_id"], ["claims.claim_id"], name=op.f("fk_claim_moves_claim_id_claims")),
        sa.CheckConstraint("actor IN ('driver', 'staff', 'device')", name=op.f("ck_claim_moves_actor")),
    )
    op.create_table(
        "claim_amounts",
        sa.Column("claim_id", sa.Text, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("change", sa.Numeric(14, 2), nullable=False),
        sa.Column("balance", sa.Numeric(14, 2), nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("booked_by", sa.Uuid, nullable=False),
        sa.PrimaryKeyConstraint("claim_id", "seq", name=op.f("pk_claim_amounts")),
        sa.ForeignKeyConstraint(["claim_id"], ["claims.claim_id"], name=op.f("fk_claim_amounts_claim_id_claims")),
        sa.CheckConstraint("kind IN ('reserve', 'payment', 'recovery')", name=op.f("ck_claim_amounts_kind")),
        sa.CheckConstraint("balance >= 0", name=op.f("ck_claim_amounts_balance")),
    )
    op.create_table(
        "claim_evidence",
        sa.Column("claim_id", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("devices", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("event_count", sa.Integer, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("checksum", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("frozen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("claim_id", "version", name=op.f("pk_claim_evidence")),
        sa.ForeignKeyConstraint(["claim_id"], ["claims.claim_id"], name=op.f("fk_claim_evidence_claim_id_claims")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_claim_evidence_version")),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for table in (*_APPENDED, "claims"):
        op.drop_table(table)
    op.execute("DROP FUNCTION claims_refuse_change()")
    op.execute(DropSequence(sa.Sequence("claim_numbers")))
