"""Drivers, vehicles, devices, assignments.

Revision ID: 0003_drivers
Revises: 0002_identity
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_drivers"
down_revision = "0002_identity"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    # Trusted since PostgreSQL 13: the owner of the database may create it.
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    for sequence in ("driver_numbers", "vehicle_numbers", "device_numbers"):
        op.execute(f"CREATE SEQUENCE {sequence}")
    _create_drivers()
    _create_vehicles()
    _create_devices()
    _create_assignments()
    _create_erasure_requests()


def _create_drivers() -> None:
    op.create_table(
        "drivers",
        sa.Column("driver_id", sa.Text(), nullable=False),
        sa.Column("full_name", sa.Text()),
        sa.Column("date_of_birth", sa.Date()),
        sa.Column("licence_date", sa.Date()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("postcode", sa.Text()),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("declared_annual_mileage", sa.Integer()),
        sa.Column("prior_claims", sa.SmallInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("coverage", sa.Text(), nullable=False),
        sa.Column("email", sa.Text()),
        sa.Column("phone", sa.Text()),
        sa.Column("street_address", sa.Text()),
        sa.Column("city", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False, server_default=sa.text("'active'")),
        sa.Column("enrolled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("driver_id", name="pk_drivers"),
        sa.CheckConstraint("coverage IN ('liability', 'standard', 'full')", name=op.f("ck_drivers_coverage")),
        sa.CheckConstraint("status IN ('active', 'erasure_requested')", name=op.f("ck_drivers_status")),
        sa.CheckConstraint("declared_annual_mileage >= 0 AND prior_claims >= 0", name=op.f("ck_drivers_not_negative")),
    )


def _create_vehicles() -> None:
    op.create_table(
        "vehicles",
        sa.Column("vehicle_id", sa.Text(), nullable=False),
        sa.Column("driver_id", sa.Text(), nullable=False),
        sa.Column("make", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("use", sa.Text(), nullable=False),
        sa.Column("vin", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("vehicle_id", name="pk_vehicles"),
        sa.ForeignKeyConstraint(["driver_id"], ["drivers.driver_id"], name="fk_vehicles_driver_id_drivers"),
        sa.CheckConstraint("use IN ('private', 'commute', 'business')", name=op.f("ck_vehicles_use")),
    )
    op.create_index("ix_vehicles_driver_id", "vehicles", ["driver_id", "created_at"])
    op.create_index("uq_vehicles_vin", "vehicles", ["vin"], unique=True)


def _create_devices() -> None:
    op.create_table(
        "devices",
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("device_id", name="pk_devices"),
        sa.CheckConstraint("kind IN ('phone', 'obd', 'tracker')", name=op.f("ck_devices_kind")),
    )


def _create_erasure_requests() -> None:
    op.create_table(
        "erasure_requests",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("driver_id", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Uuid()),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False, server_default=sa.text("'requested'")),
        sa.PrimaryKeyConstraint("request_id", name="pk_erasure_requests"),
        sa.ForeignKeyConstraint(["driver_id"], ["drivers.driver_id"], name="fk_erasure_requests_driver_id_drivers"),
        sa.ForeignKeyConstraint(
            ["requested_by"], ["users.user_id"], name="fk_erasure_requests_requested_by_users", ondelete="SET NULL"
        ),
        sa.CheckConstraint("status IN ('requested', 'done', 'refused')", name=op.f("ck_erasure_requests_status")),
    )
    op.create_index(
        "uq_erasure_requests_open",
        "erasure_requests",
        ["driver_id"],
        unique=True,
        postgresql_where=sa.text("status = 'requested'"),
    )


def _create_assignments() -> None:
    op.create_table(
        "device_assignments",
        sa.Column("assignment_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("driver_id", sa.Text(), nullable=False),
        sa.Column("vehicle_id", sa.Text()),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("assignment_id", name="pk_device_assignments"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.device_id"], name="fk_device_assignments_device_id_devices"),
        sa.ForeignKeyConstraint(["driver_id"], ["drivers.driver_id"], name="fk_device_assignments_driver_id_drivers"),
        sa.ForeignKeyConstraint(
            ["vehicle_id"], ["vehicles.vehicle_id"], name="fk_device_assignments_vehicle_id_vehicles"
        ),
        sa.CheckConstraint("valid_to > valid_from", name=op.f("ck_device_assignments_in_order")),
    )
    op.execute(
        "ALTER TABLE device_assignments ADD CONSTRAINT ex_device_assignments_one_at_a_time "
        "EXCLUDE USING gist (device_id WITH =, tstzrange(valid_from, valid_to, '[)') WITH &&)"
    )
    op.create_index("ix_device_assignments_device_id", "device_assignments", ["device_id", "valid_from"])
    op.create_index("ix_device_assignments_driver_id", "device_assignments", ["driver_id", "valid_from"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for table in ("erasure_requests", "device_assignments", "devices", "vehicles", "drivers"):
        op.drop_table(table)
    for sequence in ("device_numbers", "vehicle_numbers", "driver_numbers"):
        op.execute(f"DROP SEQUENCE {sequence}")
