"""What is sent: the body of an event, the same bytes at every attempt. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from auto_insurance.kernel.events import Envelope
from auto_insurance.webhooks.catalogue import PING

_CODE = re.compile(r"[a-z0-9_.:-]{1,64}")
_encode = msgspec.json.Encoder().encode


def message_id(event_id: UUID) -> str:
    """Return the ``webhook-id`` of an event: the same at every attempt, replay and endpoint."""
    return f"msg_{event_id.hex}"


def body_of(event: Envelope) -> bytes:
    """Return the JSON that is sent for an event: type, version, timestamp, and the data of its contract.

    A ``reason`` may be a sentence that a person wrote; only codes leave the house, the others are sent empty.
    """
    data = event.data
    reason = data.get("reason")
    if isinstance(reason, str) and not _CODE.fullmatch(reason):
        data = {**data, "reason": ""}
    return _body(event.type, event.version, event.occurred_at, data)


def ping_body(endpoint_id: UUID, at: datetime) -> bytes:
    """Return the JSON of a test delivery."""
    return _body(PING, 1, at, {"webhook_id": endpoint_id})


def _body(type_: str, version: int, at: datetime, data: dict[str, Any]) -> bytes:
    return _encode({"type": type_, "version": version, "timestamp": at, "data": data})
