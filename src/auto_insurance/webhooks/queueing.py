"""Turns domain events into deliveries."""

from __future__ import annotations

from collections.abc import Sequence

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock, ids
from auto_insurance.kernel.events import Envelope
from auto_insurance.webhooks import repository, repository_deliveries
from auto_insurance.webhooks.messages import body_of
from auto_insurance.webhooks.repository_deliveries import NewDelivery

ROWS_AT_ONCE = 1000
"""Deliveries in one statement."""


class EventQueue:
    """Queues events for the endpoints that asked for them."""

    def __init__(self, max_endpoints: int = 20) -> None:
        self._max = max_endpoints

    async def queue(self, uow: UnitOfWork, events: Sequence[Envelope]) -> int:
        """Make a delivery of each event for each endpoint that is on and wants it; return how many.

        An endpoint gets what happened after it was made, however late the news of it comes.
        """
        endpoints = await repository.active_endpoints(uow, self._max)
        if not endpoints:
            return 0
        now, made = clock.now(), 0
        rows: list[NewDelivery] = []
        for event in events:
            wanting = [one for one in endpoints if event.type in one.events and one.created_at <= event.occurred_at]
            body = body_of(event) if wanting else b""
            rows += [
                NewDelivery(
                    delivery_id=ids.new_uuid(),
                    endpoint_id=one.endpoint_id,
                    event_id=event.id,
                    event_type=event.type,
                    body=body,
                    next_at=now,
                    created_at=now,
                )
                for one in wanting
            ]
        for start in range(0, len(rows), ROWS_AT_ONCE):
            made += await repository_deliveries.add_deliveries(uow, rows[start : start + ROWS_AT_ONCE])
        return made
