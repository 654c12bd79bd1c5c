"""Delivers what is due: a lane of its own for each endpoint, so that a slow one holds up nobody else.

Any number of processes may do this at once: rows are taken with ``SKIP LOCKED`` and a lease. Order is not promised:
a lane has several places, and what failed is tried later than what came after it; the data carry revisions.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import structlog

from auto_insurance import __version__
from auto_insurance.infra import metrics
from auto_insurance.infra.bus.backoff import Backoff, wait_unless
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import clock
from auto_insurance.webhooks import repository, repository_deliveries
from auto_insurance.webhooks.messages import message_id
from auto_insurance.webhooks.repository import EndpointRow
from auto_insurance.webhooks.repository_deliveries import DEAD, DELIVERED, PENDING, Claimed, Settlement
from auto_insurance.webhooks.retrying import RetryPlan
from auto_insurance.webhooks.sending import Answer, Sender
from auto_insurance.webhooks.signing import Keyring, KeyUnknown, signature

log = structlog.get_logger(__name__)
GONE = 410
SECRET_UNKNOWN = "secret_unknown"  # noqa: S105 - a word, not a secret
_WAKE_S = 0.05
"""Ended deliveries are collected for so long before the next are taken."""


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """Sizes and times of the deliveries."""

    max_endpoints: int = 20
    places: int = 4
    """Deliveries under way to one endpoint from one process."""
    poll_s: float = 1.0
    lease_s: float = 60.0
    """How long a taken delivery is nobody else's; above the time of a request."""
    drain_s: float = 12.0
    disable_after: timedelta = timedelta(days=5)
    retry: RetryPlan = field(default_factory=RetryPlan)


class DeliveryWorker:
    """Takes what is due, sends it, and writes down how it went."""

    def __init__(
        self, database: Database, sender: Sender, keys: Keyring, options: DeliveryOptions | None = None
    ) -> None:
        self._database = database
        self._sender = sender
        self._keys = keys
        self._options = options or DeliveryOptions()
        self._busy: Counter[UUID] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()
        self._warned: set[UUID] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until ``stop``; then finish what is under way. Faults of the database are waited out."""
        trouble = Backoff(0.5, 30.0)
        while not stop.is_set():
            try:
                self._freed.clear()
                await self.turn()
            except Exception as error:
                pause = trouble.next()
                log.warning("webhook_deliveries_paused", error=type(error).__name__, pause_s=round(pause, 2))
                await wait_unless(stop, pause)
                continue
            trouble.reset()
            await self._rest(stop)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._options.drain_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._sender.close()

    async def turn(self) -> int:
        """Take what is due and there is place for, and begin to send it; return how many."""
        options = self._options
        async with self._database.begin() as uow:
            endpoints = {one.endpoint_id: one for one in await repository.active_endpoints(uow, options.max_endpoints)}
            free = {key: options.places - self._busy[key] for key in endpoints if self._busy[key] < options.places}
            now = clock.now()
            claimed = await repository_deliveries.claim_due(uow, free, now, now + timedelta(seconds=options.lease_s))
        for delivery in claimed:
            self._begin(endpoints[delivery.endpoint_id], delivery)
        return len(claimed)

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def measure(self) -> None:
        """Set the gauges of the backlog."""
        async with self._database.read() as uow:
            found = await repository_deliveries.backlog(uow, self._options.max_endpoints)
        metrics.WEBHOOK_DELIVERIES.labels(PENDING).set(found.pending)
        metrics.WEBHOOK_DELIVERIES.labels(DEAD).set(found.dead)
        late = 0.0 if found.oldest_due is None else (clock.now() - found.oldest_due).total_seconds()
        metrics.WEBHOOK_OLDEST_DUE_SECONDS.set(max(late, 0.0))

    def _begin(self, endpoint: EndpointRow, delivery: Claimed) -> None:
        self._busy[endpoint.endpoint_id] += 1
        task = asyncio.create_task(self._deliver(endpoint, delivery), name="webhook-delivery")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(endpoint.endpoint_id, done))

    def _ended(self, endpoint_id: UUID, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._busy[endpoint_id] -= 1
        if not self._busy[endpoint_id]:
            del self._busy[endpoint_id]
        self._freed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # The lease ends and the delivery is due again.
            log.warning("webhook_outcome_not_written", error=type(error).__name__)

    async def _rest(self, stop: asyncio.Event) -> None:
        """Wait until places came free, it is time to look again, or ``stop``."""
        stopping, freed = asyncio.create_task(stop.wait()), asyncio.create_task(self._freed.wait())
        await asyncio.wait({stopping, freed}, timeout=self._options.poll_s, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        freed.cancel()
        if self._freed.is_set():
            await wait_unless(stop, _WAKE_S)

    async def _deliver(self, endpoint: EndpointRow, delivery: Claimed) -> None:
        at = clock.now()
        try:
            headers = self._headers(endpoint, delivery, int(at.timestamp()))
        except KeyUnknown:
            self._warn(endpoint)
            answer = Answer(None, SECRET_UNKNOWN, 0.0)
        else:
            answer = await self._sender.send(endpoint.url, headers, delivery.body)
        state, pause_s = self._judge(delivery, answer)
        how = Settlement(
            state=state,
            next_at=clock.now() + timedelta(seconds=pause_s),
            attempted_at=at,
            last_status=answer.status,
            last_error=answer.error,
            duration_ms=round(answer.duration_s * 1000),
        )
        await self._settle(endpoint, delivery, answer, how)
        metrics.WEBHOOK_ATTEMPTS_TOTAL.labels({PENDING: "failed"}.get(state, state)).inc()
        metrics.WEBHOOK_ATTEMPT_SECONDS.observe(answer.duration_s)

    def _headers(self, endpoint: EndpointRow, delivery: Claimed, timestamp_s: int) -> dict[str, str]:
        secrets = [self._keys.secret(endpoint.held)]
        old = endpoint.old_held(clock.now())
        if old is not None and self._keys.knows(old):
            secrets.append(self._keys.secret(old))
        message = message_id(delivery.event_id)
        return {
            "Content-Type": "application/json",
            "User-Agent": f"auto-insurance-webhooks/{__version__}",
            "webhook-id": message,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": signature(secrets, message, timestamp_s, delivery.body),
        }

    def _judge(self, delivery: Claimed, answer: Answer) -> tuple[str, float]:
        """Return the state after an attempt, and the pause before the next one."""
        if answer.accepted:
            return DELIVERED, 0.0
        retry = self._options.retry
        chance = random.random()  # noqa: S311 - spreads load, guards nothing
        pause = None if answer.status == GONE else retry.pause_s(delivery.attempts, answer.retry_after_s, chance)
        return (DEAD, 0.0) if pause is None else (PENDING, pause)

    async def _settle(self, endpoint: EndpointRow, delivery: Claimed, answer: Answer, how: Settlement) -> None:
        reason = None
        endpoint_id, now = endpoint.endpoint_id, clock.now()
        async with self._database.begin() as uow:
            await repository_deliveries.settle(uow, delivery.delivery_id, delivery.attempts, how)
            if answer.accepted:
                if endpoint.failing_since is not None:
                    await repository.note_well(uow, endpoint_id)
            else:
                await repository.note_failing(uow, endpoint_id, now)
                long_ago = None if answer.status == GONE else now - self._options.disable_after
                why = "gone" if answer.status == GONE else "failing"
                if await repository.disable(uow, endpoint_id, why, now, failing_before=long_ago):
                    reason = why
        if reason is not None:
            metrics.WEBHOOK_ENDPOINTS_DISABLED_TOTAL.inc()
            log.error("webhook_disabled", webhook_id=str(endpoint_id), reason=reason)

    def _warn(self, endpoint: EndpointRow) -> None:
        """Say once per endpoint that its secret can't be computed."""
        if endpoint.endpoint_id not in self._warned:
            self._warned.add(endpoint.endpoint_id)
            log.error("webhook_secret_unknown", webhook_id=str(endpoint.endpoint_id))
