"""The wire as machines read it: JSON Schema of every record, and an AsyncAPI file of the topics.

Both are made from the structs of ``contracts`` and from the topics, so that they can't say anything else than the code.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_type_hints

import msgspec

from auto_insurance import __version__
from auto_insurance.contracts import topics
from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.kernel.events import Envelope
from auto_insurance.telematics import decode
from auto_insurance.telematics.schemas import EventType
from tools.domain_events import Contract, all_contracts

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_FILE, ASYNCAPI_FILE = "wire.schema.json", "asyncapi.json"
RECORD = "TelemetryRecord"
_LIMITS: Mapping[str, dict[str, Any]] = {
    "latitude": {"minimum": -90, "maximum": 90},
    "longitude": {"minimum": -180, "maximum": 180},
}
Schema = dict[str, Any]


def message_name(type_: str) -> str:
    """Return the name of a domain event's schema: ``trip.completed`` is ``TripCompletedEvent``."""
    return "".join(part.capitalize() for part in type_.replace("_", ".").split(".")) + "Event"


def schemas(ref: str = "#/$defs/") -> dict[str, Schema]:
    """Return every schema by name: the structs, the record of telemetry, and one message per domain event."""
    contracts = all_contracts()
    structs: list[type[msgspec.Struct]] = [TelemetryEvent, Envelope, *(contract.payload for contract in contracts)]
    _, found = msgspec.json.schema_components(structs, ref_template=ref + "{name}")
    for schema in found.values():
        if "description" in schema:
            schema["description"] = inspect.cleandoc(schema["description"])
    for struct in structs:
        for name, hint in get_type_hints(struct).items():
            if hint is datetime:  # the generator says so only of those that demand a time zone
                found[struct.__name__]["properties"][name]["format"] = "date-time"
    _bound(found[TelemetryEvent.__name__])
    found[RECORD] = {
        "title": RECORD,
        "description": "The value of a record: one event, or an array of events of one device, in any order.",
        "oneOf": [
            {"$ref": f"{ref}{TelemetryEvent.__name__}"},
            {
                "type": "array",
                "items": {"$ref": f"{ref}{TelemetryEvent.__name__}"},
                "maxItems": decode.MAX_EVENTS_PER_RECORD,
            },
        ],
    }
    for contract in contracts:
        for type_ in contract.types:
            found[message_name(type_)] = _message(contract, type_, ref)
    return dict(sorted(found.items()))


def _bound(event: Schema) -> None:
    """Say what the door refuses besides wrong types."""
    fields = event["properties"]
    fields["event_type"]["enum"] = [kind.value for kind in EventType]
    for name, limits in _LIMITS.items():
        fields[name]["anyOf"] = [
            {**kind, **limits} if kind["type"] == "number" else kind for kind in fields[name]["anyOf"]
        ]


def _message(contract: Contract, type_: str, ref: str) -> Schema:
    own = {
        "type": {"const": type_},
        "version": {"const": contract.version},
        "data": {"$ref": f"{ref}{contract.payload.__name__}"},
    }
    return {
        "title": message_name(type_),
        "description": f"`{type_}` on the topic `{contract.topic}`.",
        "allOf": [{"$ref": f"{ref}{Envelope.__name__}"}, {"type": "object", "properties": own}],
    }


def render_schema() -> str:
    """Return ``wire.schema.json``; a record is checked against one of its ``$defs``."""
    document = {
        "$schema": DIALECT,
        "title": "Records of the event log",
        "description": f"Generated from auto_insurance.contracts. Telemetry: $defs/{RECORD}; each domain event has a "
        "schema named after its type.",
        "$defs": schemas(),
    }
    return _json(document)


def render_asyncapi() -> str:
    """Return ``asyncapi.json``."""
    contracts = {contract.topic: contract for contract in all_contracts()}
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Auto-Insurance event log",
            "version": __version__,
            "description": "Topics of the event log, in Apache Kafka (EVENT_LOG=kafka) or in PostgreSQL. Delivery is "
            "at least once; records of one key stay in order.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {_channel(spec.name): _channel_of(spec, contracts.get(spec.name)) for spec in topics.ALL},
        "operations": _operations(contracts),
        "components": {"messages": _messages(contracts), "schemas": schemas("#/components/schemas/")},
    }
    return _json(document)


def _channel(topic: str) -> str:
    return topic.replace(".", "-")


def _names(topic: str, contract: Contract | None) -> list[str]:
    if topic == topics.TELEMATICS_EVENTS:
        return [RECORD]
    return [message_name(type_) for type_ in contract.types] if contract is not None else []


def _channel_of(spec: topics.TopicSpec, contract: Contract | None) -> dict[str, Any]:
    return {
        "address": spec.name,
        "description": f"Keyed by {spec.key}; kept for {spec.retention_days} days at least.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _names(spec.name, contract)},
        "bindings": {
            "kafka": {
                "topic": spec.name,
                "partitions": spec.partitions,
                "topicConfiguration": {"retention.ms": spec.retention_days * 86_400_000},
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operations(contracts: Mapping[str, Contract]) -> dict[str, Any]:
    """The application receives telemetry and sends domain events."""
    found = {}
    for spec in topics.ALL:
        channel = _channel(spec.name)
        receives = spec.name == topics.TELEMATICS_EVENTS
        found[f"{'receive' if receives else 'send'}-{channel}"] = {
            "action": "receive" if receives else "send",
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": [
                {"$ref": f"#/channels/{channel}/messages/{name}"}
                for name in _names(spec.name, contracts.get(spec.name))
            ],
        }
    return found


def _messages(contracts: Mapping[str, Contract]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for spec in topics.ALL:
        for name in _names(spec.name, contracts.get(spec.name)):
            found[name] = {
                "name": name,
                "contentType": "application/json",
                "payload": {"$ref": f"#/components/schemas/{name}"},
                "bindings": {"kafka": {"key": {"type": "string", "description": spec.key}, "bindingVersion": "0.5.0"}},
            }
    found[RECORD]["headers"] = {
        "type": "object",
        "description": "All optional: a producer of its own may send none. Values are text.",
        "properties": {
            decode.HEADER_RECEIVED_AT: {"type": "string", "description": "Arrival, microseconds since the Unix epoch."},
            decode.HEADER_SOURCE: {"type": "string", "enum": ["http", "import"]},
            decode.HEADER_SCOPE: {
                "type": "string",
                "enum": ["ingest", decode.SCOPE_IMPORT],
                "description": f"`{decode.SCOPE_IMPORT}` takes events of any age.",
            },
            decode.HEADER_REQUEST_ID: {"type": "string"},
            decode.HEADER_TRACEPARENT: {"type": "string", "description": "W3C trace context, of traced uploads."},
        },
    }
    return found


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
