"""From newly stored samples to trips: in order by a fold, out of order by cutting the session anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Protocol

import structlog

from auto_insurance.infra.bus.protocol import TopicPartition
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.clock import from_us
from auto_insurance.telematics.schemas import Quality, Sample
from auto_insurance.trips import repository
from auto_insurance.trips.aggregate import TripContent
from auto_insurance.trips.ledger import Ledger, VehicleAt
from auto_insurance.trips.rules import TripRules
from auto_insurance.trips.segment import Segmenter
from auto_insurance.trips.state import DeviceState, keep_units
from auto_insurance.trips.states import StateCache, Tracked, tracked

log = structlog.get_logger(__name__)


class SampleStore(Protocol):
    """What is needed of the store of samples."""

    async def load_samples(self, uow: UnitOfWork, device_id: str, from_us: int, to_us: int) -> list[Sample]: ...

    async def session_bounds(self, uow: UnitOfWork, device_id: str, t_us: int, gap_us: int) -> tuple[int, int]: ...

    async def flag(self, uow: UnitOfWork, keys: Sequence[tuple[str, int, str]], quality: int) -> None: ...


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """``settle_s``: how long after the last arrival silence may close a trip. ``page_s``: how much of a session is read
    at a time. ``max_cached``: device states kept in memory. ``silent_at_once``: trips closed per tick."""

    settle_s: float = 30.0
    page_s: float = 6 * 3600.0
    max_cached: int = 20_000
    silent_at_once: int = 500


@dataclass(frozen=True, slots=True)
class News:
    """What a batch stored anew. Maps are complete for the devices of ``samples``."""

    samples: Sequence[Sample]
    partitions: Mapping[str, TopicPartition]
    zones: Mapping[str, str]
    vehicle_at: VehicleAt


class Tracer:
    """Keeps the trips of devices what one sorted pass over their samples would make them."""

    def __init__(self, store: SampleStore, rules: TripRules, options: TraceOptions) -> None:
        self.rules = rules
        self.options = options
        self.cache = StateCache(options.max_cached)
        self._store = store
        self._segmenter = Segmenter(rules)

    async def follow(self, uow: UnitOfWork, news: News) -> None:
        """Bring states and trips up to date with newly stored samples."""
        if not news.samples:
            return
        ordered = sorted(news.samples, key=lambda s: (s.device_id, s.t_us, s.event_id))
        groups = {device_id: list(samples) for device_id, samples in groupby(ordered, key=lambda s: s.device_id)}
        known = await self.cache.load(uow, list(groups))
        ledger = Ledger()
        flagged: list[Sample] = []
        changed: list[Tracked] = []
        for device_id, samples in groups.items():
            item = known.get(device_id)
            if item is None:
                state = DeviceState(device_id=device_id)
                item = Tracked(state, news.partitions[device_id], 0, -1, from_us(samples[0].received_us))
            item.tp = news.partitions[device_id]
            suspect = item.state.units_suspect
            if self._is_late(item, samples[0]):
                flagged += await self._recut(uow, item, samples, news, ledger)
            else:
                flagged += self._extend(item, samples, news, ledger)
            self._after(item, samples)
            if item.state.units_suspect not in {None, suspect}:
                log.warning("device_units_suspect", device_id=device_id, suspect=item.state.units_suspect)
            changed.append(item)
        await ledger.write(uow)
        if flagged:
            await self._store.flag(
                uow, [(s.device_id, s.t_us, s.event_id) for s in flagged], int(Quality.IMPLIED_SPEED)
            )
        await self.cache.save(uow, changed)

    async def close_silent(self, uow: UnitOfWork, topic: str, caught_up: Mapping[int, datetime]) -> int:
        """Close trips whose silence deadline lies before what their partition is caught up to; returns how many."""
        rows = await repository.silent_states(uow, topic, caught_up, self.options.silent_at_once)
        if not rows:
            return 0
        ledger = Ledger()
        items = [tracked(row) for row in rows]
        for item in items:
            closed = self._segmenter.close_silent(item.state)
            if closed is not None:
                ledger.close(closed, _no_vehicle)
            item.silence_deadline = None
        await ledger.write(uow)
        await self.cache.save(uow, items)
        return len(items)

    def _is_late(self, item: Tracked, first: Sample) -> bool:
        """Tell whether the fold can't simply go on: out of order, or within the silence that closed a trip."""
        last = item.state.last_us
        if last < 0:
            return False
        return first.t_us <= last or (item.state.silent and first.t_us - last < self.rules.session_gap_us)

    def _extend(self, item: Tracked, samples: Sequence[Sample], news: News, ledger: Ledger) -> list[Sample]:
        folded = self._segmenter.advance(item.state, samples, news.zones)
        for closed in folded.closed:
            ledger.close(closed, news.vehicle_at)
        trip = item.state.trip
        if trip is not None and trip.confirmed and trip.ref is None:
            content = self._segmenter.preview(item.state)
            if content is not None:
                trip.ref = ledger.open(content, news.vehicle_at)
        return folded.flagged

    async def _recut(
        self, uow: UnitOfWork, item: Tracked, samples: Sequence[Sample], news: News, ledger: Ledger
    ) -> list[Sample]:
        """Cut every session that a new sample lies in anew, from the stored samples."""
        device_id = samples[0].device_id
        newest = max(item.last_event_us, samples[-1].t_us)
        flagged: list[Sample] = []
        done_us = -1
        for sample in samples:
            if sample.t_us <= done_us:
                continue
            bounds = await self._store.session_bounds(uow, device_id, sample.t_us, self.rules.session_gap_us)
            done_us = bounds[1]
            state = DeviceState(device_id=device_id)
            contents: list[TripContent] = []
            await self._fold_session(uow, state, bounds, news, contents, flagged)
            is_last = bounds[1] >= newest
            if not is_last:
                closed = self._segmenter.close_silent(state)
                contents += [closed.content] if closed is not None and closed.kept else []
            current = self._segmenter.preview(state) if is_last else None
            old = await repository.trips_within(uow, device_id, *bounds)
            ref = ledger.recut(old, contents, current, bounds[1], news.vehicle_at)
            if is_last:
                if state.trip is not None:
                    state.trip.ref = ref
                keep_units(item.state, state)
                item.state = state
        return flagged

    async def _fold_session(
        self, uow: UnitOfWork, state: DeviceState, bounds: tuple[int, int], news: News, contents: list[TripContent],
        flagged: list[Sample],
    ) -> None:  # fmt: skip
        at_us, until_us = bounds
        page_us = int(self.options.page_s * 1_000_000)
        while at_us <= until_us:
            to_us = min(until_us, at_us + page_us)
            page = await self._store.load_samples(uow, state.device_id, at_us, to_us)
            folded = self._segmenter.advance(state, page, news.zones)
            contents += [closed.content for closed in folded.closed if closed.kept]
            flagged += folded.flagged
            at_us = to_us + 1

    def _after(self, item: Tracked, samples: Sequence[Sample]) -> None:
        """Note the newest event and arrival, and until when silence must last to close the open trip."""
        arrival = from_us(max(sample.received_us for sample in samples))
        item.last_event_us = max(item.last_event_us, samples[-1].t_us)
        item.last_arrival = max(item.last_arrival, arrival)
        trip = item.state.trip
        if trip is None or not trip.confirmed:
            item.silence_deadline = None
            return
        item.silence_deadline = max(
            from_us(item.state.last_us) + timedelta(microseconds=self.rules.session_gap_us),
            item.last_arrival + timedelta(seconds=self.options.settle_s),
        )


def _no_vehicle(device_id: str, t_us: int) -> str | None:
    """A trip that silence closes has its row already, and its vehicle with it."""
    return None
