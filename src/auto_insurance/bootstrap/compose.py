"""Settings -> adapters -> services. Nothing else knows which adapter serves whom."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

from auto_insurance.audit.service import AuditRetention, AuditSequencer, AuditService, SequencerOptions
from auto_insurance.bootstrap.container import Container, metadata
from auto_insurance.bootstrap.keys import keys
from auto_insurance.claims import service as claims_services
from auto_insurance.drivers.service import DriverService
from auto_insurance.identity.service import DeviceKeyService, KeyOptions, Passwords, UserService
from auto_insurance.infra import metrics
from auto_insurance.infra.bus.postgres.outbox_news import OutboxNews
from auto_insurance.infra.cache.tiered import CacheOptions, ReadCache
from auto_insurance.infra.config import Settings
from auto_insurance.infra.db.engine import create_engine
from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.engines import database_url, engine_options, log_engine
from auto_insurance.infra.http.ratelimit import RateLimiter
from auto_insurance.infra.redis import create_redis
from auto_insurance.policies import composition as policies_composition
from auto_insurance.pricing.corrections import Corrections
from auto_insurance.pricing.plans import PlanRegistry
from auto_insurance.pricing.plans_book import Dislocations
from auto_insurance.pricing.replay_service import Replays
from auto_insurance.pricing.service import PricingService, QuoteDoor, QuoteOptions
from auto_insurance.rewards import service as rewards_services
from auto_insurance.risk.book import BookScoring
from auto_insurance.risk.drift import DriftWatch
from auto_insurance.risk.due import DueOptions, DueScores
from auto_insurance.risk.microbatch import BatchOptions
from auto_insurance.risk.predictor import Predictor, PredictorOptions
from auto_insurance.risk.priceable import PriceableScores
from auto_insurance.risk.registry import ModelRegistry, RegistryOptions
from auto_insurance.risk.reporting import RiskReports
from auto_insurance.risk.service import RiskOptions, RiskService
from auto_insurance.risk.vectors import Vectors
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
    WithheldWatch,
)
from auto_insurance.trips.disputes import TripDisputes
from auto_insurance.trips.service import TripService
from auto_insurance.webhooks import composition as webhooks_composition

WORKER = "worker"


def build(settings: Settings, role: str) -> Container:
    """Compose the process. Connects to nothing yet. Raises ``NotConfigured``.

    A ``WORKER`` is without what people work with, and without the memory that it would take.
    """
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
    cache = ReadCache(redis, _kept(settings))
    database.on_touched = cache.purger.purge
    container = Container(settings, database, event_log, news, redis, cache)
    _compose(container)
    if role != WORKER:
        import_module("auto_insurance.bootstrap.people").compose(container, archive_options(settings))
    return container


def _compose(container: Container) -> None:
    settings, database = container.settings, container.database
    passwords = Passwords()
    telematics = TelematicsService(ingest_policy(settings), ArchiveReader(archive_options(settings)))
    users = UserService(database, passwords)
    known = settings.telematics
    device_keys = DeviceKeyService(
        database, KeyOptions(fresh_s=known.device_key_cache_s, stale_s=known.device_key_stale_s)
    )
    drivers = DriverService(users, device_keys)
    contacts = ContactBook(database)
    archive = ArchiveWatch(database, telematics.policy.archived)
    trips = TripService()
    models = ModelRegistry(_registry(settings))
    vectors = Vectors(container.cache, keys(settings)["features"], settings.ml.window_days)
    risk = RiskService(trips, drivers, models, RiskOptions(settings.ml.window_days), predictor(settings), vectors)
    plans = PlanRegistry()
    limiter = RateLimiter(container.redis)
    pricing = PricingService(drivers, PriceableScores(risk), plans, QuoteOptions(settings.pricing.quote_days))
    insurance = policies_composition.compose(settings, database, pricing, drivers, trips, risk)
    container.put(
        AuditService(database),
        AuditRetention(database, settings.audit.retention_months, settings.audit.retention_dir),
        AuditSequencer(database, SequencerOptions(anchor_file=settings.audit.anchor_file)),
        passwords,
        users,
        device_keys,
        drivers,
        telematics,
        contacts,
        _door(container, drivers, telematics, contacts, archive),
        DeviceHealthService(drivers),
        ImportService(drivers),
        ImportRunner(database, container.log, telematics.policy, archive=archive),
        trips,
        TripDisputes(),
        models,
        vectors,
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
        *claims_services.compose(insurance.policies, drivers, telematics),
        *rewards_services.compose(insurance.policies, insurance.ledger, drivers, trips, risk),
        *webhooks_composition.compose(settings, database),
    )
    container.put(limiter, Archiver(database, archive_options(settings)))


def _door(
    container: Container,
    drivers: DriverService,
    telematics: TelematicsService,
    contacts: ContactBook,
    archive: ArchiveWatch,
) -> IngestService:
    database, stale_s = container.database, container.settings.telematics.device_key_stale_s
    rights = RightsChecker(database, drivers, RightsOptions(stale_s=stale_s))
    withheld = WithheldWatch(database, drivers)
    return IngestService(container.log, rights, contacts, telematics.policy, archive, withheld)


def _registry(settings: Settings) -> RegistryOptions:
    return RegistryOptions(simulated_may_price=not settings.is_production or settings.ml.allow_simulated)


def predictor(settings: Settings) -> Predictor:
    """Return how the model is called for online requests."""
    ml = settings.ml
    batch = BatchOptions(ml.batch_size, ml.batch_wait_ms / 1000.0)
    return Predictor(PredictorOptions(ml.micro_batching, batch, ml.predictions_remembered))


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


def _kept(settings: Settings) -> CacheOptions:
    kept = settings.read_cache
    return CacheOptions(kept.l1_entries, kept.l1_ttl_s, kept.negative_ttl_s)
