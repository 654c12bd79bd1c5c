"""What rewards do when trips change: count them as they are now."""

from __future__ import annotations

import msgspec

from auto_insurance.contracts import topics
from auto_insurance.contracts.trips import TRIP_AMENDED, TRIP_COMPLETED, TRIP_WITHDRAWN, TripChanged
from auto_insurance.infra.bus.events import Subscription
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.events import Envelope
from auto_insurance.rewards.counting import TripCounter

GROUP = "rewards"


def subscription(counter: TripCounter) -> Subscription:
    """Return the group ``rewards`` on the topic of trips."""

    async def trip_changed(uow: UnitOfWork, event: Envelope) -> None:
        trip = msgspec.convert(event.data, TripChanged)
        await counter.trip_changed(uow, trip.trip_id, trip.driver_id, event.type)

    return Subscription(
        group=GROUP,
        topic=topics.TRIPS,
        handlers={TRIP_COMPLETED: trip_changed, TRIP_AMENDED: trip_changed, TRIP_WITHDRAWN: trip_changed},
    )
