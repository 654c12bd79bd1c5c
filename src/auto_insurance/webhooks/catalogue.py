"""Which events are sent, by topic. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from auto_insurance.contracts import alerts, claims, policies, pricing, risk, topics, trips

PING = "webhook.ping"
"""Sent on demand, whatever an endpoint asks for."""


class EventType(StrEnum):
    """An event that an endpoint may ask for."""

    TRIP_COMPLETED = trips.TRIP_COMPLETED
    TRIP_AMENDED = trips.TRIP_AMENDED
    TRIP_WITHDRAWN = trips.TRIP_WITHDRAWN
    RISK_SCORE_CALCULATED = risk.RISK_SCORE_CALCULATED
    PREMIUM_INDICATED = pricing.PREMIUM_INDICATED
    PREMIUM_CHARGED = pricing.PREMIUM_CHARGED
    PREMIUM_CORRECTED = pricing.PREMIUM_CORRECTED
    POLICY_BOUND = policies.POLICY_BOUND
    POLICY_ACTIVATED = policies.POLICY_ACTIVATED
    POLICY_ENDORSED = policies.POLICY_ENDORSED
    POLICY_CANCELLED = policies.POLICY_CANCELLED
    POLICY_LAPSED = policies.POLICY_LAPSED
    POLICY_REINSTATED = policies.POLICY_REINSTATED
    POLICY_RENEWED = policies.POLICY_RENEWED
    POLICY_EXPIRED = policies.POLICY_EXPIRED
    CLAIM_DRAFTED = claims.CLAIM_DRAFTED
    CLAIM_REPORTED = claims.CLAIM_REPORTED
    CLAIM_CHANGED = claims.CLAIM_CHANGED
    CRASH_REPORTED = alerts.CRASH_REPORTED


_TOPIC_OF: Mapping[str, str] = {
    "trip": topics.TRIPS,
    "risk_score": topics.RISK_SCORES,
    "premium": topics.PREMIUMS,
    "policy": topics.POLICIES,
    "claim": topics.CLAIMS,
    "crash": topics.ALERTS,
}
TOPICS = tuple(_TOPIC_OF.values())


def topic_of(event: EventType) -> str:
    """Return the topic that an event comes from."""
    return _TOPIC_OF[event.value.partition(".")[0]]


def types_of(topic: str) -> list[EventType]:
    """Return the events of a topic."""
    return [event for event in EventType if topic_of(event) == topic]
