"""Packs accepted events into log records: keyed by device, each within the log's size limit. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.contracts.topics import MAX_RECORD_BYTES
from auto_insurance.infra.bus.protocol import NewRecord
from auto_insurance.telematics.decode import (
    HEADER_RECEIVED_AT,
    HEADER_REQUEST_ID,
    HEADER_SCOPE,
    HEADER_SOURCE,
    HEADER_TRACEPARENT,
    SCOPE_IMPORT,
)

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Origin:
    """How events came in."""

    received_us: int
    any_age: bool
    request_id: str | None = None
    traceparent: str | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers of the records."""
        headers = {
            HEADER_RECEIVED_AT: str(self.received_us),
            HEADER_SOURCE: "import" if self.any_age else "http",
            HEADER_SCOPE: SCOPE_IMPORT if self.any_age else "ingest",
        }
        if self.request_id:
            headers[HEADER_REQUEST_ID] = self.request_id
        if self.traceparent:
            headers[HEADER_TRACEPARENT] = self.traceparent
        return headers


def record_of(topic: str, device_id: str, own: bytes, origin: Origin) -> NewRecord | None:
    """Return a record of an upload's own bytes, an event or an array of events of one device; None if too large."""
    return NewRecord(topic, device_id, own, origin.headers()) if len(own) <= MAX_RECORD_BYTES else None


def records_of(
    topic: str, events: Iterable[TelemetryEvent], origin: Origin, max_bytes: int = MAX_RECORD_BYTES
) -> list[NewRecord]:
    """Return records that hold the events, encoded anew, in order per device."""
    by_device: dict[str, list[bytes]] = {}
    for event in events:
        by_device.setdefault(event.device_id, []).append(_encode(event))
    headers = origin.headers()
    return [
        NewRecord(topic, device_id, value, headers)
        for device_id, encoded in by_device.items()
        for value in _packed(encoded, max_bytes)
    ]


def _packed(encoded: Iterable[bytes], max_bytes: int) -> list[bytes]:
    values: list[bytes] = []
    pending: list[bytes] = []
    size = 1
    for item in encoded:
        if pending and size + len(item) + 1 > max_bytes:
            values.append(b"[" + b",".join(pending) + b"]")
            pending, size = [], 1
        pending.append(item)
        size += len(item) + 1
    if pending:
        values.append(b"[" + b",".join(pending) + b"]")
    return values
