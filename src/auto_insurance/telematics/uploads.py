"""Opens uploads: their events, typed; what of them can't be read; and their own bytes, as they may go to the log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.kernel.errors import FieldError
from auto_insurance.telematics.decode import NOT_JSON, read_raw
from auto_insurance.telematics.errors import MalformedJson, TooManyEvents, WrongShape
from auto_insurance.telematics.limits import Reason

MAX_EVENTS = 5_000
_OPENING = re.compile(rb'\s*\{\s*"events"\s*:\s*(?=\[)')


class _Typed(msgspec.Struct):
    events: list[TelemetryEvent]


class _Raw(msgspec.Struct):
    events: list[msgspec.Raw]


_typed = msgspec.json.Decoder(_Typed)
_typed_list = msgspec.json.Decoder(list[TelemetryEvent])
_typed_one = msgspec.json.Decoder(TelemetryEvent)
_raw = msgspec.json.Decoder(_Raw)
_any_raw = msgspec.json.Decoder(msgspec.Raw)


@dataclass(slots=True)
class Upload:
    """The events of an upload that could be read, and where they stood."""

    total: int
    events: Sequence[TelemetryEvent]
    places: Sequence[int]
    own: bytes | None = None
    """The bytes of the array, or of the one event, if all could be read and the log may have them as they are."""
    refused: dict[int, list[Reason]] = field(default_factory=dict)
    """Place -> why it can't be read."""


def open_upload(body: bytes) -> Upload:
    """Open ``{"events": [...]}``. Raises ``MalformedJson``, ``WrongShape`` and ``TooManyEvents``."""
    upload = _open_own(body)
    if upload is None:
        try:
            events = _typed.decode(body).events
        except NOT_JSON:
            return _open_by_parts(body)  # one bad event must not harm the rest
        upload = Upload(len(events), events, range(len(events)))
    _check_count(upload.total)
    return upload


def open_event(body: bytes) -> Upload:
    """Open a single event. Raises ``MalformedJson``."""
    try:
        return Upload(1, [_typed_one.decode(body)], range(1), _usable(body))
    except NOT_JSON:
        if not _is_json(body):
            raise MalformedJson("The body is not valid JSON.") from None
    event = read_raw(body)
    if isinstance(event, TelemetryEvent):
        return Upload(1, [event], range(1))
    return Upload(1, [], [], refused={0: event})


def _open_own(body: bytes) -> Upload | None:
    """Open an upload of nothing but a list of right types: what lies between the brackets is the list, if it is one."""
    opening = _OPENING.match(body)
    if opening is None:
        return None
    end = body.rfind(b"]") + 1
    if body[end:].strip() != b"}":
        return None
    own = body[opening.end() : end]
    try:
        events = _typed_list.decode(own)
    except NOT_JSON:
        return None
    return Upload(len(events), events, range(len(events)), _usable(own))


def _usable(own: bytes) -> bytes | None:
    """Return the bytes if they are text throughout: of what nobody reads the decoder does not see to it."""
    if not own.isascii():
        try:
            own.decode()
        except UnicodeDecodeError:
            return None
    return own


def _open_by_parts(body: bytes) -> Upload:
    try:
        parts = _raw.decode(body).events
    except msgspec.ValidationError:
        if not _is_json(body):
            raise MalformedJson("The body is not valid JSON.") from None
        error = FieldError("body.events", "list_type", "events must be a list.")
        raise WrongShape('The body must be an object {"events": [...]}.', errors=[error]) from None
    except NOT_JSON:
        raise MalformedJson("The body is not valid JSON.") from None
    _check_count(len(parts))
    events: list[TelemetryEvent] = []
    places: list[int] = []
    refused: dict[int, list[Reason]] = {}
    for place, part in enumerate(parts):
        event = read_raw(part)
        if isinstance(event, TelemetryEvent):
            events.append(event)
            places.append(place)
        else:
            refused[place] = event
    return Upload(len(parts), events, places, refused=refused)


def _check_count(count: int) -> None:
    if count > MAX_EVENTS:
        raise TooManyEvents(f"An upload may hold {MAX_EVENTS} events; this one holds {count}.")


def _is_json(body: bytes) -> bool:
    try:
        _any_raw.decode(body)
    except NOT_JSON:
        return False
    return True
