"""Tables of telemetry: the events, what was heard of each device, imports."""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from auto_insurance.infra.db.metadata import metadata

HARSH_TYPES = ("harsh_brake", "rapid_accel", "harsh_corner", "crash")
_HARSH = text("event_type IN ('harsh_brake', 'rapid_accel', 'harsh_corner', 'crash')")

telematics_events = Table(
    "telematics_events",
    metadata,
    Column("device_id", Text, primary_key=True),
    Column("timestamp", DateTime(timezone=True), primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("driver_id", Text, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("latitude", Float(53)),
    Column("longitude", Float(53)),
    Column("speed_mph", REAL),
    Column("acceleration_g", REAL),
    Column("lateral_acceleration_g", REAL),
    Column("heading_deg", REAL),
    Column("altitude_m", REAL),
    Column("gps_accuracy_m", REAL),
    Column("event_type", Text, nullable=False),
    Column("speed_limit_mph", REAL),
    Column("phone_in_use", Boolean),
    Column("quality", SmallInteger, nullable=False),
    Column("device_trip_id", Text),
    Column("extra", JSONB),
    Index("ix_telematics_events_driver_id_timestamp", "driver_id", text("timestamp DESC")),
    Index("ix_telematics_events_harsh", "event_type", "timestamp", postgresql_where=_HARSH),
    Index("ix_telematics_events_time", "timestamp", postgresql_using="brin", postgresql_with={"pages_per_range": 16}),
    postgresql_partition_by="RANGE (timestamp)",
)
"""One row per event, partitioned by month of ``timestamp`` (UTC). ``quality`` holds the bits of ``schemas.Quality``."""

device_contacts = Table(
    "telematics_device_contacts",
    metadata,
    Column("device_id", Text, primary_key=True),
    Column("hour", DateTime(timezone=True), primary_key=True),
    Column("accepted", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("last_received_at", DateTime(timezone=True), nullable=False),
    Column("min_clock_offset_us", BigInteger),
    Index("ix_telematics_device_contacts_hour", "hour"),
)
"""What each device sent in each hour. The offset is the least arrival minus newest event time of live uploads."""

imports = Table(
    "telematics_imports",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("driver_id", Text, nullable=False),
    Column("device_id", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("content", LargeBinary),
    Column("next_row", Integer, nullable=False, server_default=text("0")),
    Column("accepted", Integer, nullable=False, server_default=text("0")),
    Column("rejected", Integer, nullable=False, server_default=text("0")),
    Column("reasons", JSONB, nullable=False, server_default=text("'{}'")),
    Column("problems", JSONB, nullable=False, server_default=text("'[]'")),
    Column("detail", Text),
    Column("attempts", SmallInteger, nullable=False, server_default=text("0")),
    Column("leased_until", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("finished_at", DateTime(timezone=True)),
    CheckConstraint("status IN ('queued', 'running', 'done', 'failed')", name="status"),
    Index("ix_telematics_imports_open", "created_at", postgresql_where=text("status IN ('queued', 'running')")),
)
"""Files to import. The content goes when the job ends; the first hundred refused rows are kept in ``problems``."""
