"""What risk does when trips change: score each trip, and the driver once for all that changed in a moment.

The trips are scored with their events. The driver is noted as due in the same transaction and scored when the moment is
over, by whichever consumer looks first; with no moment set, at the end of the batch of events. Either way the note and
the score are rows of transactions, so that a crash loses neither and repeats nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from auto_insurance.contracts import topics
from auto_insurance.contracts.trips import TripChanged
from auto_insurance.infra.bus.events import Subscription
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.events import Envelope
from auto_insurance.risk.due import WEIGHTS, DueScores, weightiest
from auto_insurance.risk.service import RiskService

GROUP = "risk-scoring"


def subscription(risk: RiskService, due: DueScores | None = None) -> Subscription:
    """Return the group ``risk-scoring`` on the topic of trips."""
    drivers = due or DueScores(risk)

    async def trip_changed(uow: UnitOfWork, event: Envelope) -> None:
        await risk.score_trip(uow, msgspec.convert(event.data, TripChanged).trip_id)

    async def drivers_changed(uow: UnitOfWork, events: Sequence[Envelope]) -> None:
        told = [(msgspec.convert(event.data, TripChanged).driver_id, event) for event in events]
        traces = {driver_id: event.traceparent for driver_id, event in told if event.traceparent}
        await drivers.changed(uow, weightiest((driver_id, event.type) for driver_id, event in told), traces)

    return Subscription(
        group=GROUP,
        topic=topics.TRIPS,
        handlers=dict.fromkeys(WEIGHTS, trip_changed),
        after=drivers_changed,
        tick=drivers.score_due,
    )
