"""From newly stored samples to trips: in order by a fold, out of order by folding anew from a checkpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import structlog

from auto_insurance.infra.bus.protocol import TopicPartition
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.clock import to_us
from auto_insurance.telematics.columns import Columns
from auto_insurance.telematics.schemas import Quality
from auto_insurance.trips import fold, repository_states
from auto_insurance.trips.contents import Closed, Ref
from auto_insurance.trips.fold import Groups, groups_of
from auto_insurance.trips.ledger import Ledger, VehicleAt
from auto_insurance.trips.recut import Behind, Recut, Recutter, SampleStore, stray_keys
from auto_insurance.trips.rules import TripRules
from auto_insurance.trips.segment import END_SILENCE, STILL_OPEN
from auto_insurance.trips.state import Longs, Rows
from auto_insurance.trips.states import StateCache, TraceOptions
from auto_insurance.trips.track import UNITS

log = structlog.get_logger(__name__)
__all__ = ["News", "SampleStore", "TraceOptions", "Tracer"]


@dataclass(frozen=True, slots=True)
class News:
    """What a batch stored anew: ``columns`` holds nothing else. Maps are complete for the devices that it has.

    ``newest_before``: by device (``columns.devices``) its newest stored event before this batch, -1 if none.
    """

    columns: Columns
    newest_before: Longs
    partitions: Mapping[str, TopicPartition]
    zones: Mapping[str, str]
    vehicle_at: VehicleAt


class Tracer:
    """Keeps the trips of devices what one sorted pass over their samples would make them."""

    def __init__(self, store: SampleStore, rules: TripRules, options: TraceOptions) -> None:
        self.rules = rules
        self.options = options
        self.cache = StateCache(rules, options)
        self._store = store
        self._recutter = Recutter(store, self.cache)
        self._warm = False

    async def follow(self, uow: UnitOfWork, news: News) -> None:
        """Bring states and trips up to date with newly stored samples."""
        columns = news.columns
        if not len(columns):
            return
        await self._warm_up()
        groups = groups_of(columns)
        names = [columns.devices[code] for code in groups.codes.tolist()]
        slots = await self.cache.load(uow, names)
        self.cache.touch(slots, [news.partitions[name] for name in names])
        before = self._watched(slots)
        recut = Recut(news.zones, news.vehicle_at, Ledger())
        closed = await self._fold(uow, news, groups, slots, recut)
        opened = self._show(slots, recut)
        await self._write(uow, recut)
        after = self._watched(slots)
        self._warn(slots, before["units_suspect"], after["units_suspect"])
        due = self.cache.due(slots) | (before["units_suspect"] != after["units_suspect"])
        due |= (before["driver"] != after["driver"]) & (before["driver"] >= 0)
        await self._save(uow, {*slots[due].tolist(), *opened, *(one.slot for one in closed)}, recut)

    async def close_silent(self, uow: UnitOfWork, topic: str, caught_up: Mapping[int, datetime]) -> int:
        """Close trips whose silence deadline lies before what their partition is caught up to; returns how many.

        Devices may have sent more since their checkpoint: what counts is their state, not the stored deadline.
        """
        await self._warm_up()
        rows = await repository_states.silent_states(uow, topic, caught_up, self.options.silent_at_once)
        if not rows:
            return 0
        cache = self.cache
        items: list[Behind] = []
        for row in rows:
            if row.device_id not in cache.table.slot_of:
                slot = cache.put(row.device_id, row)
                after = max(int(cache.table.device(slot).last_us), 0) + 1
                items.append(Behind(slot, row.device_id, [after], after))
        recut = Recut(self._zones([item.slot for item in items]), _no_vehicle, Ledger())
        await self._recutter.run(uow, [item for item in items if item.times[0] > 1], recut)
        slots = [cache.table.slot_of[row.device_id] for row in rows]
        over = []
        for slot, row in zip(slots, rows, strict=True):
            deadline = cache.deadline_us(slot)
            if deadline is not None and deadline < to_us(caught_up[row.partition]):
                over.append(slot)
        for one in cache.folder.view(np.array(over, np.int64), END_SILENCE):
            self._silence(one.slot, recut.ledger.close(one, _no_vehicle))
        await self._write(uow, recut)
        await self._save(uow, set(slots), recut)
        return len(over)

    async def _fold(self, uow: UnitOfWork, news: News, groups: Groups, slots: Longs, recut: Recut) -> list[Closed]:
        """Fold what is new: devices in order all at once, the others anew. Returns what the former closed."""
        columns, devices = news.columns, self.cache.table.devices
        last, newest = devices["last_us"][slots], news.newest_before[groups.codes]
        first = columns.t_us[groups.order[groups.starts]]
        behind = (newest > last) | ((last >= 0) & (first <= last))
        recent = self.cache.recent
        recent.begin(slots[~behind])
        recent.end(columns, groups, slots)
        closed, flagged = self.cache.folder.fold(columns, groups.where(~behind), slots[~behind], news.zones)
        recut.strays += stray_keys(columns, flagged)
        for one in closed:
            recut.ledger.close(one, news.vehicle_at)
        if behind.any():
            items = self._items(columns, groups.where(behind), slots[behind], newest[behind])
            await self._recutter.run(uow, items, recut)
        return closed

    def _items(self, columns: Columns, groups: Groups, slots: Longs, newest: Longs) -> list[Behind]:
        items = []
        for group, slot in enumerate(slots.tolist()):
            rows = groups.order[groups.starts[group] : groups.ends[group]]
            times = columns.t_us[rows].tolist()
            name = columns.devices[groups.codes[group]]
            stored_us = int(newest[group])
            items.append(Behind(slot, name, times, max(stored_us, times[-1]), stored_us))
        return items

    def _show(self, slots: Longs, recut: Recut) -> list[int]:
        """Note the trips that were confirmed, or go on after silence had closed them; returns their slots."""
        table = self.cache.table
        devices, trips = table.devices, table.trips
        mask = devices["open"][slots] & trips["confirmed"][slots] & ~trips["shown"][slots] & ~devices["silent"][slots]
        opened = slots[mask]
        if len(opened):
            for one in self.cache.folder.view(opened, STILL_OPEN):
                ref = recut.ledger.open(one.content, one.ref, recut.vehicle_at)
                table.refs[one.slot] = (int(devices["number"][one.slot]), ref)
            trips["shown"][opened] = True
        chosen: list[int] = opened.tolist()
        return chosen

    def _zones(self, slots: Sequence[int]) -> dict[str, str]:
        """Return the time zones of the drivers whom these devices are with as of their state."""
        table = self.cache.table
        states = [table.device(slot) for slot in slots]
        return {table.drivers.names[s.driver]: table.zones.names[s.zone] for s in states if s.driver >= 0}

    def _silence(self, slot: int, ref: Ref | None) -> None:
        """Note that silence closed the open trip, which its device would go on with within the silence."""
        table = self.cache.table
        device = table.device(slot)
        device.silent = True
        table.refs.pop(slot, None)
        if ref is not None:
            table.refs[slot] = (int(device.number), ref)

    def _watched(self, slots: Longs) -> Rows:
        watched: Rows = self.cache.table.devices[["units_suspect", "driver"]][slots]
        return watched

    def _warn(self, slots: Longs, before: Longs, after: Longs) -> None:
        for place in np.flatnonzero((before != after) & (after != 0)).tolist():
            device_id = self.cache.table.ids[slots[place]]
            log.warning("device_units_suspect", device_id=device_id, suspect=UNITS[after[place]])

    async def _write(self, uow: UnitOfWork, recut: Recut) -> None:
        """Write what became of trips, and which samples are out of reach."""
        await recut.ledger.write(uow)
        if recut.strays:
            await self._store.flag(uow, recut.strays, int(Quality.IMPLIED_SPEED))

    async def _save(self, uow: UnitOfWork, due: set[int], recut: Recut) -> None:
        """Write checkpoints: of those that are due, and of those of which the stored one is not true any more."""
        kept, cleared = set(recut.kept), set(recut.cleared)
        await self.cache.save(uow, sorted({*due, *recut.due} - kept - cleared))
        await self.cache.save(uow, sorted(kept - cleared), repository_states.KEEP)
        await self.cache.save(uow, sorted(cleared), repository_states.CLEAR)
        await self.cache.shrink(uow)

    async def _warm_up(self) -> None:
        """Have the rules compiled, or loaded, without holding up the event loop."""
        if self._warm:
            return
        seconds = await asyncio.to_thread(fold.warm)
        self._warm = True
        log.info("trip_rules_ready", seconds=round(seconds, 2))


def _no_vehicle(device_id: str, t_us: int) -> str | None:
    """A trip that silence closes has its row already, and its vehicle with it."""
    return None
