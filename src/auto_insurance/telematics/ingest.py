"""The door: judges each event of an upload by itself and appends the good ones durably before it answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import msgspec

from auto_insurance.contracts import topics
from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.identity.schemas import DevicePrincipal, Scope
from auto_insurance.infra import metrics
from auto_insurance.infra.bus.protocol import EventLog
from auto_insurance.kernel import clock
from auto_insurance.kernel.errors import FieldError
from auto_insurance.telematics.contacts import ContactBook
from auto_insurance.telematics.decode import Judge
from auto_insurance.telematics.errors import EventRejected, MalformedJson, ScopeMissing, TooManyEvents, WrongShape
from auto_insurance.telematics.limits import MAX_TEXT, IngestPolicy, Reason
from auto_insurance.telematics.records import Origin, records_of
from auto_insurance.telematics.rights import RightsChecker
from auto_insurance.telematics.schemas import Sample

MAX_EVENTS = 5_000
_BREATH = 250
"""Events judged between two chances for other requests to run."""


class _Upload(msgspec.Struct):
    events: list[TelemetryEvent]


class _RawUpload(msgspec.Struct):
    events: list[msgspec.Raw]


_typed = msgspec.json.Decoder(_Upload)
_raw = msgspec.json.Decoder(_RawUpload)


@dataclass(slots=True)
class Judged:
    """One event and what became of it. ``event`` is None if it has no usable form; no reasons: accepted."""

    event: TelemetryEvent | None
    sample: Sample | None
    reasons: Sequence[Reason]

    @property
    def event_id(self) -> str | None:
        """The id that it came with or was given."""
        if self.sample is not None:
            return self.sample.event_id
        given = self.event.event_id if self.event else None
        return given if given and len(given) <= MAX_TEXT else None


class IngestService:
    """Takes uploads. Neither keeps a transaction open while the log works, nor answers before the log has it."""

    def __init__(
        self, log: EventLog, rights: RightsChecker, contacts: ContactBook, policy: IngestPolicy | None = None
    ) -> None:
        self._log = log
        self._rights = rights
        self._contacts = contacts
        self._policy = policy or IngestPolicy()

    async def batch(
        self, body: bytes, sender: DevicePrincipal, *, any_age: bool, request_id: str | None
    ) -> list[Judged]:
        """Return what became of each event of ``{"events": [...]}``; the accepted ones are durable then.

        Raises ``MalformedJson``, ``WrongShape``, ``TooManyEvents``, ``ScopeMissing``, ``LogFull``, ``LogUnavailable``;
        after any of these nothing of the upload counts as taken.
        """
        _require_scope(sender, any_age)
        parts = _parts(body)
        if len(parts) > MAX_EVENTS:
            raise TooManyEvents(f"An upload may hold {MAX_EVENTS} events; this one holds {len(parts)}.")
        return await self._take(parts, sender, any_age, request_id)

    async def one(self, body: bytes, sender: DevicePrincipal, *, any_age: bool, request_id: str | None) -> Judged:
        """Take a single event. Raises ``EventRejected`` and what :meth:`batch` raises."""
        _require_scope(sender, any_age)
        try:
            msgspec.json.decode(body, type=msgspec.Raw)
        except (msgspec.DecodeError, RecursionError) as why:
            raise MalformedJson("The body is not valid JSON.") from why
        judged = (await self._take([msgspec.Raw(body)], sender, any_age, request_id))[0]
        if judged.reasons:
            errors = [FieldError(reason.field, reason.code, reason.message) for reason in judged.reasons]
            raise EventRejected("The event is rejected: " + " ".join(error.message for error in errors), errors=errors)
        return judged

    async def _take(
        self,
        parts: Sequence[TelemetryEvent] | Sequence[msgspec.Raw],
        sender: DevicePrincipal,
        any_age: bool,
        request_id: str | None,
    ) -> list[Judged]:
        received_us = clock.to_us(clock.now())
        judge = Judge(received_us, self._policy, any_age=any_age)
        judged = []
        for number, part in enumerate(parts):
            judged.append(_judge(judge, cast("TelemetryEvent | msgspec.Raw", part)))
            if number % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
        await self._check_rights(sender, judged)
        good = [(item.event, item.sample) for item in judged if item.event and item.sample and not item.reasons]
        origin = Origin(received_us, any_age=any_age, request_id=request_id)
        records = records_of(topics.TELEMATICS_EVENTS, good, origin)
        if records:
            await self._log.append(records)
        self._account(sender, judged, received_us, any_age)
        return judged

    async def _check_rights(self, sender: DevicePrincipal, judged: Sequence[Judged]) -> None:
        claims = [(item, item.sample, item.event.driver_id) for item in judged if item.sample and item.event]
        verdicts = await self._rights.check(sender, [(sample, named) for _, sample, named in claims])
        for (item, _, _), reason in zip(claims, verdicts, strict=True):
            if reason is not None:
                item.reasons = [reason]

    def _account(self, sender: DevicePrincipal, judged: Sequence[Judged], received_us: int, any_age: bool) -> None:
        rejected = sum(1 for item in judged if item.reasons)
        source = "import" if any_age else "http"
        metrics.EVENTS_INGESTED_TOTAL.labels(source, "accepted").inc(len(judged) - rejected)
        metrics.EVENTS_INGESTED_TOTAL.labels(source, "rejected").inc(rejected)
        accepted: Counter[str] = Counter()
        newest: dict[str, int] = {}
        for item in judged:
            if item.sample is not None and not item.reasons:
                device_id = item.sample.device_id
                accepted[device_id] += 1
                newest[device_id] = max(newest.get(device_id, 0), item.sample.t_us)
        refused = _refused(sender, judged, accepted)
        for device_id in accepted.keys() | refused.keys():
            self._contacts.note(
                device_id,
                received_us,
                accepted=accepted[device_id],
                rejected=refused[device_id],
                newest_us=None if any_age else newest.get(device_id),
            )


def _refused(sender: DevicePrincipal, judged: Sequence[Judged], accepted: Counter[str]) -> Counter[str]:
    """Count refusals by device. Only devices that the sender speaks for are counted: names that it made up are not."""
    if sender.device_id is not None:
        return Counter({sender.device_id: sum(1 for item in judged if item.reasons)})
    named = (item.event.device_id for item in judged if item.reasons and item.event)
    return Counter(device_id for device_id in named if device_id in accepted)


def _require_scope(sender: DevicePrincipal, any_age: bool) -> None:
    scope = Scope.IMPORT if any_age else Scope.INGEST
    if scope not in sender.scopes:
        raise ScopeMissing(f"This needs a device key with the scope {scope.value}.")


def _parts(body: bytes) -> list[TelemetryEvent] | list[msgspec.Raw]:
    try:
        return _typed.decode(body).events
    except (msgspec.DecodeError, RecursionError):
        pass  # one bad event must not harm the rest: take them apart
    try:
        return _raw.decode(body).events
    except msgspec.ValidationError as why:
        if not _is_json(body):
            raise MalformedJson("The body is not valid JSON.") from why
        error = FieldError("body.events", "list_type", "events must be a list.")
        raise WrongShape('The body must be an object {"events": [...]}.', errors=[error]) from why
    except (msgspec.DecodeError, RecursionError) as why:
        raise MalformedJson("The body is not valid JSON.") from why


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _judge(judge: Judge, part: TelemetryEvent | msgspec.Raw) -> Judged:
    event, result = (part, judge.typed(part)) if isinstance(part, TelemetryEvent) else judge.raw(part)
    if isinstance(result, Sample):
        return Judged(event, result, ())
    return Judged(event, None, result)
