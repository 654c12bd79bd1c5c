"""Consumers of domain topics: decode the envelope, have each event's effect once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
import structlog

from auto_insurance.infra import tracing
from auto_insurance.infra.bus.handled import note_handled
from auto_insurance.infra.bus.handler import Batch
from auto_insurance.infra.bus.protocol import TopicPartition
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import events
from auto_insurance.kernel.events import Envelope
from auto_insurance.kernel.outcome import Dead, Drop, Ok, Outcome

log = structlog.get_logger(__name__)

EventFunction = Callable[[UnitOfWork, Envelope], Awaitable[None]]
BatchFunction = Callable[[UnitOfWork, Sequence[Envelope]], Awaitable[None]]
TickFunction = Callable[[UnitOfWork], Awaitable[None]]
MALFORMED = "malformed_event"


@dataclass(frozen=True, slots=True)
class Subscription:
    """A group that wants some types of events of a topic.

    Each function is called with the transaction that moves the group's offset. It raises to have the event tried
    again by itself and, if it keeps failing, put with the dead letters; it must not commit. ``after`` is called once
    behind them, in the same transaction, with the events of the batch that were new: for what several events of a batch
    lead to only once. ``tick`` is called about once a second in a transaction of its own.
    """

    group: str
    topic: str
    handlers: Mapping[str, EventFunction]
    after: BatchFunction | None = None
    tick: TickFunction | None = None


class EventHandler:
    """Runs a subscription. Implements :class:`auto_insurance.infra.bus.handler.Handler`."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    @property
    def group(self) -> str:
        return self._subscription.group

    @property
    def topics(self) -> Sequence[str]:
        return (self._subscription.topic,)

    async def handle(self, uow: UnitOfWork, batch: Batch) -> Sequence[Outcome[None]]:
        """Call the functions in order for events that this group has not handled yet."""
        decoded = [_decode(record.value) for record in batch.records]
        wanted = [e.id for e in decoded if isinstance(e, Envelope) and e.type in self._subscription.handlers]
        fresh = await note_handled(uow, self.group, wanted)
        outcomes: list[Outcome[None]] = []
        new: list[Envelope] = []
        for event in decoded:
            if isinstance(event, Dead):
                outcomes.append(event)
            elif event.type not in self._subscription.handlers:
                outcomes.append(Ok(None))
            elif event.id not in fresh:
                outcomes.append(Drop())
            else:
                fresh.discard(event.id)
                with tracing.span(f"{self.group} {event.type}", kind="consumer", parent=event.traceparent or None):
                    await self._subscription.handlers[event.type](uow, event)
                new.append(event)
                outcomes.append(Ok(None))
        if new and self._subscription.after is not None:
            await self._subscription.after(uow, new)
        return outcomes

    def committed(self) -> None:
        """Keeps nothing in memory."""

    def rolled_back(self) -> None:
        """Keeps nothing in memory."""

    async def tick(self, uow: UnitOfWork, caught_up: Mapping[TopicPartition, datetime]) -> None:
        """Do what the subscription does as time passes."""
        if self._subscription.tick is not None:
            await self._subscription.tick(uow)

    async def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Keeps nothing in memory."""


def _decode(value: bytes) -> Envelope | Dead:
    try:
        return events.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        # The message names the place and the types, never the data.
        return Dead(MALFORMED, str(error)[:500])
