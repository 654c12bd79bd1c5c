"""The composition root: settings -> adapters -> services. Nothing else knows which adapter serves whom."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from auto_insurance.audit.service import record
from auto_insurance.bootstrap.compose import archive_options, build, ingest_policy, predictor
from auto_insurance.bootstrap.consumers import domain_handlers, prepare_log, telemetry_handler
from auto_insurance.bootstrap.container import Container, metadata
from auto_insurance.bootstrap.series import series_plan
from auto_insurance.infra.engines import NotConfigured, database_url, engine_options, kafka_options

if TYPE_CHECKING:
    from auto_insurance.bootstrap.reads import table as read_table
    from auto_insurance.bootstrap.warming import wait_for_warmth, warm_up
    from auto_insurance.bootstrap.web import body_limits, health, lanes, routers

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

_OF_THE_API = {
    "read_table": ("reads", "table"),
    "wait_for_warmth": ("warming", "wait_for_warmth"),
    "warm_up": ("warming", "warm_up"),
    **{name: ("web", name) for name in ("body_limits", "health", "lanes", "routers")},
}


def __getattr__(name: str) -> Any:
    """Load what only the API needs when it is asked for: a worker does without the web framework."""
    if name not in _OF_THE_API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, inner = _OF_THE_API[name]
    return getattr(import_module(f"{__name__}.{module}"), inner)
