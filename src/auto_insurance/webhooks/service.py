"""Use cases of webhooks: endpoints, their secrets, what was sent to them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from auto_insurance.infra.db.locks import lock
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock, ids
from auto_insurance.webhooks import repository, repository_deliveries, signing
from auto_insurance.webhooks.addresses import AddressRules, Refused
from auto_insurance.webhooks.catalogue import PING
from auto_insurance.webhooks.delivering import DeliveryOptions, DeliveryWorker
from auto_insurance.webhooks.errors import (
    DeliveryNotFound,
    DeliveryPending,
    TooManyWebhooks,
    WebhookInactive,
    WebhookKeyMissing,
    WebhookNotFound,
    WebhookUrlRefused,
)
from auto_insurance.webhooks.messages import ping_body
from auto_insurance.webhooks.queueing import EventQueue
from auto_insurance.webhooks.repository import EndpointRow
from auto_insurance.webhooks.repository_deliveries import PENDING, DeliveryRow, NewDelivery
from auto_insurance.webhooks.schemas import DeliveryState, WebhookIn, WebhookPatch
from auto_insurance.webhooks.sending import Sender, SendOptions
from auto_insurance.webhooks.signing import Held, Keyring

log = structlog.get_logger(__name__)
REPLAYED_AT_ONCE = 10_000
_LOCK = "webhook-endpoints"


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """How many endpoints there may be, and how long deliveries are kept."""

    max_endpoints: int = 20
    kept: timedelta = timedelta(days=30)


class WebhookService:
    """Endpoints as staff keep them; the only writer of their table beside the deliveries' outcome."""

    def __init__(self, keys: Keyring, rules: AddressRules, options: WebhookOptions | None = None) -> None:
        self._keys = keys
        self._rules = rules
        self._options = options or WebhookOptions()

    async def create(self, uow: UnitOfWork, body: WebhookIn, by: UUID) -> tuple[EndpointRow, str]:
        """Return a new endpoint and its secret. Raises ``WebhookUrlRefused``, ``TooManyWebhooks`` and
        ``WebhookKeyMissing``.
        """
        self._check(body.url)
        held, shown = self._new_secret()
        await lock(uow, _LOCK)
        if await repository.count_endpoints(uow) >= self._options.max_endpoints:
            raise TooManyWebhooks(self._options.max_endpoints)
        now = clock.now()
        row = EndpointRow(
            endpoint_id=ids.new_uuid(),
            url=body.url,
            description=body.description,
            events=[event.value for event in body.events],
            active=body.active,
            secret_salt=held.salt,
            secret_key_id=held.key_id,
            created_at=now,
            created_by=by,
            updated_at=now,
        )
        await repository.add_endpoint(uow, row)
        log.info("webhook_created", webhook_id=str(row.endpoint_id))
        return row, shown

    async def page(self, uow: UnitOfWork, *, limit: int, offset: int) -> tuple[Sequence[EndpointRow], int]:
        """Return a page of endpoints and how many there are."""
        return await repository.page_of_endpoints(uow, limit=limit, offset=offset)

    async def get(self, uow: UnitOfWork, endpoint_id: UUID, *, lock: bool = False) -> EndpointRow:
        """Return an endpoint. Raises ``WebhookNotFound``."""
        row = await repository.get_endpoint(uow, endpoint_id, lock=lock)
        if row is None:
            raise WebhookNotFound
        return row

    async def change(self, uow: UnitOfWork, endpoint_id: UUID, body: WebhookPatch) -> EndpointRow:
        """Change what is given. Raises ``WebhookNotFound`` and ``WebhookUrlRefused``."""
        await self.get(uow, endpoint_id, lock=True)
        values: dict[str, Any] = body.model_dump(exclude_none=True)
        if body.url is not None:
            self._check(body.url)
        if body.events is not None:
            values["events"] = [event.value for event in body.events]
        if body.active:
            values |= {"failing_since": None, "disabled_reason": None}
        await repository.change_endpoint(uow, endpoint_id, {**values, "updated_at": clock.now()})
        return await self.get(uow, endpoint_id)

    async def remove(self, uow: UnitOfWork, endpoint_id: UUID) -> EndpointRow:
        """Delete an endpoint and return it; what waits for it is never sent. Raises ``WebhookNotFound``."""
        row = await self.get(uow, endpoint_id, lock=True)
        await repository.remove_endpoint(uow, endpoint_id)
        log.info("webhook_deleted", webhook_id=str(endpoint_id))
        return row

    async def rotate(self, uow: UnitOfWork, endpoint_id: UUID, overlap: timedelta) -> tuple[EndpointRow, str]:
        """Give an endpoint a new secret; the one before signs as well for a while.

        Raises ``WebhookNotFound`` and ``WebhookKeyMissing``.
        """
        row = await self.get(uow, endpoint_id, lock=True)
        held, shown = self._new_secret()
        now = clock.now()
        overlaps = overlap > timedelta(0)
        values = {
            "secret_salt": held.salt,
            "secret_key_id": held.key_id,
            "old_salt": row.secret_salt if overlaps else None,
            "old_key_id": row.secret_key_id if overlaps else None,
            "old_until": now + overlap if overlaps else None,
            "updated_at": now,
        }
        await repository.change_endpoint(uow, endpoint_id, values)
        log.info("webhook_secret_rotated", webhook_id=str(endpoint_id))
        return await self.get(uow, endpoint_id), shown

    async def ping(self, uow: UnitOfWork, endpoint_id: UUID) -> DeliveryRow:
        """Queue a test delivery. Raises ``WebhookNotFound`` and ``WebhookInactive``."""
        row = await self.get(uow, endpoint_id)
        if not row.active:
            raise WebhookInactive
        now, event_id = clock.now(), ids.new_uuid()
        new = NewDelivery(
            delivery_id=ids.new_uuid(),
            endpoint_id=endpoint_id,
            event_id=event_id,
            event_type=PING,
            body=ping_body(endpoint_id, now),
            next_at=now,
            created_at=now,
        )
        await repository_deliveries.add_deliveries(uow, [new])
        return await self._delivery(uow, endpoint_id, new.delivery_id)

    async def deliveries(
        self, uow: UnitOfWork, endpoint_id: UUID, state: DeliveryState | None, *, limit: int, offset: int
    ) -> tuple[Sequence[DeliveryRow], int]:
        """Return a page of an endpoint's deliveries, the newest first. Raises ``WebhookNotFound``."""
        await self.get(uow, endpoint_id)
        wanted = None if state is None else state.value
        return await repository_deliveries.list_deliveries(uow, endpoint_id, wanted, limit=limit, offset=offset)

    async def replay(self, uow: UnitOfWork, endpoint_id: UUID, delivery_id: UUID) -> DeliveryRow:
        """Send a dead or delivered event again, with the same id.

        Raises ``WebhookNotFound``, ``WebhookInactive``, ``DeliveryNotFound`` and ``DeliveryPending``.
        """
        await self._active(uow, endpoint_id)
        found = await self._delivery(uow, endpoint_id, delivery_id)
        if found.state == PENDING:
            raise DeliveryPending
        await repository_deliveries.revive(uow, delivery_id, clock.now())
        return await self._delivery(uow, endpoint_id, delivery_id)

    async def replay_dead(self, uow: UnitOfWork, endpoint_id: UUID) -> int:
        """Send an endpoint's dead deliveries again, the oldest first and so many at once; return how many.

        Raises ``WebhookNotFound`` and ``WebhookInactive``.
        """
        await self._active(uow, endpoint_id)
        return await repository_deliveries.revive_dead(uow, endpoint_id, clock.now(), REPLAYED_AT_ONCE)

    async def forget_old(self, uow: UnitOfWork) -> int:
        """Delete deliveries that are older than they are kept; return how many."""
        return await repository_deliveries.prune_deliveries(uow, clock.now() - self._options.kept)

    async def _active(self, uow: UnitOfWork, endpoint_id: UUID) -> None:
        if not (await self.get(uow, endpoint_id)).active:
            raise WebhookInactive

    @staticmethod
    async def _delivery(uow: UnitOfWork, endpoint_id: UUID, delivery_id: UUID) -> DeliveryRow:
        found = await repository_deliveries.get_delivery(uow, endpoint_id, delivery_id)
        if found is None:
            raise DeliveryNotFound
        return found

    def _check(self, url: str) -> None:
        try:
            self._rules.check_url(url)
        except Refused as refused:
            raise WebhookUrlRefused(str(refused)) from None

    def _new_secret(self) -> tuple[Held, str]:
        if self._keys.newest is None:
            raise WebhookKeyMissing
        held = Held(secrets.token_bytes(signing.SALT_BYTES), self._keys.newest)
        return held, signing.shown(self._keys.secret(held))


__all__ = [
    "AddressRules",
    "DeliveryOptions",
    "DeliveryWorker",
    "EventQueue",
    "Keyring",
    "SendOptions",
    "Sender",
    "WebhookOptions",
    "WebhookService",
]
