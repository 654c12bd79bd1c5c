"""What the API is made of: routes, limits, health."""

from __future__ import annotations

from importlib import import_module

from fastapi import APIRouter

from auto_insurance.bootstrap.container import Container
from auto_insurance.infra.bus.health import ConsumerHealth, EventLogHealth
from auto_insurance.infra.config import Settings
from auto_insurance.infra.health import Degraded, HealthCheck, HealthRegistry, Probe
from auto_insurance.infra.http.bodies import BodyLimits
from auto_insurance.infra.http.lanes import Lane

ROUTED = (
    "admin",
    "identity",
    "drivers",
    "privacy",
    "telematics",
    "trips",
    "risk",
    "pricing",
    "policies",
    "claims",
    "rewards",
    "portal",
    "webhooks",
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
