"""What risk does when trips change: score the trip, then its driver."""

from __future__ import annotations

import msgspec

from auto_insurance.contracts import topics
from auto_insurance.contracts.trips import TRIP_AMENDED, TRIP_COMPLETED, TRIP_WITHDRAWN, TripChanged
from auto_insurance.infra.bus.events import Subscription
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.events import Envelope
from auto_insurance.risk.service import RiskService

GROUP = "risk-scoring"


def subscription(risk: RiskService) -> Subscription:
    """Return the group ``risk-scoring`` on the topic of trips."""

    async def trip_changed(uow: UnitOfWork, event: Envelope) -> None:
        trip = msgspec.convert(event.data, TripChanged)
        await risk.score_trip(uow, trip.trip_id)
        await risk.score_driver(uow, trip.driver_id, event.type)

    return Subscription(
        group=GROUP,
        topic=topics.TRIPS,
        handlers={TRIP_COMPLETED: trip_changed, TRIP_AMENDED: trip_changed, TRIP_WITHDRAWN: trip_changed},
    )
