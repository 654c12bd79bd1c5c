"""What staff look up and decide: drivers out of service, dead letters with a state, jobs on months; indexes for it.

Revision ID: 0034_admin
Revises: 0033_score_traces
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from auto_insurance.infra.db.indexes import create_index, drop_index

revision = "0034_admin"
down_revision = "0033_score_traces"
branch_labels = None
depends_on = None

_INDEXES: tuple[tuple[str, str, str, str | None], ...] = (
    ("ix_dead_letters_state_id", "dead_letters", "state, id", None),
    ("ix_drivers_full_name", "drivers", "full_name, driver_id", None),
    ("ix_drivers_enrolled_at", "drivers", "enrolled_at, driver_id", None),
    ("ix_drivers_search_driver_id", "drivers", "driver_id text_pattern_ops", None),
    ("ix_drivers_search_name", "drivers", "USING gin (to_tsvector('simple'::regconfig, full_name))", None),
    ("ix_drivers_search_email", "drivers", "lower(email) text_pattern_ops", None),
    ("ix_vehicles_created_at", "vehicles", "created_at, vehicle_id", None),
    ("ix_vehicles_search_vehicle_id", "vehicles", "vehicle_id text_pattern_ops", None),
    ("ix_devices_created_at", "devices", "created_at, device_id", None),
    ("ix_devices_search_device_id", "devices", "device_id text_pattern_ops", None),
    ("ix_claims_search_claim_id", "claims", "claim_id text_pattern_ops", None),
    ("ix_trips_completed", "trips", "start_time", "status = 'completed'"),
    ("ix_risk_scores_newest", "risk_scores", "USING btree (driver_id, calculated_at DESC) INCLUDE (risk_score)", None),
    ("ix_ledger_entries_booked_on", "ledger_entries", "booked_on", None),
    ("ix_telematics_events_time", "telematics_events", "USING brin (timestamp) WITH (pages_per_range = 16)", None),
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.add_column("drivers", sa.Column("deactivated_at", sa.DateTime(timezone=True)))
    op.add_column("dead_letters", sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'waiting'")))
    op.add_column("dead_letters", sa.Column("decided_at", sa.DateTime(timezone=True)))
    op.add_column("dead_letters", sa.Column("decided_by", sa.Text))
    op.add_column("dead_letters", sa.Column("note", sa.Text))
    op.create_check_constraint(
        op.f("ck_dead_letters_state"), "dead_letters", "state IN ('waiting', 'replayed', 'dropped')"
    )
    op.create_check_constraint(
        op.f("ck_dead_letters_decided"), "dead_letters", "(state = 'waiting') = (decided_at IS NULL)"
    )
    _create_month_jobs()
    for name, table, on, where in _INDEXES:
        create_index(name, table, on, where=where)
    drop_index("ix_risk_scores_driver_id_calculated_at", "risk_scores")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.drop_table("telematics_month_jobs")
    op.drop_index("ix_dead_letters_state_id", "dead_letters")
    for name in ("note", "decided_by", "decided_at", "state"):
        op.drop_column("dead_letters", name)
    op.drop_column("drivers", "deactivated_at")
    create_index("ix_risk_scores_driver_id_calculated_at", "risk_scores", "driver_id, calculated_at DESC")
    for name, table, _, _ in _INDEXES[1:]:
        drop_index(name, table)


def _create_month_jobs() -> None:
    op.create_table(
        "telematics_month_jobs",
        sa.Column("job_id", sa.Uuid, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("month", sa.Date, nullable=False),
        sa.Column("force", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("step", sa.Text),
        sa.Column("done", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("total", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("result", sa.Text),
        sa.Column("detail", sa.Text),
        sa.Column("attempts", sa.SmallInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("leased_until", sa.DateTime(timezone=True)),
        sa.Column("requested_by", sa.Uuid, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("job_id", name="pk_telematics_month_jobs"),
        sa.CheckConstraint("action IN ('archive', 'restore')", name=op.f("ck_telematics_month_jobs_action")),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'done', 'failed')", name=op.f("ck_telematics_month_jobs_status")
        ),
    )
    op.create_index("ix_telematics_month_jobs_created_at", "telematics_month_jobs", ["created_at", "job_id"])
    op.create_index(
        "uq_telematics_month_jobs_open",
        "telematics_month_jobs",
        ["month"],
        unique=True,
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
