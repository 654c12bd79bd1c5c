"""Folds devices anew that are behind their stored events: late ones came, or only a checkpoint is in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.telematics import columns as forms
from auto_insurance.telematics.columns import Columns
from auto_insurance.telematics.schemas import Quality
from auto_insurance.trips import repository, repository_states
from auto_insurance.trips.contents import Closed, Ref, TripContent
from auto_insurance.trips.fold import Groups, groups_of
from auto_insurance.trips.ledger import Ledger, VehicleAt
from auto_insurance.trips.repository import Since
from auto_insurance.trips.repository_states import StateRow
from auto_insurance.trips.segment import END_SILENCE, STILL_OPEN
from auto_insurance.trips.states import StateCache

END_OF_TIME_US = 253_402_300_799_000_000
_STRAY = int(Quality.IMPLIED_SPEED)
_UNITS = ("units_steps", "units_reported_m", "units_implied_m", "units_suspect")
EventKey = tuple[str, int, str]


class SampleStore(Protocol):
    """What is needed of the store of samples."""

    async def load_columns(self, uow: UnitOfWork, device_id: str, from_us: int, to_us: int) -> Columns: ...

    async def session_bounds(self, uow: UnitOfWork, device_id: str, t_us: int, gap_us: int) -> tuple[int, int]: ...

    async def flag(self, uow: UnitOfWork, keys: Sequence[tuple[str, int, str]], quality: int) -> None: ...


@dataclass(slots=True)
class Behind:
    """A device to fold anew: in its slot is what it is now, ``times`` are those of its new events, in order."""

    slot: int
    device_id: str
    times: list[int]
    newest_us: int
    """Its newest stored event."""
    deadline_kept: bool = False
    """Its checkpoint tells until when silence must last."""


@dataclass(slots=True)
class Recut:
    """What folding anew led to. ``due``: slots to save; ``kept`` and ``cleared``: to save because the stored
    checkpoint is not true any more, with or without the older one.
    """

    zones: Mapping[str, str]
    vehicle_at: VehicleAt
    ledger: Ledger
    strays: list[EventKey] = field(default_factory=list)
    due: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    cleared: list[int] = field(default_factory=list)


def stray_keys(columns: Columns, flagged: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[EventKey]:
    """Return the keys of flagged events that are not stored as such."""
    places = np.flatnonzero(flagged & (columns.quality & _STRAY == 0)).tolist()
    return [(columns.devices[columns.device[i]], int(columns.t_us[i]), columns.event_id[i]) for i in places]


class Recutter:
    """Brings devices up to date from the stored events, from the newest checkpoint that the late event leaves true."""

    def __init__(self, store: SampleStore, cache: StateCache) -> None:
        self._store = store
        self._cache = cache

    async def run(self, uow: UnitOfWork, items: Sequence[Behind], recut: Recut) -> None:
        """Fold these devices anew; the changes of their trips go to the ledger."""
        table = self._cache.table
        late = [item for item in items if item.times[0] <= table.device(item.slot).last_us]
        rows = await repository_states.load_states(uow, [item.device_id for item in late])
        quick: list[Behind] = []
        for item in items:
            device = table.device(item.slot)
            if device.last_us < 0:
                await self._by_session(uow, item, recut)
            elif item.times[0] > device.last_us or await self._step_back(uow, item, rows.get(item.device_id), recut):
                quick.append(item)
            else:
                await self._by_session(uow, item, recut)
        if quick:
            await self._go_on(uow, quick, recut)

    async def _step_back(self, uow: UnitOfWork, item: Behind, row: StateRow | None, recut: Recut) -> bool:
        """Put the device back to its newest checkpoint before the late event; false if it has none."""
        first = item.times[0]
        if row is None:
            return False
        item.deadline_kept = row.silence_deadline is not None
        if row.last_event_us < first:
            return self._load(item.slot, row.state)
        if row.older is None or row.older_us is None or row.older_us >= first or not self._load(item.slot, row.older):
            return False
        recut.kept.append(item.slot)
        await repository_states.drop_marks(uow, item.device_id, first)
        return True

    def _load(self, slot: int, saved: bytes) -> bool:
        """Put a device back to what was saved; the check of units, the count of trips and the arrival go on."""
        table = self._cache.table
        now = table.devices[slot].copy()
        if not table.load(slot, saved):
            return False
        device = table.devices[slot]
        for name in _UNITS:
            device[name] = now[name]
        device["number"] = max(device["number"], now["number"]) + 1
        table.trips["number"][slot] = device["number"]
        if slot in table.events:
            table.events[slot] = [(e[0], int(device["number"]), *e[2:]) for e in table.events[slot]]
        device["arrival_us"] = max(device["arrival_us"], now["arrival_us"])
        return True

    async def _go_on(self, uow: UnitOfWork, items: Sequence[Behind], recut: Recut) -> None:
        """Fold all that was stored after the devices' states, all devices at once."""
        table, folder = self._cache.table, self._cache.folder
        wanted: list[Since] = []
        parts: list[Columns] = []
        for item in items:
            device = table.device(item.slot)
            device.silent = False
            wanted.append(self._since(item))
            parts.append(await self._store.load_columns(uow, item.device_id, int(device.last_us) + 1, END_OF_TIME_US))
        columns = forms.join(parts)
        groups = groups_of(columns)
        slots = table.slots([columns.devices[code] for code in groups.codes.tolist()])
        closed, flagged = folder.fold(columns, groups, slots, recut.zones)
        recut.strays += stray_keys(columns, flagged)
        new: dict[int, list[TripContent]] = {item.slot: [] for item in items}
        for one in closed:
            if one.kept:
                new[one.slot].append(one.content)
        old = await repository.trips_since(uow, wanted)
        current = self._current([item.slot for item in items])
        for item in items:
            until = int(table.device(item.slot).last_us)
            here = current.get(item.slot)
            ref = recut.ledger.recut(
                old.get(item.device_id, []), new[item.slot], None if here is None else here.content, until,
                recut.vehicle_at,
            )  # fmt: skip
            self._refer(item.slot, ref)
            if ref is not None and not item.deadline_kept:
                recut.due.append(item.slot)

    def _since(self, item: Behind) -> Since:
        """Tell which trips of a device may change if it goes on from its state."""
        table = self._cache.table
        device = table.device(item.slot)
        start = int(device.anchor_us if device.anchor_us >= 0 else device.last_us)
        if device.open:
            start = min(start, int(table.trip(item.slot).start_us))
        return Since(item.device_id, start, int(device.closed_us))

    def _current(self, slots: Sequence[int]) -> dict[int, Closed]:
        """Return the confirmed open trips of devices as they stand."""
        return {one.slot: one for one in self._cache.folder.view(np.array(slots, np.int64), STILL_OPEN)}

    def _refer(self, slot: int, ref: Ref | None) -> None:
        """Keep which row the open trip of a device has now."""
        table = self._cache.table
        table.refs.pop(slot, None)
        table.trips["shown"][slot] = ref is not None
        if ref is not None:
            table.refs[slot] = (int(table.device(slot).number), ref)

    async def _by_session(self, uow: UnitOfWork, item: Behind, recut: Recut) -> None:
        """Cut every session that a new event lies in anew."""
        recut.cleared.append(item.slot)
        await repository_states.drop_marks(uow, item.device_id, item.times[0])
        table = self._cache.table
        scratch = table.add(f"\0{item.device_id}")
        times = item.times
        if table.device(item.slot).last_us < 0:
            times = sorted({*times, item.newest_us})
        done_us = -1
        for t_us in times:
            if t_us <= done_us:
                continue
            gap_us = self._cache.rules.session_gap_us
            first_us, done_us = await self._store.session_bounds(uow, item.device_id, t_us, gap_us)
            is_last = done_us >= item.newest_us
            await self._session(uow, item, (first_us, done_us), item.slot if is_last else scratch, recut)
        table.remove(scratch)

    async def _session(self, uow: UnitOfWork, item: Behind, bounds: tuple[int, int], slot: int, recut: Recut) -> None:
        table, is_last = self._cache.table, slot == item.slot
        before = table.devices[item.slot].copy()
        table.reset(slot)
        device = table.devices[slot]
        device["number"], device["closed_us"] = before["number"] + 1, bounds[0] - 1
        device["arrival_us"] = before["arrival_us"]
        name, table.ids[slot] = table.ids[slot], item.device_id
        new = await self._fold_stored(uow, item.device_id, bounds, slot, recut)
        table.ids[slot] = name
        current: TripContent | None = None
        if is_last:
            if before["units_steps"] >= device["units_steps"]:
                for field_name in _UNITS:
                    device[field_name] = before[field_name]
            current = next((one.content for one in self._current([slot]).values()), None)
        old = await repository.trips_within(uow, item.device_id, *bounds)
        ref = recut.ledger.recut(old, new, current, bounds[1], recut.vehicle_at)
        if is_last:
            self._refer(slot, ref)

    async def _fold_stored(
        self, uow: UnitOfWork, device_id: str, bounds: tuple[int, int], slot: int, recut: Recut
    ) -> list[TripContent]:
        """Fold a stretch of stored events, page by page; a scratch slot ends in silence."""
        cache = self._cache
        at_us, until_us = bounds
        closed: list[Closed] = []
        while at_us <= until_us:
            to_us = min(until_us, at_us + int(cache.options.page_s * 1e6))
            page = await self._store.load_columns(uow, device_id, at_us, to_us)
            groups: Groups = groups_of(page)
            found, flagged = cache.folder.fold(page, groups, np.full(len(groups.codes), slot, np.int64), recut.zones)
            closed += found
            recut.strays += stray_keys(page, flagged)
            at_us = to_us + 1
        if cache.table.slot_of.get(device_id) != slot:
            closed += cache.folder.view(np.array([slot], np.int64), END_SILENCE)
        return [one.content for one in closed if one.kept]
