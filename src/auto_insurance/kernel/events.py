"""The envelope that every domain event travels in."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from auto_insurance.kernel import clock, ids


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A domain event on the log.

    ``id`` is stable over retries: handlers note it to make their effect once. ``type`` is dotted and past
    tense (``trip.completed``); ``version`` counts incompatible changes of ``data``. ``key`` orders events:
    those of one key stay in order. ``data`` is the JSON form of the payload struct in ``contracts``.
    """

    id: UUID
    type: str
    version: int
    key: str
    occurred_at: datetime
    data: dict[str, Any]
    request_id: str | None = None
    traceparent: str | msgspec.UnsetType = msgspec.UNSET
    """The trace that it belongs to (W3C), if that is traced."""


def new_event(payload: msgspec.Struct, *, type: str, version: int, key: str, request_id: str | None = None) -> Envelope:
    """Wrap a payload of ``contracts`` in a new envelope with a fresh id and the current time."""
    data: dict[str, Any] = msgspec.to_builtins(payload)
    return Envelope(
        id=ids.new_uuid(),
        type=type,
        version=version,
        key=key,
        occurred_at=clock.now(),
        data=data,
        request_id=request_id,
    )


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)


def encode(event: Envelope) -> bytes:
    """Return the event's JSON."""
    return _encoder.encode(event)


def decode(raw: bytes) -> Envelope:
    """Read an event. Raises ``msgspec.ValidationError`` or ``msgspec.DecodeError``."""
    return _decoder.decode(raw)
