"""The composition root: settings -> adapters -> services. Nothing else knows which adapter serves whom."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from typing import TypeVar, cast

import structlog
from fastapi import APIRouter
from sqlalchemy import MetaData

from auto_insurance.claims import handlers as claims_handlers
from auto_insurance.claims import service as claims_services
from auto_insurance.claims.service import ClaimIntake, ClaimService
from auto_insurance.contracts import topics
from auto_insurance.drivers.service import DriverService
from auto_insurance.identity.service import (
    AuthService,
    DeviceKeyService,
    KeyOptions,
    Passwords,
    SessionOptions,
    TokenOptions,
    UserService,
)
from auto_insurance.infra import metrics
from auto_insurance.infra.bus.backoff import wait_unless
from auto_insurance.infra.bus.events import EventHandler
from auto_insurance.infra.bus.handler import Handler
from auto_insurance.infra.bus.health import ConsumerHealth, EventLogHealth
from auto_insurance.infra.bus.postgres.outbox_news import OutboxNews
from auto_insurance.infra.bus.protocol import EventLog
from auto_insurance.infra.config import Settings
from auto_insurance.infra.db.engine import create_engine
from auto_insurance.infra.db.metadata import metadata as _metadata
from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.engines import NotConfigured, database_url, engine_options, kafka_options, log_engine
from auto_insurance.infra.health import Degraded, HealthCheck, HealthRegistry, Lifecycle, Probe
from auto_insurance.infra.http.bodies import BodyLimits
from auto_insurance.infra.http.lanes import Lane
from auto_insurance.infra.http.ratelimit import RateLimiter
from auto_insurance.infra.redis import RedisClient, create_redis
from auto_insurance.kernel.errors import Unavailable
from auto_insurance.policies import billing_handlers
from auto_insurance.policies import composition as policies_composition
from auto_insurance.policies.service import PolicyService
from auto_insurance.policies.statements import Statements
from auto_insurance.portal.service import PortalService
from auto_insurance.pricing import handlers as pricing_handlers
from auto_insurance.pricing.corrections import Corrections
from auto_insurance.pricing.plans import PlanRegistry
from auto_insurance.pricing.plans_book import Dislocations
from auto_insurance.pricing.replay_service import Replays
from auto_insurance.pricing.service import PricingService, QuoteDoor, QuoteOptions
from auto_insurance.rewards import handlers as rewards_handlers
from auto_insurance.rewards import service as rewards_services
from auto_insurance.rewards.service import TripCounter
from auto_insurance.risk import claims_handlers as risk_claims_handlers
from auto_insurance.risk import handlers as risk_handlers
from auto_insurance.risk.book import BookScoring
from auto_insurance.risk.drift import FEATURES as DRIFT_FEATURES
from auto_insurance.risk.drift import DriftWatch
from auto_insurance.risk.due import DueOptions, DueScores
from auto_insurance.risk.microbatch import BatchOptions
from auto_insurance.risk.predictor import Predictor, PredictorOptions
from auto_insurance.risk.priceable import PriceableScores
from auto_insurance.risk.registry import ModelRegistry, RegistryOptions
from auto_insurance.risk.reporting import RiskReports
from auto_insurance.risk.service import RiskOptions, RiskService
from auto_insurance.telematics.archive import Archiver
from auto_insurance.telematics.archive_reads import ArchiveReader
from auto_insurance.telematics.archive_steps import ArchiveOptions
from auto_insurance.telematics.limits import IngestPolicy
from auto_insurance.telematics.service import (
    ArchiveWatch,
    ContactBook,
    DeviceHealthService,
    ImportRunner,
    ImportService,
    IngestService,
    RightsChecker,
    RightsOptions,
    TelematicsService,
)
from auto_insurance.trips.disputes import TripDisputes
from auto_insurance.trips.pipeline import TelemetryHandler
from auto_insurance.trips.service import TripService
from auto_insurance.trips.trace import TraceOptions

__all__ = ["Container", "NotConfigured", "build", "database_url", "engine_options", "kafka_options"]
log = structlog.get_logger(__name__)
S = TypeVar("S")
TOPICS_RETRY_S = 1.0
ROUTED = ("identity", "drivers", "telematics", "trips", "risk", "pricing", "policies", "claims", "rewards", "portal")
_TABLES = (
    "infra.bus.models",
    "infra.db.outbox",
    "infra.db.idempotency",
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
    services: dict[type, object] = field(default_factory=dict)
    lifecycle: Lifecycle = field(default_factory=Lifecycle)

    def get(self, cls: type[S]) -> S:
        """Return the composed instance of a service."""
        return cast("S", self.services[cls])

    async def close(self) -> None:
        """Close connections; nothing may be under way any more."""
        self.get(Passwords).close()
        await self.news.close()
        await self.log.close()
        if self.redis is not None:
            await self.redis.close()
        await self.database.dispose()


def build(settings: Settings, role: str) -> Container:
    """Compose the process. Connects to nothing yet. Raises ``NotConfigured``."""
    engine = create_engine(engine_options(settings, role))
    metrics.instrument_engine(engine, metadata().tables, slow_query_s=settings.database.slow_query_ms / 1000)
    metrics.track_pool(engine)
    redis = None
    if settings.redis.url is not None:
        redis = create_redis(
            settings.redis.url.get_secret_value(), settings.redis.max_connections, timeout_s=settings.redis.timeout_s
        )
    database = Database(engine)
    event_log = log_engine(settings, database)
    news = OutboxNews(database_url(settings), event_log)
    database.on_published = news.written
    container = Container(settings, database, event_log, news, redis)
    _compose(container)
    return container


def _compose(container: Container) -> None:
    settings, database, services = container.settings, container.database, container.services
    passwords = Passwords()
    telematics = TelematicsService(ingest_policy(settings), ArchiveReader(archive_options(settings)))
    users = UserService(database, passwords)
    known = settings.telematics
    keys = DeviceKeyService(database, KeyOptions(fresh_s=known.device_key_cache_s, stale_s=known.device_key_stale_s))
    drivers = DriverService(users, keys)
    contacts = ContactBook(database)
    archive = ArchiveWatch(database, telematics.policy.archived)
    trips = TripService()
    simulated_may_price = not settings.is_production or settings.ml.allow_simulated
    models = ModelRegistry(RegistryOptions(simulated_may_price=simulated_may_price))
    risk = RiskService(trips, drivers, models, RiskOptions(settings.ml.window_days), predictor(settings))
    plans = PlanRegistry()
    limiter = RateLimiter(container.redis)
    pricing = PricingService(drivers, PriceableScores(risk), plans, QuoteOptions(settings.pricing.quote_days))
    insurance = policies_composition.compose(settings, database, pricing, drivers, trips, risk)
    for service in (
        passwords,
        users,
        AuthService(database, passwords, _tokens(settings), _sessions(settings), limiter),
        keys,
        drivers,
        telematics,
        contacts,
        IngestService(
            container.log,
            RightsChecker(database, drivers, RightsOptions(stale_s=known.device_key_stale_s)),
            contacts,
            telematics.policy,
            archive,
        ),
        DeviceHealthService(drivers),
        ImportService(drivers),
        ImportRunner(database, container.log, telematics.policy, archive=archive),
        trips,
        TripDisputes(),
        models,
        risk,
        RiskReports(risk, drivers),
        DueScores(risk, DueOptions(timedelta(seconds=settings.ml.debounce_s))),
        BookScoring(database, trips, drivers, risk),
        DriftWatch(database, drivers, risk),
        plans,
        Dislocations(plans),
        pricing,
        QuoteDoor(limiter, settings.pricing.quotes_per_minute),
        Corrections(plans, trips, risk),
        Replays(plans, risk, trips, telematics, drivers),
        *insurance.services,
        Archiver(database, archive_options(settings)),
        PortalService(trips, telematics, drivers, risk, pricing),
        *claims_services.compose(insurance.policies, drivers, telematics),
        *rewards_services.compose(insurance.policies, insurance.ledger, drivers, trips, risk),
    ):
        services[type(service)] = service


def predictor(settings: Settings) -> Predictor:
    """Return how the model is called for online requests."""
    ml = settings.ml
    batch = BatchOptions(ml.batch_size, ml.batch_wait_ms / 1000.0)
    return Predictor(PredictorOptions(ml.micro_batching, batch, ml.predictions_remembered))


async def prepare_log(container: Container, stop: asyncio.Event) -> None:
    """Create the topics that are missing; waits for the database until ``stop``."""
    while not stop.is_set():
        try:
            await container.log.ensure_topics(topics.ALL)
        except Unavailable as error:
            log.warning("event_log_not_ready", error=error.code)
            await wait_unless(stop, TOPICS_RETRY_S)
        else:
            return


def archive_options(settings: Settings) -> ArchiveOptions:
    """Return where archived months are and which months leave the database."""
    return ArchiveOptions(
        settings.archive_dir.absolute(),
        retention_months=settings.retention.months,
        quiet=timedelta(days=settings.retention.quiet_days),
    )


def ingest_policy(settings: Settings) -> IngestPolicy:
    """Return which events are taken."""
    return IngestPolicy(
        late_window_s=settings.telematics.late_window_days * 86_400, clock_skew_s=settings.telematics.clock_skew_max_s
    )


def _sessions(settings: Settings) -> SessionOptions:
    return SessionOptions(
        refresh_ttl=timedelta(days=settings.jwt.refresh_days), failures=settings.login.failures_per_minute
    )


def _tokens(settings: Settings) -> TokenOptions:
    return TokenOptions(
        secret_key=settings.jwt.secret_key.get_secret_value(),
        algorithm=settings.jwt.algorithm,
        access_ttl=timedelta(minutes=settings.jwt.expire_minutes),
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


def telemetry_handler(container: Container) -> Handler:
    """Return a consumer of the driving events; each has its own device states."""
    settings = container.settings
    return TelemetryHandler(
        container.get(TelematicsService),
        container.get(DriverService),
        group=settings.kafka.consumer_group,
        options=TraceOptions(settle_s=settings.trips.settle_s),
    )


def domain_handlers(container: Container) -> Sequence[Handler]:
    """Return the consumers of the domain events."""
    subscriptions = (
        risk_handlers.subscription(container.get(RiskService), container.get(DueScores)),
        billing_handlers.miles_subscription(container.get(Statements)),
        billing_handlers.corrections_subscription(container.get(PolicyService)),
        risk_claims_handlers.policies_subscription(),
        risk_claims_handlers.claims_subscription(),
        pricing_handlers.subscription(container.get(PricingService)),
        claims_handlers.crashes(container.get(ClaimIntake)),
        claims_handlers.evidence(container.get(ClaimService)),
        rewards_handlers.subscription(container.get(TripCounter)),
        pricing_handlers.corrections_subscription(container.get(Corrections)),
    )
    return [EventHandler(subscription) for subscription in subscriptions]
