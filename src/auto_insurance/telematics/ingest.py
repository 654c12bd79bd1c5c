"""The door: judges each event of an upload by itself and appends the good ones durably before it answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auto_insurance.contracts import topics
from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.identity.schemas import DevicePrincipal, Scope
from auto_insurance.infra import metrics, tracing
from auto_insurance.infra.bus.protocol import EventLog, NewRecord
from auto_insurance.kernel import clock
from auto_insurance.kernel.errors import FieldError
from auto_insurance.telematics.archived import ArchiveWatch
from auto_insurance.telematics.contacts import ContactBook
from auto_insurance.telematics.errors import EventRejected, ScopeMissing
from auto_insurance.telematics.judging import JudgeQueue, Verdicts
from auto_insurance.telematics.limits import MAX_TEXT, IngestPolicy, Reason, ReasonCode
from auto_insurance.telematics.records import Origin, record_of, records_of
from auto_insurance.telematics.rights import RightsChecker
from auto_insurance.telematics.uploads import Upload, open_event, open_upload
from auto_insurance.telematics.withheld import WithheldWatch


@dataclass(slots=True)
class Receipt:
    """What became of an upload: all of it is accepted, and durable, except what is refused."""

    total: int
    refused: dict[int, list[Reason]]
    """Place -> reasons."""
    upload: Upload
    verdicts: Verdicts

    @property
    def accepted(self) -> int:
        """How many events are durable."""
        return self.total - len(self.refused)

    def given_id(self, place: int) -> str | None:
        """Return the id that an event came with, if it has a usable one."""
        places = self.upload.places
        number = place if len(places) == self.total else next((n for n, p in enumerate(places) if p == place), None)
        given = None if number is None else self.upload.events[number].event_id
        return given if given and len(given) <= MAX_TEXT else None

    def accepted_ids(self) -> dict[int, str]:
        """Return the ids that the accepted events came with or were given, by place."""
        ids = zip(self.upload.places, self.verdicts.event_ids(), strict=True)
        return {place: event_id for place, event_id in ids if event_id is not None}


class IngestService:
    """Takes uploads. Neither keeps a transaction open while the log works, nor answers before the log has it."""

    def __init__(
        self,
        log: EventLog,
        rights: RightsChecker,
        contacts: ContactBook,
        policy: IngestPolicy | None = None,
        archive: ArchiveWatch | None = None,
        withheld: WithheldWatch | None = None,
    ) -> None:
        self._log = log
        self._rights = rights
        self._contacts = contacts
        self.policy = policy or IngestPolicy()
        self._judges = JudgeQueue(self.policy)
        self._archive = archive
        self._withheld = withheld

    async def batch(self, body: bytes, sender: DevicePrincipal, *, any_age: bool, request_id: str | None) -> Receipt:
        """Return what became of each event of ``{"events": [...]}``; the accepted ones are durable then.

        Raises ``MalformedJson``, ``WrongShape``, ``TooManyEvents``, ``ScopeMissing``, ``LogFull``, ``LogUnavailable``;
        after any of these nothing of the upload counts as taken.
        """
        _require_scope(sender, any_age)
        return await self._take(open_upload(body), sender, any_age, request_id)

    async def one(self, body: bytes, sender: DevicePrincipal, *, any_age: bool, request_id: str | None) -> str:
        """Take a single event; return its id. Raises ``EventRejected`` and what :meth:`batch` raises."""
        _require_scope(sender, any_age)
        receipt = await self._take(open_event(body), sender, any_age, request_id)
        if receipt.refused:
            errors = [FieldError(reason.field, reason.code, reason.message) for reason in receipt.refused[0]]
            raise EventRejected("The event is rejected: " + " ".join(error.message for error in errors), errors=errors)
        return receipt.given_id(0) or receipt.accepted_ids()[0]

    async def _take(self, upload: Upload, sender: DevicePrincipal, any_age: bool, request_id: str | None) -> Receipt:
        if any_age and self._archive is not None:
            await self._archive.refresh()
        received_us = clock.to_us(clock.now())
        verdicts = await self._judges.judge(upload.events, received_us, any_age=any_age)
        for number, reason in (await self._rights.check(sender, verdicts)).items():
            verdicts.refused[number] = [reason]
        if self._withheld is not None:
            await self._withheld.refuse(verdicts)
        with tracing.span(f"append {topics.TELEMATICS_EVENTS}", kind="producer"):
            origin = Origin(received_us, any_age=any_age, request_id=request_id, traceparent=tracing.current())
            records = _records(upload, verdicts, origin)
            if records:
                await self._log.append(records)
        places = upload.places
        refused = upload.refused | {places[number]: reasons for number, reasons in verdicts.refused.items()}
        receipt = Receipt(upload.total, dict(sorted(refused.items())), upload, verdicts)
        self._account(sender, receipt, received_us, any_age)
        return receipt

    def _account(self, sender: DevicePrincipal, receipt: Receipt, received_us: int, any_age: bool) -> None:
        source = "import" if any_age else "http"
        metrics.EVENTS_INGESTED_TOTAL.labels(source, "accepted").inc(receipt.accepted)
        if receipt.refused:
            metrics.EVENTS_INGESTED_TOTAL.labels(source, "rejected").inc(len(receipt.refused))
        for device_id, accepted, rejected, newest_us in _by_device(sender, receipt):
            self._contacts.note(
                device_id,
                received_us,
                accepted=accepted,
                rejected=rejected,
                newest_us=None if any_age else newest_us,
            )


def _require_scope(sender: DevicePrincipal, any_age: bool) -> None:
    scope = Scope.IMPORT if any_age else Scope.INGEST
    if scope not in sender.scopes:
        raise ScopeMissing(f"This needs a device key with the scope {scope.value}.")


def _records(upload: Upload, verdicts: Verdicts, origin: Origin) -> list[NewRecord]:
    """Return the accepted events as records: as they came if they are all of the upload and of one device."""
    if not upload.events:
        return []
    if upload.own is not None and not verdicts.refused and len(devices := verdicts.devices) == 1:
        record = record_of(topics.TELEMATICS_EVENTS, devices[0], upload.own, origin)
        if record is not None:
            return [record]
    return records_of(topics.TELEMATICS_EVENTS, accepted_events(upload.events, verdicts), origin)


def accepted_events(events: Sequence[TelemetryEvent], verdicts: Verdicts) -> list[TelemetryEvent]:
    """Return the events that are not refused."""
    refused = verdicts.refused
    return [event for number, event in enumerate(events) if number not in refused]


def _by_device(sender: DevicePrincipal, receipt: Receipt) -> list[tuple[str, int, int, int | None]]:
    """Return (device, accepted, rejected, newest event time) of the devices that the sender speaks for.

    Names that it made up are not counted. If all events of a device are refused for lying in the future, it is its
    clock that is ahead: their times tell by how much.
    """
    verdicts, refused = receipt.verdicts, receipt.verdicts.refused
    devices = verdicts.devices
    if sender.device_id is not None and devices == [sender.device_id] and not refused:
        return [(sender.device_id, receipt.accepted, len(receipt.refused), int(verdicts.t_us.max()))]
    ahead = [n for n, reasons in refused.items() if [r.code for r in reasons] == [ReasonCode.TIMESTAMP_IN_FUTURE]]
    names = [event.device_id for event in receipt.upload.events]
    accepted = Counter(name for number, name in enumerate(names) if number not in refused)
    rejected = Counter(names[number] for number in refused)
    if sender.device_id is not None:
        mine = sender.device_id
        rejected = Counter({mine: len(receipt.refused)})
        wanted = [mine]
    else:
        wanted = list(accepted)
    found = []
    for device in wanted:
        times = [n for n, name in enumerate(names) if name == device and n not in refused]
        times = times or [n for n in ahead if names[n] == device]
        newest = int(np.max(verdicts.t_us[times])) if times else None
        found.append((device, accepted[device], rejected[device], newest))
    return found
