"""Takes uploads and log records apart: typed at full speed when all is well, event by event when something is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.kernel.outcome import Dead
from auto_insurance.telematics.limits import IngestPolicy, Reason, ReasonCode
from auto_insurance.telematics.schemas import Decoded, Sample
from auto_insurance.telematics.validate import DEFAULT_POLICY, normalise, normalise_json

HEADER_RECEIVED_AT = "received_at"
"""Microseconds since the epoch, decimal."""
HEADER_SOURCE = "source"
HEADER_SCOPE = "scope"
HEADER_REQUEST_ID = "request_id"
SCOPE_IMPORT = "import"
MAX_EVENTS_PER_RECORD = 5_000

_typed = msgspec.json.Decoder(list[TelemetryEvent])
_raw = msgspec.json.Decoder(list[msgspec.Raw])
_raw_one = msgspec.json.Decoder(msgspec.Raw)
_any = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode

Checked = tuple[TelemetryEvent | None, Sample | list[Reason]]


class Judge:
    """Judges events of one upload: all have the same arrival and the same rights."""

    def __init__(self, received_us: int, policy: IngestPolicy, *, any_age: bool) -> None:
        self._received_us = received_us
        self._policy = policy
        self._any_age = any_age

    def typed(self, event: TelemetryEvent) -> Sample | list[Reason]:
        """Judge a typed event."""
        now = self._received_us
        return normalise(event, received_us=now, now_us=now, policy=self._policy, any_age=self._any_age)

    def raw(self, raw: bytes | msgspec.Raw) -> Checked:
        """Judge one event's own bytes."""
        try:
            value = _any.decode(raw)
        except (msgspec.DecodeError, RecursionError, ValueError):
            return None, [Reason(ReasonCode.MALFORMED, "", "The event is not valid JSON.")]
        now = self._received_us
        return normalise_json(value, received_us=now, now_us=now, policy=self._policy, any_age=self._any_age)


def split(value: bytes) -> list[TelemetryEvent] | list[msgspec.Raw]:
    """Return the events of a record, typed if all have the right types. Raises ``msgspec.DecodeError``."""
    if not value.lstrip(b" \t\r\n").startswith(b"["):
        return [_raw_one.decode(value)]
    try:
        return _typed.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return _raw.decode(value)


def decode_record(
    value: bytes, headers: Mapping[str, str], arrival_us: int, policy: IngestPolicy = DEFAULT_POLICY
) -> list[Decoded]:
    """Return what a record of the log holds, one entry per event; a record that is no JSON gives one dead entry.

    The time that the door wrote into the headers counts as arrival; a record without it arrived when the log took it.
    """
    received_us = _received_us(headers, arrival_us)
    judge = Judge(received_us, policy, any_age=headers.get(HEADER_SCOPE) == SCOPE_IMPORT)
    try:
        parts = split(value)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return [Decoded(index=None, dead=Dead("malformed", "The record is not valid JSON."), value=value)]
    if len(parts) > MAX_EVENTS_PER_RECORD:
        detail = f"The record holds more than {MAX_EVENTS_PER_RECORD} events."
        return [Decoded(index=None, dead=Dead("invalid", detail), value=value)]
    return [_decoded(index, cast("TelemetryEvent | msgspec.Raw", part), judge) for index, part in enumerate(parts)]


def _decoded(index: int, part: TelemetryEvent | msgspec.Raw, judge: Judge) -> Decoded:
    if isinstance(part, TelemetryEvent):
        result = judge.typed(part)
        if isinstance(result, Sample):
            return Decoded(index=index, sample=result)
        return _dead(index, result, _encode(part))
    _, result = judge.raw(part)
    if isinstance(result, Sample):
        return Decoded(index=index, sample=result)
    return _dead(index, result, bytes(part))


def _dead(index: int, reasons: Sequence[Reason], value: bytes) -> Decoded:
    malformed = reasons[0].code is ReasonCode.MALFORMED
    detail = "; ".join(f"{reason.code}: {reason.message}" for reason in reasons)
    return Decoded(index=index, dead=Dead("malformed" if malformed else "invalid", detail[:1000]), value=value)


def _received_us(headers: Mapping[str, str], arrival_us: int) -> int:
    text = headers.get(HEADER_RECEIVED_AT, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        return arrival_us
    return min(int(text), arrival_us)
