"""Takes log records apart: the events of a whole batch at once when all is well, one by one where something is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec
import numpy as np

from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.kernel import clock
from auto_insurance.kernel.outcome import Dead
from auto_insurance.telematics import bulk
from auto_insurance.telematics.columns import Codes, Columns
from auto_insurance.telematics.limits import IngestPolicy, Reason, ReasonCode
from auto_insurance.telematics.validate import DEFAULT_POLICY, read_event

HEADER_RECEIVED_AT = "received_at"
"""Microseconds since the epoch, decimal."""
HEADER_SOURCE = "source"
HEADER_SCOPE = "scope"
HEADER_REQUEST_ID = "request_id"
HEADER_TRACEPARENT = "traceparent"
SCOPE_IMPORT = "import"
MAX_EVENTS_PER_RECORD = 5_000

NOT_JSON = (msgspec.DecodeError, RecursionError, ValueError)
"""What decoders raise for bytes that are no JSON, or not of the wanted form."""
_SPACE = b" \t\r\n"
_NO_RECORD = Dead("malformed", "The record is not valid JSON.")
_TOO_MANY = Dead("invalid", f"The record holds more than {MAX_EVENTS_PER_RECORD} events.")

_typed_one = msgspec.json.Decoder(TelemetryEvent)
_typed = msgspec.json.Decoder(list[TelemetryEvent])
_raw = msgspec.json.Decoder(list[msgspec.Raw])
_raw_one = msgspec.json.Decoder(msgspec.Raw)
_any = msgspec.json.Decoder()


class LogRecord(Protocol):
    """What is needed of a record of the log."""

    @property
    def value(self) -> bytes: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def appended_at(self) -> datetime: ...


DeadEvent = tuple[int, int | None, Dead, bytes]
"""Number of the record, place in it (None: the record as a whole), reason ``malformed`` or ``invalid``, own bytes."""


@dataclass(slots=True)
class DecodedBatch:
    """The events of many records: what is right as columns, without drivers; the rest with its reasons."""

    columns: Columns
    record: Codes
    """Number of each event's record in the batch."""
    index: Codes
    """Each event's place in its record, -1 if the record is one bare event."""
    dead: list[DeadEvent]


def decode_records(records: Sequence[LogRecord], policy: IngestPolicy = DEFAULT_POLICY) -> DecodedBatch:
    """Return what records of the log hold. Never raises, whatever they hold.

    The time that the door wrote into the headers counts as arrival; a record without it arrived when the log took it.
    """
    gathered = _Gathered()
    for number, record in enumerate(records):
        gathered.add(number, record)
    counts = np.array(gathered.counts, np.int64)
    number_of = np.repeat(np.array(gathered.numbers, np.int32), counts)
    offsets = np.cumsum(counts) - counts - np.array(gathered.firsts, np.int64)
    index_of = (np.arange(len(number_of)) - np.repeat(offsets, counts)).astype(np.int32)
    received_us = np.repeat(np.array(gathered.received_us, np.int64), counts)
    any_age = np.repeat(np.array(gathered.any_age, np.bool_), counts) if any(gathered.any_age) else False
    judged = bulk.judge(gathered.events, received_us, policy, any_age)
    columns, dead = judged.columns, gathered.dead
    if judged.refused:
        dead += _dead_events(records, number_of, index_of, judged.refused)
        good = judged.accepted()
        columns, number_of, index_of = bulk.kept(columns, good), number_of[good], index_of[good]
    bulk.derive_ids(columns)
    return DecodedBatch(columns, number_of, index_of, dead)


def read_raw(raw: bytes | msgspec.Raw) -> TelemetryEvent | list[Reason]:
    """Return the typed event that these bytes hold, or why there is none."""
    try:
        value = _any.decode(raw)
    except NOT_JSON:
        return [Reason(ReasonCode.MALFORMED, "", "The event is not valid JSON.")]
    return read_event(value)


class _Gathered:
    """The events of many records, one after the other, and runs of them that have one origin."""

    def __init__(self) -> None:
        self.events: list[TelemetryEvent] = []
        self.numbers: list[int] = []
        self.counts: list[int] = []
        self.firsts: list[int] = []
        """The place of each run's first event in its record, -1 for a bare event."""
        self.received_us: list[int] = []
        self.any_age: list[bool] = []
        self.dead: list[DeadEvent] = []

    def add(self, number: int, record: LogRecord) -> None:
        """Take a record apart."""
        value = record.value
        bare = not _is_array(value)
        try:
            events = [_typed_one.decode(value)] if bare else _typed.decode(value)
        except NOT_JSON:
            self._add_by_parts(number, record, bare)
            return
        if len(events) > MAX_EVENTS_PER_RECORD:
            self.dead.append((number, None, _TOO_MANY, value))
        else:
            self._run(number, record, -1 if bare else 0, events)

    def _add_by_parts(self, number: int, record: LogRecord, bare: bool) -> None:
        """Take a record apart of which something is wrong, event by event."""
        value = record.value
        try:
            parts = [_raw_one.decode(value)] if bare else _raw.decode(value)
        except NOT_JSON:
            self.dead.append((number, None, _NO_RECORD, value))
            return
        if len(parts) > MAX_EVENTS_PER_RECORD:
            self.dead.append((number, None, _TOO_MANY, value))
            return
        for place, part in enumerate(parts):
            event = read_raw(part)
            if isinstance(event, TelemetryEvent):
                self._run(number, record, -1 if bare else place, [event])
            else:
                self.dead.append((number, None if bare else place, _dead_of(event), bytes(part)))

    def _run(self, number: int, record: LogRecord, first: int, events: list[TelemetryEvent]) -> None:
        headers = record.headers
        self.events += events
        self.numbers.append(number)
        self.counts.append(len(events))
        self.firsts.append(first)
        self.received_us.append(_received_us(headers, clock.to_us(record.appended_at)))
        self.any_age.append(headers.get(HEADER_SCOPE) == SCOPE_IMPORT)


def _is_array(value: bytes) -> bool:
    return value.startswith(b"[") or value.lstrip(_SPACE).startswith(b"[")


def _dead_events(
    records: Sequence[LogRecord], number_of: Codes, index_of: Codes, refused: Mapping[int, list[Reason]]
) -> list[DeadEvent]:
    """Return what is refused, each with its own bytes as they came."""
    found: list[DeadEvent] = []
    opened, parts = -1, list[msgspec.Raw]()
    for place, reasons in refused.items():
        number, index = int(number_of[place]), int(index_of[place])
        value = records[number].value
        if index < 0:
            found.append((number, None, _dead_of(reasons), value))
            continue
        if number != opened:
            opened, parts = number, _raw.decode(value)
        found.append((number, index, _dead_of(reasons), bytes(parts[index])))
    return found


def _dead_of(reasons: Sequence[Reason]) -> Dead:
    malformed = reasons[0].code is ReasonCode.MALFORMED
    detail = "; ".join(f"{reason.code}: {reason.message}" for reason in reasons)
    return Dead("malformed" if malformed else "invalid", detail[:1000])


def _received_us(headers: Mapping[str, str], arrival_us: int) -> int:
    text = headers.get(HEADER_RECEIVED_AT, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        return arrival_us
    return min(int(text), arrival_us)
