"""Trips, trip events, device state.

Revision ID: 0005_trips
Revises: 0004_telematics
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_trips"
down_revision = "0004_telematics"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    _create_trips()
    _create_trip_events()
    _create_device_trip_state()


def _create_trips() -> None:
    op.create_table(
        "trips",
        sa.Column("trip_id", sa.Uuid, nullable=False),
        sa.Column("driver_id", sa.Text, nullable=False),
        sa.Column("device_id", sa.Text, nullable=False),
        sa.Column("vehicle_id", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_time", sa.DateTime(timezone=True)),
        sa.Column("time_zone", sa.Text, nullable=False),
        sa.Column("start_latitude", sa.Float(53), nullable=False),
        sa.Column("start_longitude", sa.Float(53), nullable=False),
        sa.Column("end_latitude", sa.Float(53)),
        sa.Column("end_longitude", sa.Float(53)),
        sa.Column("duration_s", sa.Float(53), nullable=False),
        sa.Column("moving_s", sa.Float(53), nullable=False),
        sa.Column("idle_s", sa.Float(53), nullable=False),
        sa.Column("distance_miles", sa.Float(53), nullable=False),
        sa.Column("avg_speed_mph", sa.Float(53), nullable=False),
        sa.Column("max_speed_mph", sa.Float(53), nullable=False),
        sa.Column("harsh_braking_count", sa.Integer, nullable=False),
        sa.Column("harsh_braking_severe_count", sa.Integer, nullable=False),
        sa.Column("rapid_accel_count", sa.Integer, nullable=False),
        sa.Column("rapid_accel_severe_count", sa.Integer, nullable=False),
        sa.Column("harsh_corner_count", sa.Integer, nullable=False),
        sa.Column("harsh_corner_severe_count", sa.Integer, nullable=False),
        sa.Column("speeding_count", sa.Integer, nullable=False),
        sa.Column("speeding_s", sa.Float(53), nullable=False),
        sa.Column("speeding_10_s", sa.Float(53), nullable=False),
        sa.Column("speeding_20_s", sa.Float(53), nullable=False),
        sa.Column("speed_limit_known_s", sa.Float(53), nullable=False),
        sa.Column("speed_limit_known_miles", sa.Float(53), nullable=False),
        sa.Column("phone_usage_s", sa.Float(53), nullable=False),
        sa.Column("phone_known_s", sa.Float(53), nullable=False),
        sa.Column("phone_known_miles", sa.Float(53), nullable=False),
        sa.Column("night_s", sa.Float(53), nullable=False),
        sa.Column("night_miles", sa.Float(53), nullable=False),
        sa.Column("late_night_miles", sa.Float(53), nullable=False),
        sa.Column("rush_hour_miles", sa.Float(53), nullable=False),
        sa.Column("weekend_miles", sa.Float(53), nullable=False),
        sa.Column("low_speed_miles", sa.Float(53), nullable=False),
        sa.Column("mid_speed_miles", sa.Float(53), nullable=False),
        sa.Column("high_speed_miles", sa.Float(53), nullable=False),
        sa.Column("sample_count", sa.Integer, nullable=False),
        sa.Column("flagged_count", sa.Integer, nullable=False),
        sa.Column("gap_count", sa.Integer, nullable=False),
        sa.Column("gap_miles", sa.Float(53), nullable=False),
        sa.Column("crash_reported", sa.Boolean, nullable=False),
        sa.Column("end_reason", sa.Text),
        sa.Column("content_hash", sa.LargeBinary),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("trip_id", name="pk_trips"),
        sa.CheckConstraint("status IN ('in_progress', 'completed', 'withdrawn')", name=op.f("ck_trips_status")),
    )
    op.create_index("ix_trips_driver_id_start_time", "trips", ["driver_id", sa.text("start_time DESC")])
    op.create_index("ix_trips_device_id_start_time", "trips", ["device_id", "start_time"])
    op.create_index("ix_trips_open", "trips", ["device_id"], postgresql_where=sa.text("status = 'in_progress'"))


def _create_trip_events() -> None:
    op.create_table(
        "trip_events",
        sa.Column("trip_id", sa.Uuid, nullable=False),
        sa.Column("seq", sa.SmallInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_s", sa.Float(53), nullable=False),
        sa.Column("peak", sa.Float(53)),
        sa.Column("speed_mph", sa.Float(53)),
        sa.Column("latitude", sa.Float(53)),
        sa.Column("longitude", sa.Float(53)),
        sa.Column("asserted", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("trip_id", "seq", name="pk_trip_events"),
    )


def _create_device_trip_state() -> None:
    op.create_table(
        "device_trip_state",
        sa.Column("device_id", sa.Text, nullable=False),
        sa.Column("log_topic", sa.Text, nullable=False),
        sa.Column("log_partition", sa.Integer, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.Column("last_event_us", sa.BigInteger, nullable=False),
        sa.Column("last_arrival_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("silence_deadline", sa.DateTime(timezone=True)),
        sa.Column("units_suspect", sa.Text),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("device_id", name="pk_device_trip_state"),
    )
    op.create_index(
        "ix_device_trip_state_silence",
        "device_trip_state",
        ["log_partition", "silence_deadline"],
        postgresql_where=sa.text("silence_deadline IS NOT NULL"),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for table in ("device_trip_state", "trip_events", "trips"):
        op.drop_table(table)
