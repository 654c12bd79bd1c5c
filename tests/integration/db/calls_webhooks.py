"""Arguments for the functions that hold the SQL of webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from auto_insurance.kernel import ids
from auto_insurance.webhooks.repository import EndpointRow
from auto_insurance.webhooks.repository_deliveries import NewDelivery, Settlement
from tests.integration.db.calls_claims import uuid

NOW = datetime.now(UTC)
ENDPOINT, DELIVERY = uuid("endpoint", 5), uuid("delivery", 4_045)
_ENDPOINTS, _DELIVERIES = "webhooks.repository", "webhooks.repository_deliveries"
_PAGE = {"limit": 20, "offset": 0}


def _endpoint() -> EndpointRow:
    return EndpointRow(
        endpoint_id=ids.new_uuid(), url="https://example.com", description="", events=["trip.completed"], active=True,
        secret_salt=b"salt", secret_key_id="key", created_at=NOW, created_by=ids.new_uuid(), updated_at=NOW,
    )  # fmt: skip


def _delivery() -> NewDelivery:
    return NewDelivery(
        delivery_id=ids.new_uuid(), endpoint_id=ENDPOINT, event_id=ids.new_uuid(), event_type="trip.completed",
        body=b"{}", next_at=NOW, created_at=NOW,
    )  # fmt: skip


_SETTLED = Settlement(
    state="delivered", next_at=NOW, attempted_at=NOW, last_status=200, last_error=None, duration_ms=5
)  # fmt: skip
OF_FUNCTION: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    f"{_ENDPOINTS}.count_endpoints": ({},),
    f"{_ENDPOINTS}.add_endpoint": ({"row": _endpoint()},),
    f"{_ENDPOINTS}.get_endpoint": ({"endpoint_id": ENDPOINT}, {"endpoint_id": ENDPOINT, "lock": True}),
    f"{_ENDPOINTS}.page_of_endpoints": (_PAGE,),
    f"{_ENDPOINTS}.active_endpoints": ({"limit": 20},),
    f"{_ENDPOINTS}.change_endpoint": ({"endpoint_id": ENDPOINT, "values": {"active": False}},),
    f"{_ENDPOINTS}.remove_endpoint": ({"endpoint_id": ENDPOINT},),
    f"{_ENDPOINTS}.note_well": ({"endpoint_id": ENDPOINT},),
    f"{_ENDPOINTS}.note_failing": ({"endpoint_id": ENDPOINT, "at": NOW},),
    f"{_ENDPOINTS}.disable": (
        {"endpoint_id": ENDPOINT, "reason": "failing", "at": NOW, "failing_before": NOW - timedelta(days=5)},
    ),
    f"{_DELIVERIES}.add_deliveries": ({"rows": [_delivery(), _delivery()]},),
    f"{_DELIVERIES}.claim_due": ({"free": {ENDPOINT: 4}, "now": NOW, "until": NOW + timedelta(minutes=1)},),
    f"{_DELIVERIES}.settle": ({"delivery_id": DELIVERY, "attempts": 1, "how": _SETTLED},),
    f"{_DELIVERIES}.list_deliveries": (
        {"endpoint_id": ENDPOINT, "state": None, **_PAGE},
        {"endpoint_id": ENDPOINT, "state": "pending", **_PAGE},
        {"endpoint_id": ENDPOINT, "state": "dead", **_PAGE},
    ),
    f"{_DELIVERIES}.get_delivery": ({"endpoint_id": ENDPOINT, "delivery_id": DELIVERY},),
    f"{_DELIVERIES}.revive": ({"delivery_id": DELIVERY, "now": NOW},),
    f"{_DELIVERIES}.revive_dead": ({"endpoint_id": ENDPOINT, "now": NOW, "limit": 100},),
    f"{_DELIVERIES}.backlog": ({"limit": 20},),
    f"{_DELIVERIES}.prune_deliveries": ({"before": NOW - timedelta(days=29), "limit": 100},),
}
"""Calls of one function."""

ROWS: tuple[tuple[str, int, dict[str, str]], ...] = (
    ("webhook_endpoints", 20, {
        "endpoint_id": "md5('endpoint' || i)::uuid", "url": "'https://example.com/' || i", "active": "i % 4 <> 0",
    }),
    ("webhook_deliveries", 40_000, {
        "delivery_id": "md5('delivery' || i)::uuid", "endpoint_id": "md5('endpoint' || (i % 20 + 1))::uuid",
        "event_type": "'trip.completed'", "created_at": "now() - i * interval '1 minute'",
        "state": "CASE i % 200 WHEN 0 THEN 'pending' WHEN 1 THEN 'dead' ELSE 'delivered' END",
        "next_at": "now() - i * interval '1 minute'",
    }),
)  # fmt: skip
"""Rows that fill the tables."""
