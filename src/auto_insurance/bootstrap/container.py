"""What a process works with, and the tables of all domains."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from importlib import import_module
from typing import TypeVar, cast

from sqlalchemy import MetaData

from auto_insurance.identity.service import OidcService, Passwords
from auto_insurance.infra.bus.postgres.outbox_news import OutboxNews
from auto_insurance.infra.bus.protocol import EventLog
from auto_insurance.infra.cache.tiered import ReadCache
from auto_insurance.infra.config import Settings
from auto_insurance.infra.db.metadata import metadata as _metadata
from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.health import Lifecycle
from auto_insurance.infra.redis import RedisClient

S = TypeVar("S")
_TABLES = (
    "infra.bus.models",
    "infra.db.outbox",
    "infra.db.idempotency",
    "audit.models",
    "identity.models",
    "drivers.models",
    "telematics.models",
    "telematics.models_archives",
    "trips.models",
    "trips.models_disputes",
    "risk.models",
    "pricing.models",
    "claims.models",
    "rewards.models",
    "pricing.models_plans",
    "policies.models",
    "policies.models_ledger",
    "policies.models_billing",
    "privacy.models",
    "webhooks.models",
)


def metadata() -> MetaData:
    """Return the metadata with every domain's tables."""
    for name in _TABLES:
        import_module(f"auto_insurance.{name}")
    return _metadata


@dataclass(slots=True)
class Container:
    """Everything that a process works with; close it when done."""

    settings: Settings
    database: Database
    log: EventLog
    news: OutboxNews
    redis: RedisClient | None
    cache: ReadCache
    services: dict[type, object] = field(default_factory=dict)
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    warmed: asyncio.Event = field(default_factory=asyncio.Event)
    """Answers were made ahead, as far as they are."""

    def put(self, *services: object) -> None:
        """Keep composed services, each by its class."""
        self.services.update((type(service), service) for service in services)

    def get(self, cls: type[S]) -> S:
        """Return the composed instance of a service."""
        return cast("S", self.services[cls])

    async def close(self) -> None:
        """Close connections; nothing may be under way any more."""
        self.get(Passwords).close()
        if OidcService in self.services:
            await self.get(OidcService).close()
        await self.news.close()
        await self.log.close()
        await self.cache.close()
        if self.redis is not None:
            await self.redis.close()
        await self.database.dispose()
