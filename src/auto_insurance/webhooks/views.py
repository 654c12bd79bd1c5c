"""Builds the answers of the routes from rows."""

from __future__ import annotations

from typing import Any

import msgspec

from auto_insurance.contracts import alerts, claims, policies, pricing, risk, trips
from auto_insurance.webhooks.catalogue import EventType, topic_of
from auto_insurance.webhooks.messages import message_id
from auto_insurance.webhooks.repository import EndpointRow
from auto_insurance.webhooks.repository_deliveries import PENDING, DeliveryRow
from auto_insurance.webhooks.schemas import DeliveryOut, EventTypeOut, EventTypes, WebhookOut, WebhookSecret

_PAYLOADS: dict[str, type[msgspec.Struct]] = {
    "trip": trips.TripChanged,
    "risk_score": risk.RiskScoreCalculated,
    "premium": pricing.PremiumCalculated,
    "policy": policies.PolicyChanged,
    "claim": claims.ClaimState,
    "crash": alerts.CrashReported,
}


def webhook_out(row: EndpointRow) -> WebhookOut:
    """Return an endpoint without anything of its secrets."""
    return WebhookOut(**_shown(row))


def with_secret(row: EndpointRow, secret: str) -> WebhookSecret:
    """Return an endpoint with its new secret."""
    return WebhookSecret(**_shown(row), secret=secret)


def _shown(row: EndpointRow) -> dict[str, Any]:
    names = WebhookOut.model_fields.keys() - {"old_secret_until"}
    return {name: getattr(row, name) for name in names} | {"old_secret_until": row.old_until}


def delivery_out(row: DeliveryRow) -> DeliveryOut:
    """Return a delivery."""
    stored = msgspec.structs.asdict(row)
    del stored["endpoint_id"]
    waits = row.state == PENDING
    return DeliveryOut(**{**stored, "next_at": row.next_at if waits else None, "webhook_id": message_id(row.event_id)})


def event_types() -> EventTypes:
    """Return the catalogue with the schema of each event's data."""
    items = [
        EventTypeOut(
            type=event,
            topic=topic_of(event),
            data_schema=msgspec.json.schema(_PAYLOADS[event.value.partition(".")[0]]),
        )
        for event in EventType
    ]
    return EventTypes(items=items)
