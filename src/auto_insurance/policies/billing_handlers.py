"""What billing does on others' events: trips that change the miles of past months, prices that turned out otherwise."""

from __future__ import annotations

from typing import Protocol

import msgspec
import structlog

from auto_insurance.contracts import topics
from auto_insurance.contracts.pricing import PREMIUM_CORRECTED, PremiumCorrected
from auto_insurance.contracts.trips import TRIP_AMENDED, TRIP_COMPLETED, TRIP_WITHDRAWN, TripChanged
from auto_insurance.infra.bus.events import Subscription
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.errors import AppError, ErrorKind
from auto_insurance.kernel.events import Envelope
from auto_insurance.policies.statements import Statements

MILES_GROUP = "billing-miles"
CORRECTIONS_GROUP = "billing-corrections"
log = structlog.get_logger(__name__)


class Corrector(Protocol):
    """Who puts a corrected price into a policy."""

    async def correct(self, uow: UnitOfWork, told: PremiumCorrected) -> object: ...


def miles_subscription(statements: Statements) -> Subscription:
    """Return the group that notes which days of past months have other miles now."""

    async def trip_changed(uow: UnitOfWork, event: Envelope) -> None:
        data = msgspec.convert(event.data, TripChanged)
        reason = "late trip" if event.type == TRIP_COMPLETED else data.reason.replace("_", " ")
        await statements.trip_changed(uow, data.driver_id, data.start_time, reason)

    handlers = dict.fromkeys((TRIP_COMPLETED, TRIP_AMENDED, TRIP_WITHDRAWN), trip_changed)
    return Subscription(group=MILES_GROUP, topic=topics.TRIPS, handlers=handlers)


def corrections_subscription(policies: Corrector) -> Subscription:
    """Return the group that books what a corrected price changes."""

    async def premium_corrected(uow: UnitOfWork, event: Envelope) -> None:
        try:
            await policies.correct(uow, msgspec.convert(event.data, PremiumCorrected))
        except AppError as error:
            # The policy or its term was never bound, or is gone.
            if error.kind not in {ErrorKind.NOT_FOUND, ErrorKind.INVALID}:
                raise
            log.info("correction_without_policy", cause=error.code)

    handlers = {PREMIUM_CORRECTED: premium_corrected}
    return Subscription(group=CORRECTIONS_GROUP, topic=topics.PREMIUMS, handlers=handlers)
