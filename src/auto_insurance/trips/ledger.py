"""Turns closed, open and re-cut trips into rows and domain events. Gathers a batch's changes, writes them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from auto_insurance.contracts import topics
from auto_insurance.contracts.trips import TRIP_AMENDED, TRIP_COMPLETED, TRIP_WITHDRAWN, TripChanged
from auto_insurance.infra import tracing
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import ids
from auto_insurance.kernel.clock import from_us
from auto_insurance.kernel.events import new_event
from auto_insurance.trips import repository
from auto_insurance.trips.contents import Closed, Ref, TripContent, content_hash
from auto_insurance.trips.match import Span, match, overlap_us
from auto_insurance.trips.repository import StoredTrip, TripRow

COMPLETED, OPEN = "completed", "in_progress"
REASON_COMPLETED, REASON_LATE, REASON_MERGED = "completed", "late_events", "merged"
VehicleAt = Callable[[str, int], str | None]
"""The vehicle that a device was in at an instant."""


def _span(content: TripContent) -> Span:
    return Span(content.driver_id, content.start_us, content.end_us)


class Ledger:
    """Changes of trips within one transaction."""

    def __init__(self) -> None:
        self._rows: list[TripRow] = []
        self._deleted: list[UUID] = []
        self._withdrawn: list[UUID] = []
        self._told: list[tuple[str, TripChanged]] = []

    def close(self, closed: Closed, vehicle_at: VehicleAt) -> Ref | None:
        """Note a trip that ended in the ordinary course of its stream; returns its row, if it has one."""
        content, ref = closed.content, closed.ref
        if closed.kept:
            return self._complete(ref or self._new_ref(content, vehicle_at), content)
        if ref is not None and ref.revision == 0:
            self._deleted.append(ref.trip_id)
        elif ref is not None:
            self._withdraw(ref, content, REASON_LATE)
        return None

    def open(self, content: TripContent, ref: Ref | None, vehicle_at: VehicleAt) -> Ref:
        """Note a trip that was just confirmed, or goes on after all (``ref``); returns its row."""
        return self._show(ref or self._new_ref(content, vehicle_at), content)

    @staticmethod
    def _new_ref(content: TripContent, vehicle_at: VehicleAt) -> Ref:
        return Ref(ids.new_uuid(), 0, None, vehicle_at(content.device_id, content.start_us))

    def recut(
        self, old: Sequence[StoredTrip], new: Sequence[TripContent], current: TripContent | None, until_us: int,
        vehicle_at: VehicleAt,
    ) -> Ref | None:  # fmt: skip
        """Replace the trips of a session by newly cut ones, see :mod:`match` for which ids stay.

        ``current`` is the open trip, if there is one; its reference is returned. ``until_us`` is the session's end.
        """
        all_new = [*new, *([] if current is None else [current])]
        old_spans = [
            Span(trip.driver_id, trip.start_us, until_us if trip.end_us is None else trip.end_us) for trip in old
        ]
        new_spans = [_span(content) for content in all_new]
        kept = match(old_spans, new_spans)
        current_ref: Ref | None = None
        for index, content in zip(kept, all_new, strict=True):
            before = None if index is None else old[index]
            ref = self._new_ref(content, vehicle_at)
            if before is not None:
                vehicle = ref.vehicle_id or before.vehicle_id
                ref = Ref(before.trip_id, before.revision, before.content_hash, vehicle)
            if content is current:
                shown = before is not None and before.status == OPEN and before.start_us == content.start_us
                current_ref = ref if shown else self._show(ref, content)
            elif before is None or before.status != COMPLETED or before.content_hash != content_hash(content):
                self._complete(ref, content)
        for index, trip in enumerate(old):
            if index not in kept:
                merged = any(overlap_us(old_spans[index], span) for span in new_spans)
                self._drop(trip, old_spans[index], REASON_MERGED if merged else REASON_LATE)
        return current_ref

    async def write(self, uow: UnitOfWork) -> None:
        """Write everything and publish; the ledger is empty afterwards."""
        await repository.upsert_trips(uow, self._rows)
        await repository.withdraw_trips(uow, self._withdrawn)
        await repository.delete_unpublished(uow, self._deleted)
        for type_, payload in self._told:
            with tracing.of(payload.device_id):
                uow.publish(topics.TRIPS, new_event(payload, type=type_, version=1, key=payload.driver_id))
        self._rows, self._deleted, self._withdrawn, self._told = [], [], [], []

    def _complete(self, ref: Ref, content: TripContent) -> Ref:
        digest = content_hash(content)
        same = digest == ref.content_hash
        revision = ref.revision if same else ref.revision + 1
        self._rows.append(
            TripRow(
                trip_id=ref.trip_id,
                vehicle_id=ref.vehicle_id,
                status=COMPLETED,
                revision=revision,
                content_hash=digest,
                content=content,
            )
        )
        if not same:
            type_, reason = (TRIP_AMENDED, REASON_LATE) if revision > 1 else (TRIP_COMPLETED, REASON_COMPLETED)
            self._tell(type_, ref.trip_id, revision, content, reason)
        return Ref(ref.trip_id, revision, digest, ref.vehicle_id)

    def _show(self, ref: Ref, content: TripContent) -> Ref:
        self._rows.append(
            TripRow(
                trip_id=ref.trip_id,
                vehicle_id=ref.vehicle_id,
                status=OPEN,
                revision=ref.revision,
                content_hash=ref.content_hash,
                content=content,
            )
        )
        return ref

    def _withdraw(self, ref: Ref, content: TripContent, reason: str) -> None:
        self._withdrawn.append(ref.trip_id)
        self._tell(TRIP_WITHDRAWN, ref.trip_id, ref.revision + 1, content, reason)

    def _drop(self, trip: StoredTrip, span: Span, reason: str) -> None:
        if trip.revision == 0:
            self._deleted.append(trip.trip_id)
            return
        self._withdrawn.append(trip.trip_id)
        payload = TripChanged(
            trip_id=trip.trip_id,
            driver_id=trip.driver_id,
            device_id=trip.device_id,
            revision=trip.revision + 1,
            start_time=from_us(trip.start_us),
            end_time=from_us(span.end_us),
            distance_miles=trip.distance_miles,
            reason=reason,
        )
        self._told.append((TRIP_WITHDRAWN, payload))

    def _tell(self, type_: str, trip_id: UUID, revision: int, content: TripContent, reason: str) -> None:
        payload = TripChanged(
            trip_id=trip_id,
            driver_id=content.driver_id,
            device_id=content.device_id,
            revision=revision,
            start_time=from_us(content.start_us),
            end_time=from_us(content.end_us),
            distance_miles=content.distance_miles,
            reason=reason,
        )
        self._told.append((type_, payload))
