"""Tables of drivers, vehicles, devices, who had which device when, consents and erasure requests."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Sequence,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, ExcludeConstraint

from auto_insurance.infra.db.metadata import metadata

driver_numbers = Sequence("driver_numbers", metadata=metadata)
vehicle_numbers = Sequence("vehicle_numbers", metadata=metadata)
device_numbers = Sequence("device_numbers", metadata=metadata)

drivers = Table(
    "drivers",
    metadata,
    Column("driver_id", Text, primary_key=True),
    Column("full_name", Text),
    Column("date_of_birth", Date),
    Column("licence_date", Date),
    Column("state", Text, nullable=False),
    Column("postcode", Text),
    Column("time_zone", Text, nullable=False),
    Column("declared_annual_mileage", Integer),
    Column("prior_claims", SmallInteger, nullable=False, server_default=text("0")),
    Column("coverage", Text, nullable=False),
    Column("email", Text),
    Column("phone", Text),
    Column("street_address", Text),
    Column("city", Text),
    Column("status", Text, nullable=False, server_default=text("'active'")),
    Column("enrolled_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("telemetry_withheld", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint("coverage IN ('liability', 'standard', 'full')", name="coverage"),
    CheckConstraint("status IN ('active', 'erasure_requested', 'erased')", name="status"),
    CheckConstraint("declared_annual_mileage >= 0 AND prior_claims >= 0", name="not_negative"),
    Index("ix_drivers_withheld", "driver_id", postgresql_where=text("telemetry_withheld")),
)
"""``telemetry_withheld``: events of the driver's devices are not taken. It follows from the consents."""

driver_consents = Table(
    "driver_consents",
    metadata,
    Column("driver_id", Text, ForeignKey("drivers.driver_id"), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("granted", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("basis", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("decided_by", Uuid),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("driver_id", "purpose", "seq"),
    CheckConstraint("source IN ('enrolment', 'driver', 'staff', 'erasure')", name="source"),
    CheckConstraint("seq >= 1 AND version >= 1", name="positive"),
)
"""What each driver decided, when and on which text: rows are added, the one with the highest ``seq`` holds. A purpose
without a row is as its default says."""

vehicles = Table(
    "vehicles",
    metadata,
    Column("vehicle_id", Text, primary_key=True),
    Column("driver_id", Text, ForeignKey("drivers.driver_id"), nullable=False),
    Column("make", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("year", SmallInteger, nullable=False),
    Column("use", Text, nullable=False),
    Column("vin", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("use IN ('private', 'commute', 'business')", name="use"),
    Index("ix_vehicles_driver_id", "driver_id", "created_at"),
    Index("uq_vehicles_vin", "vin", unique=True),
)

devices = Table(
    "devices",
    metadata,
    Column("device_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("retired_at", DateTime(timezone=True)),
    CheckConstraint("kind IN ('phone', 'obd', 'tracker')", name="kind"),
)

device_assignments = Table(
    "device_assignments",
    metadata,
    Column("assignment_id", BigInteger, Identity(always=True), primary_key=True),
    Column("device_id", Text, ForeignKey("devices.device_id"), nullable=False),
    Column("driver_id", Text, ForeignKey("drivers.driver_id"), nullable=False),
    Column("vehicle_id", Text, ForeignKey("vehicles.vehicle_id")),
    Column("valid_from", DateTime(timezone=True), nullable=False),
    Column("valid_to", DateTime(timezone=True)),
    CheckConstraint("valid_to > valid_from", name="in_order"),
    ExcludeConstraint(
        ("device_id", "="),
        (func.tstzrange(text("valid_from"), text("valid_to"), text("'[)'")), "&&"),
        name="ex_device_assignments_one_at_a_time",
        using="gist",
    ),
    Index("ix_device_assignments_device_id", "device_id", "valid_from"),
    Index("ix_device_assignments_driver_id", "driver_id", "valid_from"),
)
"""[valid_from, valid_to): open-ended if null. No two assignments of a device overlap, whoever writes."""

device_changes = Table(
    "device_changes",
    metadata,
    Column("change_id", BigInteger, Identity(always=True), primary_key=True),
    Column("device_id", Text, nullable=False),
    Column("changed_by", BigInteger, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Index("ix_device_changes_changed_by", "changed_by"),
    Index("ix_device_changes_changed_at", "changed_at"),
)
"""Devices whose assignments, or whose driver's time zone, changed within the last day, and in which transaction.

Written by triggers, so that nobody can forget it. Read by consumers that remember assignments.
"""

erasure_requests = Table(
    "erasure_requests",
    metadata,
    Column("request_id", Uuid, primary_key=True),
    Column("driver_id", Text, ForeignKey("drivers.driver_id"), nullable=False),
    Column("requested_by", Uuid, ForeignKey("users.user_id", ondelete="SET NULL")),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("status", Text, nullable=False, server_default=text("'requested'")),
    Column("source", Text, nullable=False, server_default=text("'person'")),
    Column("decided_by", Text),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("note", Text),
    Column("subject", JSONB(none_as_null=True)),
    CheckConstraint("status IN ('requested', 'running', 'done', 'refused')", name="status"),
    CheckConstraint("source IN ('person', 'retention')", name="source"),
    Index(
        "uq_erasure_requests_open",
        "driver_id",
        unique=True,
        postgresql_where=text("status IN ('requested', 'running')"),
    ),
    Index("ix_erasure_requests_requested_at", "requested_at"),
    Index("ix_erasure_requests_finished_at", "finished_at", postgresql_where=text("status = 'done'")),
)
"""``subject`` holds the ids by which the driver's data are found, while the erasure runs; it goes with the data."""
