"""The free-form part of an event: bounded, and brought to one form that survives a round trip through jsonb."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

import msgspec

from auto_insurance.telematics.limits import MAX_EXTRA_BYTES, MAX_EXTRA_DEPTH

_encode = msgspec.json.Encoder(order="sorted").encode
_INT64 = 2**63


class _NotAllowed(Exception):
    """Something that can't be stored."""


def canonical_extra(value: Mapping[str, Any] | None) -> tuple[str | None, str | None]:
    """Return the canonical JSON of ``extra`` (None if empty) and, if it is refused, a sentence why."""
    if not value:
        return None, None
    try:
        raw = _encode(_canonical(value, MAX_EXTRA_DEPTH))
    except _NotAllowed as why:
        return None, str(why)
    if len(raw) > MAX_EXTRA_BYTES:
        return None, f"extra must be at most {MAX_EXTRA_BYTES} bytes of JSON."
    return raw.decode(), None


def _canonical(value: object, depth: int) -> object:
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if depth == 0:
        raise _NotAllowed(f"extra must not be nested deeper than {MAX_EXTRA_DEPTH} levels.")
    if isinstance(value, Mapping):
        _bounded(len(value))
        return {_text(key): _canonical(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        _bounded(len(value))
        return [_canonical(item, depth - 1) for item in value]
    raise _NotAllowed("extra must be plain JSON.")


def _bounded(count: int) -> None:
    if count > MAX_EXTRA_BYTES:
        raise _NotAllowed(f"extra must be at most {MAX_EXTRA_BYTES} bytes of JSON.")


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_EXTRA_BYTES:
        raise _NotAllowed(f"extra must be at most {MAX_EXTRA_BYTES} bytes of JSON.")
    if "\x00" in value:
        raise _NotAllowed("extra must not contain NUL characters.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _NotAllowed("extra must be valid Unicode.") from None
    return value


def _number(value: float) -> float:
    """Give equal numbers one form: jsonb keeps values, not spellings."""
    try:
        as_float = float(value)
    except OverflowError:
        as_float = float("inf")
    if not isfinite(as_float):
        raise _NotAllowed("extra must not contain numbers beyond double precision.")
    whole = as_float.is_integer() and -_INT64 < as_float < _INT64
    return int(value) if whole else as_float
