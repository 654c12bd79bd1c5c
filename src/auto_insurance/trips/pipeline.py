"""What happens to a batch of telemetry records, as one ordered list of small steps in one transaction.

decode -> resolve drivers -> store (duplicates end here) -> trips -> alerts -> bury the dead -> count

Events stay columns all the way: no step costs a Python call per event, unless something is wrong with that event.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

import msgspec
import numpy as np

from auto_insurance.contracts import topics
from auto_insurance.contracts.alerts import CRASH_REPORTED, CrashReported
from auto_insurance.drivers.schemas import DeviceHistory
from auto_insurance.infra import metrics, tracing
from auto_insurance.infra.bus.deadletters import DeadLetter, add_dead_letters
from auto_insurance.infra.bus.handler import Batch
from auto_insurance.infra.bus.protocol import Record, TopicPartition
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.kernel.clock import from_us, to_us
from auto_insurance.kernel.events import new_event
from auto_insurance.kernel.outcome import Dead, Drop, Ok, Outcome
from auto_insurance.telematics.columns import EVENT_CODE, NO_DRIVER, Codes, Columns, Ints, Mask, empty
from auto_insurance.telematics.schemas import EventType
from auto_insurance.telematics.service import MONTH_ARCHIVED, DecodedBatch, EventWriter
from auto_insurance.trips.owners import find_owners
from auto_insurance.trips.rules import TripRules
from auto_insurance.trips.trace import News, SampleStore, TraceOptions, Tracer
from auto_insurance.trips.traced import TracedUploads

_raw_events = msgspec.json.Decoder(list[msgspec.Raw])
UNKNOWN_DEVICE, NO_DRIVER_ASSIGNED = "unknown_device", "no_driver_assigned"
_CRASH = EVENT_CODE[EventType.CRASH]
_OK: Outcome[None] = Ok(None)
_DROP: Outcome[None] = Drop()


class Telemetry(SampleStore, Protocol):
    """What the pipeline needs of telematics."""

    def decode_records(self, records: Sequence[Record]) -> DecodedBatch: ...

    def writer(self) -> EventWriter: ...


class KnownDevices(Protocol):
    """The assignments of devices, remembered by one consumer."""

    async def load(self, uow: UnitOfWork, device_ids: Collection[str]) -> Mapping[str, DeviceHistory]: ...


class Drivers(Protocol):
    """What the pipeline needs of drivers."""

    def known_devices(self) -> KnownDevices: ...


@dataclass(slots=True)
class Work:
    """What the steps of one batch hand on.

    ``record`` and ``index`` tell of each of ``events`` which record of the batch it comes from and where in it it lay
    (-1 if the record is one bare event). ``dead`` are the outcomes of records that are dead as a whole.
    """

    uow: UnitOfWork
    records: Sequence[Record]
    events: Columns
    record: Codes
    index: Codes
    letters: list[DeadLetter] = field(default_factory=list)
    dead: dict[int, Dead] = field(default_factory=dict)
    histories: Mapping[str, DeviceHistory] = field(default_factory=dict)
    zones: Mapping[str, str] = field(default_factory=dict)
    fresh: Mask = field(default_factory=lambda: np.zeros(0, np.bool_))
    new: Columns = field(default_factory=empty)
    newest_before: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    def keep(self, mask: Mask) -> None:
        """Go on with those events only."""
        if not mask.all():
            self.events, self.record, self.index = self.events.where(mask), self.record[mask], self.index[mask]


Step = Callable[[Work], Awaitable[None]]


class TelemetryHandler:
    """The consumer group of ``telematics-events``. Implements :class:`auto_insurance.infra.bus.handler.Handler`."""

    def __init__(
        self, telematics: Telemetry, drivers: Drivers, *, group: str, rules: TripRules | None = None,
        options: TraceOptions | None = None,
    ) -> None:  # fmt: skip
        self._telematics = telematics
        self._writer = telematics.writer()
        self._devices = drivers.known_devices()
        self._group = group
        self._traced = TracedUploads()
        self.tracer = Tracer(telematics, rules or TripRules(), options or TraceOptions())
        self.steps: tuple[Step, ...] = (
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

    def prepare(self, records: Sequence[Record]) -> DecodedBatch:
        """Read each record's events and check each by itself: all that needs no transaction."""
        return self._telematics.decode_records(records)

    async def handle(self, uow: UnitOfWork, batch: Batch) -> Sequence[Outcome[None]]:
        """Run the steps. A record of which anything is stored is Ok; one of nothing but copies is a duplicate."""
        decoded = batch.prepared if isinstance(batch.prepared, DecodedBatch) else self.prepare(batch.records)
        work = Work(uow, batch.records, decoded.columns, decoded.record, decoded.index)
        for number, index, dead, value in decoded.dead:
            self._condemn(work, number, index, dead, value)
        with self._traced.handling(batch.records):
            for step in self.steps:
                await step(work)
        return self._outcomes(work)

    def committed(self) -> None:
        """What is in memory is what is in the database."""
        self._writer.committed()

    def rolled_back(self) -> None:
        """What is in memory went ahead of the database: forget it."""
        self._writer.rolled_back()
        self.tracer.cache.clear()

    async def tick(self, uow: UnitOfWork, caught_up: Mapping[TopicPartition, datetime]) -> None:
        """Close trips by silence, where everything that had arrived until their deadline has been handled."""
        ours = {tp.partition: at for tp, at in caught_up.items() if tp.topic == topics.TELEMATICS_EVENTS}
        if ours:
            with self._traced.recalled():
                await self.tracer.close_silent(uow, topics.TELEMATICS_EVENTS, ours)

    async def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget the devices of these partitions."""
        self._writer.clear()
        self.tracer.cache.forget_partitions(partitions)

    async def _resolve_drivers(self, work: Work) -> None:
        """Find whose device it was at the event's time."""
        if not len(work.events):
            return
        work.histories = await self._devices.load(work.uow, work.events.devices)
        owners = find_owners(work.events, work.histories)
        work.zones = owners.zones
        work.events = replace(work.events, drivers=owners.drivers, driver=owners.driver)
        owned = owners.driver != NO_DRIVER
        for place in np.flatnonzero(~owned).tolist():
            known = work.events.devices[work.events.device[place]] in work.histories
            self._condemn_event(work, place, Dead(NO_DRIVER_ASSIGNED if known else UNKNOWN_DEVICE))
        work.keep(owned if owners.withheld is None else self._allowed(work, owned, owners.withheld))

    @staticmethod
    def _allowed(work: Work, owned: Mask, withheld: Mask) -> Mask:
        """Leave out events of drivers who do not allow them. A dead letter would keep what must not be kept."""
        left_out = int(withheld.sum())

        async def count() -> None:
            metrics.EVENTS_WITHHELD_TOTAL.inc(left_out)

        work.uow.after_commit(count)
        return owned & ~withheld

    async def _store(self, work: Work) -> None:
        """Store what is not there yet; only that goes on."""
        stored = await self._writer.store(work.uow, work.events)
        work.fresh, work.new, work.newest_before = stored.fresh, stored.new, stored.newest_before
        if stored.refused is not None:
            for place in np.flatnonzero(stored.refused).tolist():
                self._condemn_event(work, place, Dead(MONTH_ARCHIVED))
            work.fresh = work.fresh[~stored.refused]
            work.keep(~stored.refused)

    async def _follow_trips(self, work: Work) -> None:
        """Bring the trips of the devices up to date."""
        partitions = self._partitions(work)
        vehicles = _vehicles(work.histories)
        await self.tracer.follow(work.uow, News(work.new, work.newest_before, partitions, work.zones, vehicles))

    @staticmethod
    def _partitions(work: Work) -> dict[str, TopicPartition]:
        """Return the partition that each device's last record came from."""
        last = np.full(len(work.events.devices), -1, np.int64)
        np.maximum.at(last, work.events.device, work.record)
        codes = np.flatnonzero(last >= 0)
        return {
            work.events.devices[code]: work.records[number].tp
            for code, number in zip(codes.tolist(), last[codes].tolist(), strict=True)
        }

    async def _raise_alerts(self, work: Work) -> None:
        """Tell of crashes that devices report."""
        for place in np.flatnonzero(work.new.event_type == _CRASH).tolist():
            sample = work.new.sample(place)
            payload = CrashReported(
                driver_id=sample.driver_id,
                device_id=sample.device_id,
                event_id=sample.event_id,
                occurred_at=from_us(sample.t_us),
                received_at=from_us(sample.received_us),
            )
            event = new_event(payload, type=CRASH_REPORTED, version=1, key=sample.driver_id)
            with tracing.of(sample.device_id):
                work.uow.publish(topics.ALERTS, event)

    async def _bury(self, work: Work) -> None:
        """Write dead events of records that live on; a record that is dead as a whole is the runner's."""
        await add_dead_letters(work.uow, work.letters)

    async def _count(self, work: Work) -> None:
        """Count what was stored, once it is committed, and how long it took from arrival to being in a trip."""
        received_us = work.new.received_us
        if not len(received_us):
            return

        async def count() -> None:
            metrics.EVENTS_STORED_TOTAL.inc(len(received_us))
            seconds = np.maximum(to_us(clock.now()) - received_us, 0) / 1e6
            metrics.observe_many(metrics.EVENT_END_TO_END_SECONDS, seconds)

        work.uow.after_commit(count)

    def _condemn_event(self, work: Work, place: int, dead: Dead) -> None:
        """Bury one event that could be read."""
        number, index = int(work.record[place]), int(work.index[place])
        if index < 0:
            self._condemn(work, number, None, dead, b"")
        else:
            self._condemn(work, number, index, dead, bytes(_raw_events.decode(work.records[number].value)[index]))

    def _condemn(self, work: Work, number: int, index: int | None, dead: Dead, value: bytes) -> None:
        if index is None:
            work.dead[number] = dead
            return
        record = work.records[number]
        work.letters.append(
            DeadLetter(
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
        )

    @staticmethod
    def _outcomes(work: Work) -> list[Outcome[None]]:
        count = len(work.records)
        events = np.bincount(work.record, minlength=count)
        stored = np.bincount(work.record[work.fresh], minlength=count)
        outcomes = [_OK] * count
        for number in np.flatnonzero((events > 0) & (stored == 0)).tolist():
            outcomes[number] = _DROP
        for number, dead in work.dead.items():
            outcomes[number] = dead
        return outcomes


def _vehicles(histories: Mapping[str, DeviceHistory]) -> Callable[[str, int], str | None]:
    def vehicle_at(device_id: str, t_us: int) -> str | None:
        history = histories.get(device_id)
        assignment = None if history is None else history.at(t_us)
        return None if assignment is None else assignment.vehicle_id

    return vehicle_at
