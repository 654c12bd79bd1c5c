"""Use cases of disputes: a driver says something against a trip, staff decide, and the trip counts or does not."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
import structlog

from auto_insurance.contracts import topics
from auto_insurance.contracts.trips import TRIP_WITHDRAWN, TripChanged
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock, ids
from auto_insurance.kernel.events import new_event
from auto_insurance.trips import reads, repository_disputes
from auto_insurance.trips.errors import (
    DisputeDecided,
    DisputeNotFound,
    TripAlreadyDisputed,
    TripNotDisputable,
    TripNotFound,
)
from auto_insurance.trips.repository_disputes import Dispute
from auto_insurance.trips.schemas import TripFacts
from auto_insurance.trips.schemas_disputes import DecisionIn, DisputeIn, DisputeStatus

log = structlog.get_logger(__name__)
REASON = "dispute"


class TripDisputes:
    """Files and decides disputes; the only writer of their table."""

    async def file(self, uow: UnitOfWork, driver_id: str, trip_id: UUID, said: DisputeIn, by: UUID) -> Dispute:
        """Note what a driver says against a trip of theirs.

        Raises ``TripNotFound``, ``TripNotDisputable``, ``TripAlreadyDisputed``.
        """
        trip = await reads.get(uow, trip_id)
        if trip is None or trip.driver_id != driver_id:
            raise TripNotFound("there is no such trip")
        if await repository_disputes.dispute_of_trip(uow, trip_id) is not None:
            raise TripAlreadyDisputed
        if trip.status != "completed":
            raise TripNotDisputable
        dispute = Dispute(
            dispute_id=ids.new_uuid(),
            trip_id=trip_id,
            driver_id=driver_id,
            reason=said.reason.value,
            note=said.note,
            status=DisputeStatus.OPEN.value,
            created_at=clock.now(),
            created_by=by,
        )
        if not await repository_disputes.add_dispute(uow, dispute):
            raise TripAlreadyDisputed
        uow.note("dispute", dispute.dispute_id, reason=dispute.reason)
        log.info("trip_disputed", trip_id=str(trip_id), reason=dispute.reason)
        return dispute

    async def decide(self, uow: UnitOfWork, dispute_id: UUID, decision: DecisionIn, by: UUID) -> Dispute:
        """Decide a dispute. Accepted, the trip counts no longer, and those who counted it are told.

        Deciding the same again changes nothing. Raises ``DisputeNotFound``, ``DisputeDecided``.
        """
        dispute = await repository_disputes.get_dispute(uow, dispute_id)
        if dispute is None:
            raise DisputeNotFound
        status = DisputeStatus.ACCEPTED if decision.accept else DisputeStatus.REJECTED
        if dispute.status == status:
            return dispute
        if dispute.status != DisputeStatus.OPEN:
            raise DisputeDecided
        trip = await reads.get(uow, dispute.trip_id)
        now = clock.now()
        await repository_disputes.decide_dispute(uow, dispute_id, status.value, by, now, decision.note)
        said = {} if decision.note is None else {"note": decision.note}
        uow.note("dispute", dispute_id, private=said, status=[dispute.status, status.value])
        uow.note("driver", dispute.driver_id)
        # A trip that late events made disappear meanwhile was withdrawn for everybody then.
        if decision.accept and trip is not None and trip.status == "completed":
            uow.publish(topics.TRIPS, new_event(_withdrawn(trip), type=TRIP_WITHDRAWN, version=1, key=trip.driver_id))
        log.info("dispute_decided", dispute_id=str(dispute_id), accepted=decision.accept)
        return msgspec.structs.replace(
            dispute, status=status.value, decided_at=now, decided_by=by, decision_note=decision.note
        )

    async def listed(
        self, uow: UnitOfWork, driver_id: str | None, status: DisputeStatus | None, *, limit: int, offset: int
    ) -> tuple[Sequence[Dispute], int]:
        """Return a page of disputes, newest first, and how many there are. ``driver_id`` None means all drivers."""
        wanted = None if status is None else status.value
        return await repository_disputes.list_disputes(uow, driver_id, wanted, limit=limit, offset=offset)


def _withdrawn(trip: TripFacts) -> TripChanged:
    return TripChanged(
        trip_id=trip.trip_id,
        driver_id=trip.driver_id,
        device_id=trip.device_id,
        revision=trip.revision + 1,
        start_time=trip.start_time,
        end_time=trip.end_time or trip.start_time,
        distance_miles=trip.distance_miles,
        reason=REASON,
    )
