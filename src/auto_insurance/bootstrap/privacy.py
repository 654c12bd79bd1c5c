"""What holds data of persons, and who erases, exports and retains it."""

from __future__ import annotations

from auto_insurance.audit.service import AuditService
from auto_insurance.bootstrap.container import Container
from auto_insurance.claims import models_holdings as claims
from auto_insurance.contracts import topics
from auto_insurance.drivers import models_holdings as drivers
from auto_insurance.drivers.service import ConsentService, DriverService, ErasureDesk
from auto_insurance.identity import models_holdings as identity
from auto_insurance.identity.service import DeviceKeyService
from auto_insurance.infra.bus import models_holdings as bus
from auto_insurance.infra.db.holdings import Holding
from auto_insurance.infra.http.ratelimit import RateLimiter
from auto_insurance.policies import models_holdings as policies
from auto_insurance.pricing import models_holdings as pricing
from auto_insurance.privacy.cache_keys import CacheEraser
from auto_insurance.privacy.export import ExportOptions
from auto_insurance.privacy.service import (
    ErasureOptions,
    ErasureService,
    ExportService,
    Forgetter,
    Keepers,
    RetentionOptions,
    RetentionService,
)
from auto_insurance.rewards import models_holdings as rewards
from auto_insurance.risk import models_holdings as risk
from auto_insurance.risk.service import RiskService
from auto_insurance.telematics import models_holdings as telematics
from auto_insurance.telematics.archive_steps import ArchiveOptions
from auto_insurance.telematics.service import ArchiveEraser, TelematicsService
from auto_insurance.trips import models_holdings as trips
from auto_insurance.trips.service import TripService
from auto_insurance.webhooks import models_holdings as webhooks

HOLDINGS: tuple[Holding, ...] = (
    *webhooks.HOLDINGS,
    *rewards.HOLDINGS,
    *claims.HOLDINGS,
    *policies.HOLDINGS,
    *pricing.HOLDINGS,
    *risk.HOLDINGS,
    *trips.HOLDINGS,
    *telematics.HOLDINGS,
    *bus.HOLDINGS,
    *identity.HOLDINGS,
    *drivers.HOLDINGS,
)
"""Every table with data of drivers, in the order of erasure: what refers to a row goes before it."""

WITHOUT_PERSONS: dict[str, str] = {
    "audit_anchors": "heads of the chain",
    "audit_closings": "months that left the chain: numbers and hashes",
    "audit_log": "acts; what tells of persons in them is sealed",
    "audit_subjects": "the seals: the audit log breaks them itself",
    "bus_leases": "which consumer reads what",
    "bus_members": "which consumers there are",
    "consumer_offsets": "how far consumers are",
    "consumer_status": "how far behind consumers are",
    "erasure_proofs": "the proofs themselves: ids, counts and checksums",
    "erasure_steps": "how far erasures are: counts and checksums",
    "handled_events": "ids of events; they go after 35 days",
    "log_heads": "where the log ends",
    "log_segment_bases": "where segments begin",
    "log_segments": "which segments there are",
    "log_topics": "which topics there are",
    "oidc_logins": "sign-ins under way at an identity provider: random values that last minutes",
    "plan_activations": "which plan was in force when; staff are named",
    "plan_dislocations": "figures of a whole book",
    "rating_plans": "rating plans; staff are named",
    "risk_drift_nights": "figures of a whole book",
    "risk_model_changes": "which model was in use when; staff are named",
    "risk_models": "coefficients and tables of a whole book",
    "risk_runs": "how far a scoring of the book is",
    "webhook_endpoints": "where events go; staff are named",
    "telematics_month_jobs": "which months are archived or restored; staff are named",
    "telematics_archives": "which months are archived; the files are erased month by month",
}
"""All other tables, and what is in them."""


def forgetters(container: Container) -> list[Forgetter]:
    """Return what remembers persons beside the tables: the audit log, whose seals are broken."""
    return [container.get(AuditService)]


def compose(container: Container, archive: ArchiveOptions, limiter: RateLimiter) -> tuple[object, ...]:
    """Return the services of privacy over those that the container has."""
    settings, database = container.settings, container.database
    kept = settings.privacy
    desk = ErasureDesk(container.get(DeviceKeyService))
    eraser = ArchiveEraser(database, archive)
    keepers = Keepers(HOLDINGS, eraser, CacheEraser(container.redis), forgetters(container))
    log_days = max(spec.retention_days for spec in topics.ALL)
    erasures = ErasureService(database, keepers, desk, ErasureOptions(settings.event_log, log_days))
    drivers = container.get(DriverService)
    exports = ExportService(
        database,
        HOLDINGS,
        desk,
        drivers,
        container.get(TelematicsService),
        eraser,
        limiter,
        ExportOptions(kept.exports_per_hour),
    )
    retention = RetentionService(
        database,
        drivers,
        desk,
        container.get(TripService),
        container.get(RiskService),
        eraser,
        erasures,
        RetentionOptions(
            kept.places_months, kept.withheld_days, kept.scores_months, kept.idle_months, kept.archive_months
        ),
    )
    return ConsentService(), desk, erasures, exports, retention
