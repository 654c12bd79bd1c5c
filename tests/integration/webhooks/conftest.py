"""Webhooks over real tables, and a receiver on 127.0.0.1."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from auto_insurance.contracts import topics
from auto_insurance.identity.deps import current_user
from auto_insurance.identity.schemas import Principal, Role
from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.http.app import AppOptions, AppState, attach_state, create_app
from auto_insurance.kernel import ids
from auto_insurance.kernel.events import Envelope
from auto_insurance.webhooks import handlers
from auto_insurance.webhooks.addresses import networks
from auto_insurance.webhooks.api import router
from auto_insurance.webhooks.retrying import RetryPlan
from auto_insurance.webhooks.sending import SendOptions
from auto_insurance.webhooks.service import (
    AddressRules,
    DeliveryOptions,
    DeliveryWorker,
    EventQueue,
    Keyring,
    Sender,
    WebhookOptions,
    WebhookService,
)
from tests.support.scoring import deliver
from tests.support.webhooks import Receiver

KEY = "a-key-for-tests-of-32-bytes-and-more"
EVENTS = ["trip.completed", "claim.moved"]


@dataclass
class Hooks:
    """The routes, signed in as an administrator, and what delivers."""

    db: Database
    http: httpx.AsyncClient
    worker: DeliveryWorker
    role: list[str]

    async def add(self, url: str, events: list[str] | None = None) -> tuple[str, str]:
        """Return a new endpoint's id and its secret."""
        answer = await self.http.post("/webhooks", json={"url": url, "events": events or ["trip.completed"]})
        assert answer.status_code == 201, answer.text
        return answer.json()["endpoint_id"], answer.json()["secret"]

    async def happen(self, *events: Envelope) -> None:
        """Let events of trips come by the log."""
        [trips] = [one for one in handlers.subscriptions(EventQueue()) if one.topic == topics.TRIPS]
        await deliver(self.db, trips, events)

    async def send(self) -> int:
        """Send what is due; return how many."""
        begun = await self.worker.turn()
        await self.worker.idle()
        return begun

    async def deliveries(self, endpoint_id: str, state: str = "") -> list[dict[str, Any]]:
        """Return an endpoint's deliveries, the newest first."""
        query = {"state": state} if state else {}
        answer = await self.http.get(f"/webhooks/{endpoint_id}/deliveries", params=query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found


@pytest.fixture
async def hooks(db: Database) -> AsyncIterator[Hooks]:
    """No endpoint yet; 127.0.0.1 may be sent to, and time-outs are short."""
    keys, rules = Keyring([KEY]), AddressRules(True, networks("127.0.0.1/32"))
    options = DeliveryOptions(retry=RetryPlan(attempts=3), disable_after=timedelta(days=5), lease_s=30.0)
    worker = DeliveryWorker(db, Sender(rules, SendOptions(1.0, 1.5, 4096)), keys, options)
    role = [Role.ADMIN.value]
    app: FastAPI = create_app(AppOptions(), [router])
    service = WebhookService(keys, rules, WebhookOptions(max_endpoints=3))
    attach_state(app, AppState(database=db, services={WebhookService: service}))
    app.dependency_overrides[current_user] = lambda: Principal(
        user_id=ids.new_uuid(), username="somebody", roles=frozenset(role), driver_id=None
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test/api/v1") as http:
        yield Hooks(db, http, worker, role)
    await worker.idle()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that takes everything."""
    async with Receiver() as server:
        yield server
