"""Tables of drivers' risk scores and of the scores of their trips."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, Float, Index, Integer, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from auto_insurance.infra.db.metadata import metadata

risk_scores = Table(
    "risk_scores",
    metadata,
    Column("score_id", Uuid, primary_key=True),
    Column("driver_id", Text, nullable=False),
    Column("calculated_at", DateTime(timezone=True), nullable=False),
    Column("risk_score", Float(53), nullable=False),
    Column("risk_category", Text, nullable=False),
    Column("confidence", Float(53), nullable=False),
    Column("exposure_miles", Float(53), nullable=False),
    Column("expected_claims_per_million_miles", Float(53), nullable=False),
    Column("relativity", Float(53), nullable=False),
    Column("model_version", Text, nullable=False),
    Column("features_version", Text, nullable=False),
    Column("features", JSONB, nullable=False),
    Column("contributions", JSONB, nullable=False),
    Column("trip_count", Integer, nullable=False),
    Column("window_from", DateTime(timezone=True), nullable=False),
    Column("window_to", DateTime(timezone=True), nullable=False),
    Column("trips_until", DateTime(timezone=True)),
    Column("basis", Text, nullable=False),
    Column("reason", Text, nullable=False),
    CheckConstraint("risk_score BETWEEN 0 AND 100", name="risk_score"),
    CheckConstraint("confidence BETWEEN 0 AND 1", name="confidence"),
    CheckConstraint("basis IN ('recent', 'older', 'none')", name="basis"),
    Index("ix_risk_scores_driver_id_calculated_at", "driver_id", text("calculated_at DESC")),
)
"""Never overwritten: a new calculation is a new row. ``trips_until`` is the watermark: the end of the last trip that
the score saw. ``basis``: trips of the window up to now, of the window up to the last trip where there are no newer
ones, or none at all. ``contributions`` is a list of [feature, value, typical value, log effect]."""

trip_scores = Table(
    "trip_scores",
    metadata,
    Column("trip_id", Uuid, primary_key=True),
    Column("driver_id", Text, nullable=False),
    Column("trip_score", Float(53), nullable=False),
    Column("risk_level", Text, nullable=False),
    Column("relativity", Float(53), nullable=False),
    Column("contributions", JSONB, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("scored_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("trip_score BETWEEN 0 AND 100", name="trip_score"),
    CheckConstraint("risk_level IN ('low', 'medium', 'high')", name="risk_level"),
    Index("ix_trip_scores_driver_id", "driver_id"),
)
"""The score of each trip as it is now; ``revision`` is the trip's that was scored. Withdrawn trips have none."""

risk_runs = Table(
    "risk_runs",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("model_version", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("last_driver_id", Text, nullable=False),
    Column("scored", Integer, nullable=False),
    Column("told", Integer, nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Index("ix_risk_runs_unfinished", "started_at", postgresql_where=text("finished_at IS NULL")),
)
"""Runs that score everybody, in the order of driver ids: all up to ``last_driver_id`` are done. ``told``: scores that
moved enough to be told of."""
