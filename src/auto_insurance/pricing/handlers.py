"""What pricing does on news: an indicated premium for a new score, a correction of what was charged for a late trip."""

from __future__ import annotations

import msgspec
import structlog

from auto_insurance.contracts import topics
from auto_insurance.contracts.risk import RISK_SCORE_CALCULATED, RiskScoreCalculated
from auto_insurance.contracts.trips import TRIP_AMENDED, TRIP_COMPLETED, TRIP_WITHDRAWN, TripChanged
from auto_insurance.infra.bus.events import Subscription
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.errors import AppError, ErrorKind
from auto_insurance.kernel.events import Envelope
from auto_insurance.pricing.corrections import Corrections
from auto_insurance.pricing.service import PricingService, Score

GROUP = "pricing"
CORRECTIONS_GROUP = "pricing-corrections"
CORRECTIONS = frozenset({TRIP_AMENDED, TRIP_WITHDRAWN})
"""Reasons of a score that changes what was known before: late events, a dispute."""
log = structlog.get_logger(__name__)


def subscription(pricing: PricingService) -> Subscription:
    """Return the group ``pricing`` on the topic of risk scores."""

    async def score_calculated(uow: UnitOfWork, event: Envelope) -> None:
        data = msgspec.convert(event.data, RiskScoreCalculated)
        if not data.may_price:
            log.info("premium_not_indicated", cause="simulated_risk_model")
            return
        score = Score(
            score_id=data.score_id,
            relativity=data.relativity,
            confidence=data.confidence,
            model_version=data.model_version,
        )
        try:
            correction = data.reason in CORRECTIONS
            await pricing.indicate(uow, data.driver_id, score, data.reason, correction=correction)
        except AppError as error:
            # A driver who was erased meanwhile has no price any more.
            if error.kind is not ErrorKind.NOT_FOUND:
                raise
            log.info("premium_not_indicated", cause=error.code)

    return Subscription(group=GROUP, topic=topics.RISK_SCORES, handlers={RISK_SCORE_CALCULATED: score_calculated})


def corrections_subscription(corrections: Corrections) -> Subscription:
    """Return the group ``pricing-corrections`` on the topic of trips."""

    async def trip_changed(uow: UnitOfWork, event: Envelope) -> None:
        data = msgspec.convert(event.data, TripChanged)
        await corrections.trip_changed(uow, data.driver_id, data.start_time, event.type)

    types = (TRIP_COMPLETED, TRIP_AMENDED, TRIP_WITHDRAWN)
    return Subscription(group=CORRECTIONS_GROUP, topic=topics.TRIPS, handlers=dict.fromkeys(types, trip_changed))
