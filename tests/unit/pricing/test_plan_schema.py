"""The schema takes every plan that ships, and refuses what the reader refuses for its form."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from typing import Any

import jsonschema
import pytest

from auto_insurance.pricing.plan import shipped_document, shipped_plans
from auto_insurance.pricing.plan_schema import render_schema

SCHEMA = json.loads(render_schema())


def _content(name: str) -> dict[str, Any]:
    content = tomllib.loads(shipped_document(name))
    first: date = content["plan"]["effective_from"]
    return {**content, "plan": {**content["plan"], "effective_from": first.isoformat()}}


def _check(content: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(content)


@pytest.mark.parametrize("name", shipped_plans())
def test_shipped_plans_fit(name: str) -> None:
    _check(_content(name))


def test_an_unknown_table_a_missing_one_and_a_wrong_type_do_not() -> None:
    good = _content("standard-2")
    for bad in (
        {**good, "colours": {}},
        {key: value for key, value in good.items() if key != "telematics"},
        {**good, "taxes": {"CA": "two percent"}},
        {**good, "maximum_discount": {"total": 0.4, "of": "everything"}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            _check(bad)
