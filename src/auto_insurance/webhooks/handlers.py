"""What webhooks do on others' news: queue it for the endpoints that want it."""

from __future__ import annotations

from collections.abc import Sequence

from auto_insurance.infra.bus.events import Subscription
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.events import Envelope
from auto_insurance.webhooks.catalogue import TOPICS, types_of
from auto_insurance.webhooks.service import EventQueue

GROUPS = {f"webhooks-{topic}": topic for topic in TOPICS}
"""A group for each topic, so that none waits for another."""


def subscriptions(queue: EventQueue) -> list[Subscription]:
    """Return the groups ``webhooks-<topic>``. The events of a batch are queued by one statement."""

    async def noted(uow: UnitOfWork, event: Envelope) -> None:
        """Wait for the batch's end."""

    async def queued(uow: UnitOfWork, events: Sequence[Envelope]) -> None:
        await queue.queue(uow, events)

    return [
        Subscription(group, topic, dict.fromkeys((event.value for event in types_of(topic)), noted), after=queued)
        for group, topic in GROUPS.items()
    ]
