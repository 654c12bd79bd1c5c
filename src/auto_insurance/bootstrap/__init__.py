"""The composition root: settings -> adapters -> services. Nothing else knows which adapter serves whom."""

from __future__ import annotations

from auto_insurance.audit.service import record
from auto_insurance.bootstrap.compose import archive_options, build, ingest_policy, predictor
from auto_insurance.bootstrap.consumers import domain_handlers, prepare_log, telemetry_handler
from auto_insurance.bootstrap.container import Container, metadata
from auto_insurance.bootstrap.reads import table as read_table
from auto_insurance.bootstrap.warming import wait_for_warmth, warm_up
from auto_insurance.bootstrap.web import body_limits, health, lanes, routers, series_plan
from auto_insurance.infra.engines import NotConfigured, database_url, engine_options, kafka_options

__all__ = [
    "Container",
    "NotConfigured",
    "archive_options",
    "body_limits",
    "build",
    "database_url",
    "domain_handlers",
    "engine_options",
    "health",
    "ingest_policy",
    "kafka_options",
    "lanes",
    "metadata",
    "predictor",
    "prepare_log",
    "read_table",
    "record",
    "routers",
    "series_plan",
    "telemetry_handler",
    "wait_for_warmth",
    "warm_up",
]
