"""Tables of trips, their events and the state of each device."""

from __future__ import annotations

from sqlalchemy import (
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

from auto_insurance.infra.db.metadata import metadata

TRIP_STATUSES = ("in_progress", "completed", "withdrawn")

trips = Table(
    "trips",
    metadata,
    Column("trip_id", Uuid, primary_key=True),
    Column("driver_id", Text, nullable=False),
    Column("device_id", Text, nullable=False),
    Column("vehicle_id", Text),
    Column("status", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("start_time", DateTime(timezone=True), nullable=False),
    Column("end_time", DateTime(timezone=True)),
    Column("time_zone", Text, nullable=False),
    Column("start_latitude", Float(53), nullable=False),
    Column("start_longitude", Float(53), nullable=False),
    Column("end_latitude", Float(53)),
    Column("end_longitude", Float(53)),
    Column("duration_s", Float(53), nullable=False),
    Column("moving_s", Float(53), nullable=False),
    Column("idle_s", Float(53), nullable=False),
    Column("distance_miles", Float(53), nullable=False),
    Column("avg_speed_mph", Float(53), nullable=False),
    Column("max_speed_mph", Float(53), nullable=False),
    Column("harsh_braking_count", Integer, nullable=False),
    Column("harsh_braking_severe_count", Integer, nullable=False),
    Column("rapid_accel_count", Integer, nullable=False),
    Column("rapid_accel_severe_count", Integer, nullable=False),
    Column("harsh_corner_count", Integer, nullable=False),
    Column("harsh_corner_severe_count", Integer, nullable=False),
    Column("speeding_count", Integer, nullable=False),
    Column("speeding_s", Float(53), nullable=False),
    Column("speeding_10_s", Float(53), nullable=False),
    Column("speeding_20_s", Float(53), nullable=False),
    Column("speed_limit_known_s", Float(53), nullable=False),
    Column("speed_limit_known_miles", Float(53), nullable=False),
    Column("phone_usage_s", Float(53), nullable=False),
    Column("phone_known_s", Float(53), nullable=False),
    Column("phone_known_miles", Float(53), nullable=False),
    Column("night_s", Float(53), nullable=False),
    Column("night_miles", Float(53), nullable=False),
    Column("late_night_miles", Float(53), nullable=False),
    Column("rush_hour_miles", Float(53), nullable=False),
    Column("weekend_miles", Float(53), nullable=False),
    Column("low_speed_miles", Float(53), nullable=False),
    Column("mid_speed_miles", Float(53), nullable=False),
    Column("high_speed_miles", Float(53), nullable=False),
    Column("sample_count", Integer, nullable=False),
    Column("flagged_count", Integer, nullable=False),
    Column("gap_count", Integer, nullable=False),
    Column("gap_miles", Float(53), nullable=False),
    Column("phone_speed_known_s", Float(53), nullable=False),
    Column("phone_standing_s", Float(53), nullable=False),
    Column("phone_moving_s", Float(53), nullable=False),
    Column("phone_fast_s", Float(53), nullable=False),
    Column("speed_known_s", Float(53), nullable=False),
    Column("speed_standing_s", Float(53), nullable=False),
    Column("speed_slow_s", Float(53), nullable=False),
    Column("speed_fast_s", Float(53), nullable=False),
    Column("speed_very_fast_s", Float(53), nullable=False),
    Column("speed_mph_s", Float(53), nullable=False),
    Column("speed_mph2_s", Float(53), nullable=False),
    Column("jerk_known_s", Float(53), nullable=False),
    Column("jerky_s", Float(53), nullable=False),
    Column("jerk_square", Float(53), nullable=False),
    Column("long_drive_s", Float(53), nullable=False),
    Column("braking_square", Float(53), nullable=False),
    Column("pace_square", Float(53), nullable=False),
    Column("crash_reported", Boolean, nullable=False),
    Column("end_reason", Text),
    Column("content_hash", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("status IN ('in_progress', 'completed', 'withdrawn')", name="status"),
    Index("ix_trips_driver_id_start_time", "driver_id", text("start_time DESC")),
    Index("ix_trips_start_time", text("start_time DESC"), "trip_id"),
    Index("ix_trips_device_id_start_time", "device_id", "start_time"),
    Index("ix_trips_completed", "start_time", postgresql_where=text("status = 'completed'")),
    Index("ix_trips_open", "device_id", postgresql_where=text("status = 'in_progress'")),
)
"""Speed bands of distance: low < 25 mph, mid 25 to < 50 mph, high from 50 mph. speeding_s from 5 mph over the posted
limit, speeding_10_s and speeding_20_s from 10 and 20 mph over (each contained in the one before). Night is 22-05 local,
late night 00-04, rush hour weekdays 07-09 and 16-19. Rates over limits and phone use are over the known part only.
Seconds at speeds: standing below 1 m/s, slow below 25 mph, fast from 50 mph, very fast from 80 mph (contained in fast);
of phone use: standing, moving from 1 m/s, fast from 25 mph (contained in moving); all over the seconds with a known
speed. ``speed_mph_s`` and ``speed_mph2_s`` are the integrals of speed and of its square, ``jerk_square`` that of
squared jerk (m2/s6 times s), over the seconds where they were known; jerky from 2.5 m/s3. ``long_drive_s``: moving
seconds later than 2 h after the driver's last break of 15 min. For spreads between trips: ``braking_square`` is
harsh_braking_count squared per mile, ``pace_square`` squared miles per second.
``revision`` is 0 while the trip has never been completed; ``content_hash`` is that of the last completed form."""

trip_events = Table(
    "trip_events",
    metadata,
    Column("trip_id", Uuid, nullable=False, primary_key=True),
    Column("seq", SmallInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("duration_s", Float(53), nullable=False),
    Column("peak", Float(53)),
    Column("speed_mph", Float(53)),
    Column("latitude", Float(53)),
    Column("longitude", Float(53)),
    Column("asserted", Boolean, nullable=False),
)
"""Found by the server (``asserted`` false) or said by the device (true; kept beside, never counted). kind: harsh_brake,
rapid_accel, harsh_corner, speeding, phone_usage, crash; severity: moderate, severe. ``peak`` is m/s2 for the harsh
kinds, mph over the limit for speeding, mph for phone_usage; null where the device gave no measurement."""

device_trip_state = Table(
    "device_trip_state",
    metadata,
    Column("device_id", Text, primary_key=True),
    Column("log_topic", Text, nullable=False),
    Column("log_partition", Integer, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("last_event_us", BigInteger, nullable=False),
    Column("last_arrival_at", DateTime(timezone=True), nullable=False),
    Column("silence_deadline", DateTime(timezone=True)),
    Column("units_suspect", Text),
    Column("older", LargeBinary),
    Column("older_us", BigInteger),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index(
        "ix_device_trip_state_silence",
        "log_partition",
        "silence_deadline",
        postgresql_where=text("silence_deadline IS NOT NULL"),
    ),
)
"""A checkpoint of each device: its state as of the event at ``last_event_us``, and an ``older`` one, both true of all
events stored up to their time. What came after is folded again from the events when the state is needed and nobody has
it in memory. ``silence_deadline`` is that of the checkpoint: events since may have moved it."""

device_trip_marks = Table(
    "device_trip_marks",
    metadata,
    Column("device_id", Text, primary_key=True),
    Column("at_us", BigInteger, primary_key=True),
    Column("state", LargeBinary, nullable=False),
)
"""Checkpoints that are kept for as long as late events may come, one every few hours of a long session: a late event is
folded from the mark before it, up to the first mark at which all is as it was."""
