"""The JSON Schema of rating plans, from the structs that read them: editors check a plan while it is written."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from auto_insurance.pricing.plan_parts import RatingPlan

SCHEMA_FILE = "rating-plan.schema.json"


def render_schema() -> str:
    """Return the schema as text. What must hold among the numbers is said by ``plan validate`` alone."""
    schema = _numbers(msgspec.json.schema(RatingPlan))
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Rating plan"}
    return json.dumps({**head, **schema}, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _numbers(part: Any) -> Any:
    """Return the schema with decimals as numbers, which they are in TOML; elsewhere they travel as text."""
    if isinstance(part, list):
        return [_numbers(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    if part.get("format") == "decimal":
        return {**{key: value for key, value in part.items() if key != "format"}, "type": "number"}
    return {key: _plain(key, value) for key, value in part.items()}


def _plain(key: str, value: Any) -> Any:
    return float(value) if key == "default" and isinstance(value, str) and _is_number(value) else _numbers(value)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()
