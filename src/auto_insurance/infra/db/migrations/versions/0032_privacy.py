"""Consents with their history; erasure in steps with a record that proves it.

Every driver there is gets the consents that enrolment records. A transaction that carries out an erasure may take facts
about a person out of premiums, transactions of policies and claims, and evidence away as a whole; nobody else may.

Revision ID: 0032_privacy
Revises: 0031_webhooks
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0032_privacy"
down_revision = "0031_webhooks"
branch_labels = None
depends_on = None

_DEFAULTS = (
    ("telematics", True, "contract"),
    ("telematics_pricing", True, "contract"),
    ("location_history", True, "contract"),
    ("coaching", True, "contract"),
    ("training", True, "legitimate_interest"),
    ("marketing", False, "consent"),
    ("third_party_sharing", False, "consent"),
)
_REFUSE = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {unless}
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END;
$$
"""
_UNLESS_ERASING = """
    IF TG_OP = 'UPDATE' AND TG_TABLE_NAME IN ('premiums', 'policy_transactions')
        AND current_setting('auto_insurance.erasing', true) = 'on' THEN
        RETURN NULL;
    END IF;
"""
_REFUSE_CLAIMS = """
CREATE OR REPLACE FUNCTION claims_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {unless}
    RAISE EXCEPTION '% is only added to', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END;
$$
"""
_UNLESS_ERASING_CLAIMS = """
    IF current_setting('auto_insurance.erasing', true) = 'on' THEN
        IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'claim_evidence' THEN
            RETURN OLD;
        END IF;
        IF TG_OP = 'UPDATE' AND TG_TABLE_NAME <> 'claim_evidence' THEN
            RETURN NEW;
        END IF;
    END IF;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '10min'")
    _consents()
    _requests()
    _proofs()
    op.execute(_REFUSE.format(unless=_UNLESS_ERASING))
    op.execute(_REFUSE_CLAIMS.format(unless=_UNLESS_ERASING_CLAIMS))
    op.execute(
        "CREATE TRIGGER erasure_proofs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON erasure_proofs "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def _consents() -> None:
    op.add_column(
        "drivers", sa.Column("telemetry_withheld", sa.Boolean, nullable=False, server_default=sa.text("false"))
    )
    op.create_index("ix_drivers_withheld", "drivers", ["driver_id"], postgresql_where=sa.text("telemetry_withheld"))
    op.execute(
        "CREATE TRIGGER note_withheld AFTER UPDATE OF telemetry_withheld ON drivers FOR EACH ROW"
        " WHEN (OLD.telemetry_withheld IS DISTINCT FROM NEW.telemetry_withheld) EXECUTE FUNCTION note_time_zone()"
    )
    op.create_table(
        "driver_consents",
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("granted", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("basis", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("decided_by", sa.Uuid),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("driver_id", "purpose", "seq", name="pk_driver_consents"),
        sa.ForeignKeyConstraint(["driver_id"], ["drivers.driver_id"], name="fk_driver_consents_driver_id_drivers"),
        sa.CheckConstraint(
            "source IN ('enrolment', 'driver', 'staff', 'erasure')", name=op.f("ck_driver_consents_source")
        ),
        sa.CheckConstraint("seq >= 1 AND version >= 1", name=op.f("ck_driver_consents_positive")),
    )
    for purpose, granted, basis in _DEFAULTS:
        op.execute(
            sa.text(
                "INSERT INTO driver_consents (driver_id, purpose, seq, granted, version, basis, source, decided_at)"
                " SELECT driver_id, :purpose, 1, :granted, 1, :basis, 'enrolment', now() FROM drivers"
            ).bindparams(purpose=purpose, granted=granted, basis=basis)
        )


def _requests() -> None:
    op.drop_constraint(op.f("ck_drivers_status"), "drivers", type_="check")
    op.create_check_constraint(
        op.f("ck_drivers_status"), "drivers", "status IN ('active', 'erasure_requested', 'erased')"
    )
    op.add_column("erasure_requests", sa.Column("source", sa.Text, nullable=False, server_default="person"))
    op.add_column("erasure_requests", sa.Column("decided_by", sa.Text))
    op.add_column("erasure_requests", sa.Column("started_at", sa.DateTime(timezone=True)))
    op.add_column("erasure_requests", sa.Column("finished_at", sa.DateTime(timezone=True)))
    op.add_column("erasure_requests", sa.Column("note", sa.Text))
    op.add_column("erasure_requests", sa.Column("subject", postgresql.JSONB(none_as_null=True)))
    op.drop_constraint(op.f("ck_erasure_requests_status"), "erasure_requests", type_="check")
    op.create_check_constraint(
        op.f("ck_erasure_requests_status"),
        "erasure_requests",
        "status IN ('requested', 'running', 'done', 'refused')",
    )
    op.create_check_constraint(
        op.f("ck_erasure_requests_source"), "erasure_requests", "source IN ('person', 'retention')"
    )
    op.drop_index("uq_erasure_requests_open", table_name="erasure_requests")
    op.create_index(
        "uq_erasure_requests_open",
        "erasure_requests",
        ["driver_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('requested', 'running')"),
    )
    op.create_index("ix_erasure_requests_requested_at", "erasure_requests", ["requested_at"])
    op.create_index(
        "ix_erasure_requests_finished_at",
        "erasure_requests",
        ["finished_at"],
        postgresql_where=sa.text("status = 'done'"),
    )


def _proofs() -> None:
    op.create_table(
        "erasure_steps",
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("before", postgresql.JSONB, nullable=False),
        sa.Column("after", postgresql.JSONB(none_as_null=True)),
        sa.Column("changed", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("request_id", "name", name="pk_erasure_steps"),
    )
    op.create_table(
        "erasure_proofs",
        sa.Column("proof_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("previous", sa.Text),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("proof_id", name="pk_erasure_proofs"),
        sa.UniqueConstraint("number", name="uq_erasure_proofs_number"),
        sa.UniqueConstraint("request_id", name="uq_erasure_proofs_request_id"),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.drop_table("erasure_proofs")
    op.drop_table("erasure_steps")
    op.execute(_REFUSE.format(unless=""))
    op.execute(_REFUSE_CLAIMS.format(unless=""))
    op.drop_index("ix_erasure_requests_finished_at", table_name="erasure_requests")
    op.drop_index("ix_erasure_requests_requested_at", table_name="erasure_requests")
    op.drop_index("uq_erasure_requests_open", table_name="erasure_requests")
    op.drop_constraint(op.f("ck_erasure_requests_source"), "erasure_requests", type_="check")
    op.drop_constraint(op.f("ck_erasure_requests_status"), "erasure_requests", type_="check")
    op.execute("UPDATE erasure_requests SET status = 'requested' WHERE status = 'running'")
    op.create_check_constraint(
        op.f("ck_erasure_requests_status"), "erasure_requests", "status IN ('requested', 'done', 'refused')"
    )
    op.create_index(
        "uq_erasure_requests_open",
        "erasure_requests",
        ["driver_id"],
        unique=True,
        postgresql_where=sa.text("status = 'requested'"),
    )
    for name in ("subject", "note", "finished_at", "started_at", "decided_by", "source"):
        op.drop_column("erasure_requests", name)
    op.drop_constraint(op.f("ck_drivers_status"), "drivers", type_="check")
    op.execute("UPDATE drivers SET status = 'erasure_requested' WHERE status = 'erased'")
    op.create_check_constraint(op.f("ck_drivers_status"), "drivers", "status IN ('active', 'erasure_requested')")
    op.drop_table("driver_consents")
    op.execute("DROP TRIGGER note_withheld ON drivers")
    op.drop_index("ix_drivers_withheld", table_name="drivers")
    op.drop_column("drivers", "telemetry_withheld")
