"""What happens to a batch of telemetry records, as one ordered list of small steps in one transaction.

decode -> resolve drivers -> store (duplicates end here) -> trips -> alerts -> bury the dead -> count
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import msgspec

from auto_insurance.contracts import topics
from auto_insurance.contracts.alerts import CRASH_REPORTED, CrashReported
from auto_insurance.drivers.schemas import DeviceHistory
from auto_insurance.infra import metrics
from auto_insurance.infra.bus.deadletters import DeadLetter, add_dead_letters
from auto_insurance.infra.bus.handler import Batch
from auto_insurance.infra.bus.protocol import Record, TopicPartition
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.kernel.clock import from_us, to_us
from auto_insurance.kernel.events import new_event
from auto_insurance.kernel.outcome import Dead, Drop, Ok, Outcome
from auto_insurance.telematics.schemas import Decoded, EventType, Sample
from auto_insurance.trips.rules import TripRules
from auto_insurance.trips.trace import News, SampleStore, TraceOptions, Tracer

_raw_events = msgspec.json.Decoder(list[msgspec.Raw])
UNKNOWN_DEVICE, NO_DRIVER = "unknown_device", "no_driver_assigned"


class Telemetry(SampleStore, Protocol):
    """What the pipeline needs of telematics."""

    def decode_record(self, value: bytes, headers: Mapping[str, str], arrival_us: int) -> Sequence[Decoded]: ...

    async def store(self, uow: UnitOfWork, samples: Sequence[Sample]) -> list[Sample]: ...


class Drivers(Protocol):
    """What the pipeline needs of drivers."""

    async def assignments(self, uow: UnitOfWork, device_ids: Collection[str]) -> dict[str, DeviceHistory]: ...


@dataclass(slots=True)
class _Candidate:
    """An event on its way: where it came from and what it is so far."""

    record: Record
    number: int
    index: int | None
    sample: Sample


@dataclass(slots=True)
class Work:
    """What the steps of one batch hand on. ``letters`` carry the number of their record; ``fresh`` is newly stored."""

    uow: UnitOfWork
    records: Sequence[Record]
    candidates: list[_Candidate] = field(default_factory=list)
    letters: list[tuple[int, DeadLetter]] = field(default_factory=list)
    histories: dict[str, DeviceHistory] = field(default_factory=dict)
    fresh: list[Sample] = field(default_factory=list)


Step = Callable[[Work], Awaitable[None]]


class TelemetryHandler:
    """The consumer group of ``telematics-events``. Implements :class:`auto_insurance.infra.bus.handler.Handler`."""

    def __init__(
        self, telematics: Telemetry, drivers: Drivers, *, group: str, rules: TripRules | None = None,
        options: TraceOptions | None = None,
    ) -> None:  # fmt: skip
        self._telematics = telematics
        self._drivers = drivers
        self._group = group
        self.tracer = Tracer(telematics, rules or TripRules(), options or TraceOptions())
        self.steps: tuple[Step, ...] = (
            self._decode,
            self._resolve_drivers,
            self._store,
            self._follow_trips,
            self._raise_alerts,
            self._bury,
            self._count,
        )

    @property
    def group(self) -> str:
        return self._group

    @property
    def topics(self) -> Sequence[str]:
        return (topics.TELEMATICS_EVENTS,)

    async def handle(self, uow: UnitOfWork, batch: Batch) -> Sequence[Outcome[None]]:
        """Run the steps. A record of which anything is stored is Ok; one of nothing but copies is a duplicate."""
        work = Work(uow, batch.records)
        for step in self.steps:
            await step(work)
        return self._outcomes(work)

    def committed(self) -> None:
        """The states in memory are those of the database."""

    def rolled_back(self) -> None:
        """The states in memory went ahead of the database: forget them."""
        self.tracer.cache.clear()

    async def tick(self, uow: UnitOfWork, caught_up: Mapping[TopicPartition, datetime]) -> None:
        """Close trips by silence, where everything that had arrived until their deadline has been handled."""
        ours = {tp.partition: at for tp, at in caught_up.items() if tp.topic == topics.TELEMATICS_EVENTS}
        if ours:
            await self.tracer.close_silent(uow, topics.TELEMATICS_EVENTS, ours)

    async def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget the devices of these partitions."""
        self.tracer.cache.forget_partitions(partitions)

    async def _decode(self, work: Work) -> None:
        """Read each record's events and check each by itself."""
        for number, record in enumerate(work.records):
            arrival_us = to_us(record.appended_at)
            decoded = self._telematics.decode_record(record.value, record.headers, arrival_us)
            for item in decoded:
                if item.sample is not None:
                    work.candidates.append(_Candidate(record, number, item.index, item.sample))
                elif item.dead is not None:
                    work.letters.append((number, self._letter(record, item.index, item.value, item.dead)))

    async def _resolve_drivers(self, work: Work) -> None:
        """Find whose device it was at the event's time."""
        if not work.candidates:
            return
        devices = sorted({item.sample.device_id for item in work.candidates})
        work.histories = await self._drivers.assignments(work.uow, devices)
        alive: list[_Candidate] = []
        for item in work.candidates:
            sample = item.sample
            history = work.histories.get(sample.device_id)
            assignment = None if history is None else history.at(sample.t_us)
            if assignment is None:
                reason = UNKNOWN_DEVICE if history is None else NO_DRIVER
                value = _event_bytes(item.record, item.index)
                dead = self._letter(item.record, item.index, value, Dead(reason))
                work.letters.append((item.number, dead))
                continue
            item.sample = msgspec.structs.replace(sample, driver_id=assignment.driver_id)
            alive.append(item)
        work.candidates = alive

    async def _store(self, work: Work) -> None:
        """Store what is not there yet; only that goes on."""
        if work.candidates:
            work.fresh = await self._telematics.store(work.uow, [item.sample for item in work.candidates])

    async def _follow_trips(self, work: Work) -> None:
        """Bring the trips of the devices up to date."""
        partitions = {item.sample.device_id: item.record.tp for item in work.candidates}
        zones = {
            span.assignment.driver_id: span.assignment.time_zone
            for history in work.histories.values()
            for span in history.spans
        }
        await self.tracer.follow(work.uow, News(work.fresh, partitions, zones, _vehicles(work.histories)))

    async def _raise_alerts(self, work: Work) -> None:
        """Tell of crashes that devices report."""
        for sample in work.fresh:
            if sample.event_type == EventType.CRASH:
                payload = CrashReported(
                    driver_id=sample.driver_id,
                    device_id=sample.device_id,
                    event_id=sample.event_id,
                    occurred_at=from_us(sample.t_us),
                    received_at=from_us(sample.received_us),
                )
                event = new_event(payload, type=CRASH_REPORTED, version=1, key=sample.driver_id)
                work.uow.publish(topics.ALERTS, event)

    async def _bury(self, work: Work) -> None:
        """Write dead events of records that live on; a record that is dead as a whole is the runner's."""
        parts = [letter for _, letter in work.letters if letter.index_in_record is not None]
        if parts:
            await add_dead_letters(work.uow, parts)

    async def _count(self, work: Work) -> None:
        """Count what was stored, once it is committed, and how long it took from arrival to being in a trip."""
        fresh = work.fresh
        if not fresh:
            return

        async def count() -> None:
            now_us = to_us(clock.now())
            metrics.EVENTS_STORED_TOTAL.inc(len(fresh))
            for sample in fresh:
                metrics.EVENT_END_TO_END_SECONDS.observe(max(0.0, (now_us - sample.received_us) / 1e6))

        work.uow.after_commit(count)

    def _letter(self, record: Record, index: int | None, value: bytes, dead: Dead) -> DeadLetter:
        return DeadLetter(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            index_in_record=index,
            key=record.key,
            reason=dead.reason,
            detail=dead.detail,
            value=value,
            group=self._group,
        )

    @staticmethod
    def _outcomes(work: Work) -> list[Outcome[None]]:
        fresh = {(s.device_id, s.t_us, s.event_id) for s in work.fresh}
        whole = {number: letter for number, letter in work.letters if letter.index_in_record is None}
        stored: set[int] = set()
        for item in work.candidates:
            if (item.sample.device_id, item.sample.t_us, item.sample.event_id) in fresh:
                stored.add(item.number)
        copies = {item.number for item in work.candidates} - stored
        outcomes: list[Outcome[None]] = []
        for number in range(len(work.records)):
            if number in whole:
                outcomes.append(Dead(whole[number].reason, whole[number].detail))
            elif number in copies:
                outcomes.append(Drop())
            else:
                outcomes.append(Ok(None))
        return outcomes


def _event_bytes(record: Record, index: int | None) -> bytes:
    """Return one event's own bytes out of a record that could be read."""
    if index is None or not record.value.lstrip().startswith(b"["):
        return record.value
    return bytes(_raw_events.decode(record.value)[index])


def _vehicles(histories: Mapping[str, DeviceHistory]) -> Callable[[str, int], str | None]:
    def vehicle_at(device_id: str, t_us: int) -> str | None:
        history = histories.get(device_id)
        assignment = None if history is None else history.at(t_us)
        return None if assignment is None else assignment.vehicle_id

    return vehicle_at
