"""Checks values against the schemas of the wire."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from tools import wire


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(wire.render_schema())
    Draft202012Validator.check_schema(document)
    return document


@cache
def _validator(name: str) -> Draft202012Validator:
    document = _document()
    schema = {"$schema": wire.DIALECT, "$ref": f"#/$defs/{name}", "$defs": document["$defs"]}
    return Draft202012Validator(schema, format_checker=FormatChecker())


def wrong(name: str, value: Any) -> list[str]:
    """Return what the schema of that name says against a value."""
    return [error.message for error in _validator(name).iter_errors(value)]


def wrong_event(value: bytes) -> list[str]:
    """Return what the schema of a domain event's own type says against its record."""
    event = json.loads(value)
    return wrong(wire.message_name(event["type"]), event)
