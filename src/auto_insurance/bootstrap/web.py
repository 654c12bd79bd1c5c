"""What the API is made of: routes, limits, health, the series that it counts."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from fastapi import APIRouter

from auto_insurance.bootstrap.container import Container, metadata
from auto_insurance.claims import handlers as claims_handlers
from auto_insurance.contracts import topics
from auto_insurance.infra import metrics
from auto_insurance.infra.bus.health import ConsumerHealth, EventLogHealth
from auto_insurance.infra.config import Settings
from auto_insurance.infra.health import Degraded, HealthCheck, HealthRegistry, Probe
from auto_insurance.infra.http.bodies import BodyLimits
from auto_insurance.infra.http.lanes import Lane
from auto_insurance.policies import billing_handlers
from auto_insurance.pricing import handlers as pricing_handlers
from auto_insurance.rewards import handlers as rewards_handlers
from auto_insurance.risk import claims_handlers as risk_claims_handlers
from auto_insurance.risk import handlers as risk_handlers
from auto_insurance.risk.drift import FEATURES as DRIFT_FEATURES

ROUTED = (
    "identity",
    "drivers",
    "telematics",
    "trips",
    "risk",
    "pricing",
    "policies",
    "claims",
    "rewards",
    "portal",
    "admin",
)


def routers() -> list[APIRouter]:
    """Return the domains' routes; literal paths of a prefix come before those with parameters."""
    found: list[APIRouter] = [import_module(f"auto_insurance.{domain}.api").router for domain in ROUTED]
    return found


def lanes() -> dict[tuple[str, str], Lane]:
    """Return the short ways to routes, by method and path under the prefix."""
    found: dict[tuple[str, str], Lane] = import_module("auto_insurance.telematics.api").lanes
    return found


def body_limits(settings: Settings) -> BodyLimits:
    """Return how many bytes the routes take."""
    prefix, server = "/api/v1", settings.server
    return BodyLimits(
        server.max_body_bytes,
        {
            f"{prefix}/telematics/events/batch": server.max_batch_bytes,
            f"{prefix}/telematics/import": server.max_import_bytes,
            f"{prefix}/risk/models": server.max_import_bytes,
        },
        in_flight=server.max_bytes_in_flight,
    )


def series_plan(settings: Settings, routes: Sequence[tuple[str, str, int]] = ()) -> metrics.SeriesPlan:
    """Return what processes will count; ``routes`` are the API's."""
    groups = {
        settings.kafka.consumer_group: (topics.TELEMATICS_EVENTS,),
        risk_handlers.GROUP: (topics.TRIPS,),
        risk_claims_handlers.POLICIES_GROUP: (topics.POLICIES,),
        risk_claims_handlers.CLAIMS_GROUP: (topics.CLAIMS,),
        pricing_handlers.GROUP: (topics.RISK_SCORES,),
        billing_handlers.MILES_GROUP: (topics.TRIPS,),
        billing_handlers.CORRECTIONS_GROUP: (topics.PREMIUMS,),
        claims_handlers.CRASHES: (topics.ALERTS,),
        claims_handlers.EVIDENCE: (topics.TRIPS,),
        rewards_handlers.GROUP: (topics.TRIPS,),
        pricing_handlers.CORRECTIONS_GROUP: (topics.TRIPS,),
    }
    return metrics.SeriesPlan(routes=routes, tables=tuple(metadata().tables), groups=groups, features=DRIFT_FEATURES)


def health(container: Container) -> HealthRegistry:
    """Return what ``/health`` looks at. Without workers ingest still works, and Redis is never needed."""
    redis = container.redis
    checks: list[HealthCheck] = [
        # With Kafka uploads are taken while the database is away: the process must stay in the load balancer.
        Probe("database", container.database.ping, container.settings.event_log != "kafka"),
        Probe("event_log", EventLogHealth(container.log).check),
        Probe("consumer", ConsumerHealth(container.database, container.settings.kafka.consumer_group).check, False),
        Probe("redis", redis.check if redis is not None else _without_redis, False),
    ]
    return HealthRegistry(checks)


async def _without_redis() -> None:
    raise Degraded("REDIS_URL is not set")
