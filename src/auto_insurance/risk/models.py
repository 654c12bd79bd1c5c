"""Tables of drivers' risk scores and of the scores of their trips."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    text,
)
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
    Column("simulated", Boolean, nullable=False, server_default=text("true")),
    CheckConstraint("risk_score BETWEEN 0 AND 100", name="risk_score"),
    CheckConstraint("confidence BETWEEN 0 AND 1", name="confidence"),
    CheckConstraint("basis IN ('recent', 'older', 'none')", name="basis"),
    Index("ix_risk_scores_newest", "driver_id", text("calculated_at DESC"), postgresql_include=["risk_score"]),
)
"""Never overwritten: a new calculation is a new row. ``trips_until`` is the watermark: the end of the last trip that
the score saw. ``basis``: trips of the window up to now, of the window up to the last trip where there are no newer
ones, or none at all. ``contributions`` is a list of [feature, value, typical value, log effect]. ``simulated``: no
observed claims stood behind the model."""

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
    Column("simulated", Boolean, nullable=False, server_default=text("true")),
    CheckConstraint("trip_score BETWEEN 0 AND 100", name="trip_score"),
    CheckConstraint("risk_level IN ('low', 'medium', 'high')", name="risk_level"),
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

risk_models = Table(
    "risk_models",
    metadata,
    Column("version", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("shipped", Boolean, nullable=False),
    Column("simulated", Boolean, nullable=False),
    Column("trained_on", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("artefact", LargeBinary),
    Column("metrics", JSONB, nullable=False),
    Column("card", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_by", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("status IN ('candidate', 'shadow', 'champion', 'retired')", name="status"),
    CheckConstraint("shipped OR artefact IS NOT NULL", name="artefact"),
    Index("ix_risk_models_one_champion", "status", unique=True, postgresql_where=text("status = 'champion'")),
    Index("ix_risk_models_one_shadow", "status", unique=True, postgresql_where=text("status = 'shadow'")),
)
"""Models that may score. Without a champion the one that ships as the default is in use. ``artefact`` is the uploaded
zip; a shipped model's files come with the program."""

risk_model_changes = Table(
    "risk_model_changes",
    metadata,
    Column("change_id", Uuid, primary_key=True),
    Column("version", Text, nullable=False),
    Column("from_status", Text),
    Column("to_status", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("note", Text),
    Index("ix_risk_model_changes_changed_at", "changed_at"),
)
"""Who made which model what, and when. Never changed."""

shadow_scores = Table(
    "risk_shadow_scores",
    metadata,
    Column("driver_id", Text, primary_key=True),
    Column("challenger_version", Text, primary_key=True),
    Column("champion_version", Text, nullable=False),
    Column("calculated_at", DateTime(timezone=True), nullable=False),
    Column("champion_score", Float(53), nullable=False),
    Column("challenger_score", Float(53), nullable=False),
    Column("champion_frequency", Float(53), nullable=False),
    Column("challenger_frequency", Float(53), nullable=False),
)
"""What a challenger makes of live drivers beside the champion: the newest of each; nobody is priced by it."""

policy_exposure = Table(
    "risk_policy_exposure",
    metadata,
    Column("policy_id", Text, primary_key=True),
    Column("term", Integer, primary_key=True),
    Column("driver_id", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("term_start", DateTime(timezone=True), nullable=False),
    Column("term_end", DateTime(timezone=True), nullable=False),
    Column("in_force", JSONB, nullable=False),
    Index("ix_risk_policy_exposure_term_end", "term_end"),
)
"""When drivers were insured, as the topic ``policies`` tells it: the newest revision of each term. ``in_force`` is a
list of [from, to), ISO 8601."""

known_claims = Table(
    "risk_claims",
    metadata,
    Column("claim_id", Text, primary_key=True),
    Column("driver_id", Text, nullable=False),
    Column("policy_id", Text),
    Column("revision", Integer, nullable=False),
    Column("coverage", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("reported_at", DateTime(timezone=True), nullable=False),
    Column("counts", Boolean, nullable=False),
    Index("ix_risk_claims_occurred_at", "occurred_at"),
)
"""Claims as the topic ``claims`` tells them: the newest revision of each. ``counts``: it is one to learn from."""

due_scores = Table(
    "risk_due_scores",
    metadata,
    Column("driver_id", Text, primary_key=True),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("traceparent", Text),
    Index("ix_risk_due_scores_due_at", "due_at"),
)
"""Drivers whose trips changed and who are not scored since. ``attempts``: how often scoring them failed;
``traceparent``: the newest trace that led here, if any."""

drift_nights = Table(
    "risk_drift_nights",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("measured_at", DateTime(timezone=True), nullable=False),
    Column("model_version", Text, nullable=False),
    Column("drivers", Integer, nullable=False),
    Column("score_drift", Float(53)),
    Column("feature_drift", JSONB, nullable=False),
    Column("insured_years", Float(53), nullable=False),
    Column("actual_claims", Integer, nullable=False),
    Column("expected_claims", Float(53), nullable=False),
    Index("ix_risk_drift_nights_measured_at", "measured_at"),
)
"""How far the book was from what the model learned from, after each run over the book. ``feature_drift``: index by
feature, null where nothing is known."""
