"""What is sent fits the contract of the event, and holds no sentence that a person wrote."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from tools.domain_events import all_contracts

from auto_insurance.contracts import topics
from auto_insurance.kernel.events import Envelope
from auto_insurance.webhooks.catalogue import TOPICS, EventType, topic_of, types_of
from auto_insurance.webhooks.handlers import GROUPS
from auto_insurance.webhooks.messages import body_of, message_id, ping_body
from auto_insurance.webhooks.views import _PAYLOADS, event_types

EVENT = UUID("0190c0de-0000-7000-8000-000000000000")
AT = datetime(2026, 6, 1, tzinfo=UTC)


def _event(**data: object) -> Envelope:
    return Envelope(id=EVENT, type="policy.cancelled", version=1, key="DRV001", occurred_at=AT, data=data)


def test_every_domain_event_can_be_asked_for() -> None:
    """All but dead letters, which are the operators'."""
    published = {
        type_: contract
        for contract in all_contracts()
        for type_ in contract.types
        if contract.topic != topics.TELEMATICS_DLQ
    }
    assert {event.value for event in EventType} == published.keys()
    for event in EventType:
        assert topic_of(event) == published[event.value].topic
        assert _PAYLOADS[event.value.partition(".")[0]] is published[event.value].payload
    assert {topic: types_of(topic) for topic in TOPICS}.keys() == set(GROUPS.values())
    assert len(event_types().items) == len(EventType)


def test_the_body_is_the_event_without_its_envelope() -> None:
    assert json.loads(body_of(_event(driver_id="DRV001", reason="trip.amended"))) == {
        "type": "policy.cancelled",
        "version": 1,
        "timestamp": "2026-06-01T00:00:00Z",
        "data": {"driver_id": "DRV001", "reason": "trip.amended"},
    }
    assert body_of(_event(a=1)) == body_of(_event(a=1))


@pytest.mark.parametrize("reason", ["Moved in with Ann, 555-0100", "a" * 65, "Non payment", ""])
def test_sentences_stay_here(reason: str) -> None:
    assert json.loads(body_of(_event(reason=reason)))["data"]["reason"] == ""


def test_ids_are_stable() -> None:
    assert message_id(EVENT) == "msg_0190c0de000070008000000000000000"
    assert json.loads(ping_body(EVENT, AT))["data"] == {"webhook_id": str(EVENT)}
