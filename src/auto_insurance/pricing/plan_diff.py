"""What differs between two rating plans, place by place."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from auto_insurance.pricing.plan_parts import RatingPlan


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A place of the plans and what stands there; None where one of them has nothing."""

    place: str
    old: str | None
    new: str | None


def differences(old: RatingPlan, new: RatingPlan) -> list[Difference]:
    """Return the places that differ, in the order of the plans' tables. Numbers differ by value: 1.0 is 1.00."""
    before, after = dict(_leaves("", _plain(old))), dict(_leaves("", _plain(new)))
    return [
        Difference(place=place, old=_text(before.get(place)), new=_text(after.get(place)))
        for place in dict.fromkeys([*before, *after])
        if before.get(place) != after.get(place)
    ]


def _plain(plan: RatingPlan) -> Any:
    return msgspec.to_builtins(plan, builtin_types=(Decimal,))


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{place}.{key}" if place else str(key), inner)
    elif isinstance(value, list | tuple) and value and isinstance(value[0], list | tuple | dict):
        for index, inner in enumerate(value):
            yield from _leaves(f"{place}[{index}]", inner)
    else:
        yield place, value


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
