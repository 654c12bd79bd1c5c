"""Names, keys and sizes of the topics."""

from __future__ import annotations

from dataclasses import dataclass

TELEMATICS_EVENTS = "telematics-events"
TELEMATICS_DLQ = "telematics-events.dlq"
TRIPS = "trips"
RISK_SCORES = "risk-scores"
PREMIUMS = "premiums"
POLICIES = "policies"
CLAIMS = "claims"
ALERTS = "alerts"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic: its name, number of partitions, days that records are kept at least, and what the key is."""

    name: str
    partitions: int
    retention_days: int
    key: str


ALL: tuple[TopicSpec, ...] = (
    TopicSpec(TELEMATICS_EVENTS, 12, 7, "device_id"),
    TopicSpec(TELEMATICS_DLQ, 3, 30, "device_id"),
    TopicSpec(TRIPS, 6, 30, "driver_id"),
    TopicSpec(RISK_SCORES, 6, 30, "driver_id"),
    TopicSpec(PREMIUMS, 6, 30, "driver_id"),
    TopicSpec(POLICIES, 6, 30, "driver_id"),
    TopicSpec(CLAIMS, 3, 30, "driver_id"),
    TopicSpec(ALERTS, 3, 7, "driver_id"),
)

MAX_RECORD_BYTES = 512 * 1024
"""One record holds one event or a whole upload, at most this many bytes."""
