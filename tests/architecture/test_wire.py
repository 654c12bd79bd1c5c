"""The schemas of the wire hold for what devices send and for what the product publishes, and for nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from tools import wire
from tools.domain_events import Contract, all_contracts

from auto_insurance.contracts import topics
from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.devicekit.simulator.fleet import FleetOptions
from auto_insurance.devicekit.simulator.steady import SteadyLoad
from auto_insurance.kernel.events import encode, new_event
from auto_insurance.telematics.records import Origin, records_of
from tests.support.driving import day_out
from tests.support.trips import START_US
from tests.support.wire import wrong


def test_what_the_door_writes_fits() -> None:
    events = [msgspec.convert(event, TelemetryEvent) for event in day_out("CAR-1", START_US)]
    origin = Origin(START_US, any_age=False, request_id="r", traceparent="00-1-2-01")
    one, many = records_of("t", events[:1], origin), records_of("t", events, origin)
    for record in (*one, *many):
        assert wrong(wire.RECORD, json.loads(record.value)) == []
    channel = json.loads(wire.render_asyncapi())["components"]["messages"][wire.RECORD]
    assert set(origin.headers()) == set(channel["headers"]["properties"])


def test_what_the_simulator_sends_fits() -> None:
    """Its events are logged in the bytes that it sent."""
    load = SteadyLoad(FleetOptions(size=1, seed=3), ["CAR-1", "CAR-2"], traces=2)
    start = datetime(2026, 1, 5, tzinfo=UTC)
    events = [event for _, event in load.stream(start, start + timedelta(minutes=10))]
    kinds = {event.get("event_type", "normal") for event in events}
    assert len(events) == 1200
    assert "normal" in kinds
    assert wrong(wire.RECORD, events) == []


@pytest.mark.parametrize(
    "event",
    [
        {"device_id": "a"},
        {"device_id": "a", "timestamp": None},
        {"device_id": "a", "timestamp": 1, "latitude": 91},
        {"device_id": "a", "timestamp": 1, "event_type": "flying"},
        {"device_id": "a", "timestamp": 1, "speed": "fast"},
    ],
)
def test_what_the_door_refuses_does_not(event: dict[str, Any]) -> None:
    assert wrong(wire.RECORD, event)
    assert wrong(wire.RECORD, [event])


def _example(contract: Contract) -> msgspec.Struct:
    """Return a payload with some value in every field."""
    values = {"string": "x", "integer": 1, "number": 1.5, "boolean": True, "null": None, "array": []}
    formats = {
        "uuid": "0190c0de-0000-7000-8000-000000000000",
        "date-time": "2026-01-01T00:00:00Z",
        "date": "2026-01-01",
    }
    fields = wire.schemas()[contract.payload.__name__]["properties"]
    data = {}
    for name, schema in fields.items():
        kind = schema["anyOf"][0] if "anyOf" in schema else schema
        data[name] = formats.get(kind.get("format", ""), "eA==" if "contentEncoding" in kind else values[kind["type"]])
    return msgspec.convert(data, contract.payload, strict=False)


@pytest.mark.parametrize("contract", all_contracts(), ids=lambda contract: contract.topic)
def test_domain_events_fit_their_own_schema_alone(contract: Contract) -> None:
    for type_ in contract.types:
        event = new_event(_example(contract), type=type_, version=contract.version, key="k")
        value = json.loads(encode(event))
        assert wrong(wire.message_name(type_), value) == []
        assert wrong(wire.message_name(type_), {**value, "type": "something.else"})
        assert wrong(wire.message_name(type_), {**value, "version": contract.version + 1})
        assert wrong(wire.message_name(type_), {**value, "data": {}})
        assert wrong(wire.message_name(type_), {**value, "id": "not-a-uuid"})


def test_the_asyncapi_file_names_every_topic_and_every_reference_leads_somewhere() -> None:
    document = json.loads(wire.render_asyncapi())
    assert {channel["address"] for channel in document["channels"].values()} == {spec.name for spec in topics.ALL}
    assert all(channel["messages"] for channel in document["channels"].values())
    references = list(_references(document))
    assert len(references) > 30
    for reference in references:
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def _references(node: Any) -> Any:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _references(child)
