"""Who reads the event log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from auto_insurance.bootstrap.container import Container
from auto_insurance.claims import handlers as claims_handlers
from auto_insurance.claims.service import ClaimIntake, ClaimService
from auto_insurance.contracts import topics
from auto_insurance.drivers.service import DriverService
from auto_insurance.infra.bus.backoff import wait_unless
from auto_insurance.infra.bus.events import EventHandler
from auto_insurance.infra.bus.handler import Handler
from auto_insurance.kernel.errors import Unavailable
from auto_insurance.policies import billing_handlers
from auto_insurance.policies.service import PolicyService
from auto_insurance.policies.statements import Statements
from auto_insurance.pricing import handlers as pricing_handlers
from auto_insurance.pricing.corrections import Corrections
from auto_insurance.pricing.service import PricingService
from auto_insurance.rewards import handlers as rewards_handlers
from auto_insurance.rewards.service import TripCounter
from auto_insurance.risk import claims_handlers as risk_claims_handlers
from auto_insurance.risk import handlers as risk_handlers
from auto_insurance.risk.due import DueScores
from auto_insurance.risk.service import RiskService
from auto_insurance.telematics.service import (
    TelematicsService,
)
from auto_insurance.trips.pipeline import TelemetryHandler
from auto_insurance.trips.trace import TraceOptions
from auto_insurance.webhooks import handlers as webhooks_handlers
from auto_insurance.webhooks.service import EventQueue

log = structlog.get_logger(__name__)
TOPICS_RETRY_S = 1.0


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
        *webhooks_handlers.subscriptions(container.get(EventQueue)),
    )
    return [EventHandler(subscription) for subscription in subscriptions]
