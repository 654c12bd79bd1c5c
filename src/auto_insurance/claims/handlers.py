"""What claims do on others' news: a crash opens a draft, changed trips freeze evidence again."""

from __future__ import annotations

from datetime import datetime

import msgspec

from auto_insurance.claims.evidence import AFTER, BEFORE
from auto_insurance.claims.service import ClaimIntake, ClaimService
from auto_insurance.contracts import topics
from auto_insurance.contracts.alerts import CRASH_REPORTED, CrashReported
from auto_insurance.contracts.trips import TRIP_AMENDED, TRIP_COMPLETED, TRIP_WITHDRAWN, TripChanged
from auto_insurance.infra.bus.events import Subscription
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.events import Envelope

CRASHES = "claims-crashes"
EVIDENCE = "claims-evidence"


def crashes(claims: ClaimIntake) -> Subscription:
    """Return the group ``claims-crashes`` on the topic of alerts."""

    async def crash_reported(uow: UnitOfWork, event: Envelope) -> None:
        await claims.draft_of_crash(uow, msgspec.convert(event.data, CrashReported))

    return Subscription(group=CRASHES, topic=topics.ALERTS, handlers={CRASH_REPORTED: crash_reported})


def evidence(claims: ClaimService) -> Subscription:
    """Return the group ``claims-evidence`` on the topic of trips."""

    async def trip_changed(uow: UnitOfWork, event: Envelope) -> None:
        trip = msgspec.convert(event.data, TripChanged)
        start, end = _reach(trip.start_time, trip.end_time)
        await claims.telemetry_changed(uow, trip.driver_id, start, end)

    return Subscription(
        group=EVIDENCE,
        topic=topics.TRIPS,
        handlers={TRIP_COMPLETED: trip_changed, TRIP_AMENDED: trip_changed, TRIP_WITHDRAWN: trip_changed},
    )


def _reach(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Return between when a loss must lie for its window to touch a trip."""
    return start - AFTER, end + BEFORE
