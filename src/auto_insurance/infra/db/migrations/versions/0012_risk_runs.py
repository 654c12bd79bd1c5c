"""Runs over the book; stored contributions without their words.

Revision ID: 0012_risk_runs
Revises: 0010_device_changes
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012_risk_runs"
down_revision = "0010_device_changes"
branch_labels = None
depends_on = None

TABLES = ("risk_scores", "trip_scores")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '600s'")
    op.create_table(
        "risk_runs",
        sa.Column("run_id", sa.Uuid, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_driver_id", sa.Text, nullable=False),
        sa.Column("scored", sa.Integer, nullable=False),
        sa.Column("told", sa.Integer, nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_risk_runs")),
    )
    op.create_index(
        "ix_risk_runs_unfinished", "risk_runs", ["started_at"], postgresql_where=sa.text("finished_at IS NULL")
    )
    for table in TABLES:
        op.execute(
            f"""
            UPDATE {table} SET contributions = (
                SELECT coalesce(jsonb_agg(jsonb_build_array(
                    r -> 'feature', r -> 'value', r -> 'typical', r -> 'log_effect') ORDER BY place), '[]')
                FROM jsonb_array_elements(contributions) WITH ORDINALITY AS part (r, place)
            )
            """  # noqa: S608 - names from the constants above
        )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '600s'")
    for table in TABLES:
        op.execute(
            f"""
            UPDATE {table} SET contributions = (
                SELECT coalesce(jsonb_agg(jsonb_build_object(
                    'feature', r -> 0, 'value', r -> 1, 'typical', r -> 2, 'log_effect', r -> 3) ORDER BY place), '[]')
                FROM jsonb_array_elements(contributions) WITH ORDINALITY AS part (r, place)
            )
            """  # noqa: S608 - names from the constants above
        )
    op.drop_table("risk_runs")
