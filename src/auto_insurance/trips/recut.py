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
from auto_insurance.trips.repository_states import Mark, StateRow
from auto_insurance.trips.segment import END_SILENCE, STILL_OPEN
from auto_insurance.trips.states import StateCache
from auto_insurance.trips.table import DeviceTable, same_state

END_OF_TIME_US = 253_402_300_799_000_000
_STRAY = int(Quality.IMPLIED_SPEED)
_UNITS = ("units_steps", "units_reported_m", "units_implied_m", "units_suspect")
EventKey = tuple[str, int, str]


class SampleStore(Protocol):
    """What is needed of the store of samples."""

    async def load_columns(self, uow: UnitOfWork, device_id: str, from_us: int, to_us: int) -> Columns: ...

    async def session_bounds(self, uow: UnitOfWork, device_id: str, t_us: int, gap_us: int) -> tuple[int, int]: ...

    async def flag(self, uow: UnitOfWork, keys: Sequence[tuple[str, int, str]], quality: int) -> None: ...


class _Before:
    """How a device stood before it is folded anew."""

    __slots__ = ("closed_us", "driver", "ref", "silent", "start_us")

    def __init__(self, table: DeviceTable, slot: int) -> None:
        device, trip = table.device(slot), table.trip(slot)
        self.closed_us, self.driver = int(device.closed_us), int(device.driver)
        self.silent, self.start_us = bool(device.silent), int(trip.start_us)
        self.ref = table.ref(slot) if trip.shown else None


@dataclass(slots=True)
class Behind:
    """A device to fold anew: in its slot is what it is now, ``times`` are those of its new events, in order."""

    slot: int
    device_id: str
    times: list[int]
    newest_us: int
    """Its newest stored event."""
    stored_us: int = END_OF_TIME_US
    """Its newest stored event before this batch."""
    deadline_kept: bool = False
    """Its checkpoint tells until when silence must last."""
    since: int | None = None
    """The batch from which on its samples are in memory."""
    before: _Before | None = None

    def settled(self, table: DeviceTable) -> bool:
        """Tell whether its trips are in the rows that they had, folded anew from memory without closing any.

        The open trip is given its row again.
        """
        before = self.before
        if before is None or self.since is None or before.silent:
            return False
        device, trip = table.device(self.slot), table.trip(self.slot)
        if device.closed_us != before.closed_us or device.driver != before.driver:
            return False
        if before.ref is None:
            table.refs.pop(self.slot, None)
            trip.shown = False
            return True
        if not device.open or not trip.confirmed or trip.start_us != before.start_us:
            return False
        table.refs[self.slot] = (int(device.number), before.ref)
        trip.shown = True
        return True


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
    """Return the keys of flagged events that are not stored as such; they are noted as such."""
    places = np.flatnonzero(flagged & (columns.quality & _STRAY == 0)).tolist()
    if places:
        columns.quality = columns.quality | np.where(flagged, _STRAY, 0).astype(np.int16)
    return [(columns.devices[columns.device[i]], int(columns.t_us[i]), columns.event_id[i]) for i in places]


class Recutter:
    """Brings devices up to date from the stored events, from the newest checkpoint that the late event leaves true."""

    def __init__(self, store: SampleStore, cache: StateCache) -> None:
        self._store = store
        self._cache = cache

    async def run(self, uow: UnitOfWork, items: Sequence[Behind], recut: Recut) -> None:
        """Fold these devices anew; the changes of their trips go to the ledger."""
        table, recent = self._cache.table, self._cache.recent
        far: list[Behind] = []
        quick: list[Behind] = []
        for item in items:
            item.before = _Before(table, item.slot)
            since = recent.step_back(item.slot, item.times[0]) if self._may_be_recent(item) else None
            if since is None:
                far.append(item)
                continue
            item.since = since
            quick.append(item)
            if item.times[0] <= self._cache.saved_us(item.slot):
                recut.cleared.append(item.slot)
                await repository_states.drop_marks(uow, item.device_id, item.times[0])
        recent.forget([item.slot for item in far])
        quick += await self._from_checkpoints(uow, far, recut)
        if quick:
            await self._go_on(uow, quick, recut)

    def _may_be_recent(self, item: Behind) -> bool:
        """Tell whether all that is stored of the device went through its state: nothing is missing in memory."""
        return item.stored_us <= self._cache.table.device(item.slot).last_us

    async def _from_checkpoints(self, uow: UnitOfWork, items: Sequence[Behind], recut: Recut) -> list[Behind]:
        """Put devices back to a checkpoint; returns those. The others' sessions are cut anew at once."""
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
            elif not await self._from_mark(uow, item, recut):
                await self._by_session(uow, item, recut)
        return quick

    async def _from_mark(self, uow: UnitOfWork, item: Behind, recut: Recut) -> bool:
        """Fold from the last mark before the late event to the first one at which all is as it was; false without.

        What is folded is then bounded by the distance of marks and the length of a trip, not by that of the session.
        """
        first, table = item.times[0], self._cache.table
        base, later = await repository_states.marks_around(uow, item.device_id, first)
        if base is None or item.times[-1] >= int(table.device(item.slot).last_us):
            return False
        if first - base.at_us > 2e6 * self._cache.options.mark_s:
            return False  # of a session before: this one's beginning is nearer
        live = table.dump(item.slot)
        if not self._load(item.slot, base.state):
            return False
        table.device(item.slot).silent = False
        recut.cleared.append(item.slot)
        wanted, closed = self._since(item), list[Closed]()
        for at_us in later:
            closed += await self._fold_stored(
                uow, item.device_id, (int(table.device(item.slot).last_us) + 1, at_us), item.slot, recut
            )
            mark = await repository_states.mark(uow, item.device_id, at_us)
            again = table.dump(item.slot)
            if at_us >= item.times[-1] and mark is not None and same_state(again, mark.state):
                await self._until(uow, item, wanted, closed, recut)
                table.load(item.slot, live)
                return True
            await repository_states.put_marks(uow, [Mark(item.device_id, at_us, again)], at_us)
        after = int(table.device(item.slot).last_us) + 1
        closed += await self._fold_stored(uow, item.device_id, (after, item.newest_us), item.slot, recut)
        await self._match(uow, [item], [wanted], closed, recut)
        return True

    async def _until(
        self, uow: UnitOfWork, item: Behind, wanted: Since, closed: Sequence[Closed], recut: Recut
    ) -> None:  # fmt: skip
        """Replace the trips up to a mark; those that end after it are as they were."""
        until = int(self._cache.table.device(item.slot).closed_us)
        old = (await repository.trips_since(uow, [wanted])).get(item.device_id, [])
        ended = [trip for trip in old if trip.end_us is not None and trip.end_us <= until]
        recut.ledger.recut(ended, [one.content for one in closed if one.kept], None, until, recut.vehicle_at)

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
        """Put a device back to what was saved; the count of trips and the arrival go on."""
        table = self._cache.table
        now = table.devices[slot].copy()
        if not table.load(slot, saved):
            return False
        device = table.devices[slot]
        device["number"] = max(device["number"], now["number"]) + 1
        table.trips["number"][slot] = device["number"]
        if slot in table.events:
            table.events[slot] = [(e[0], int(device["number"]), *e[2:]) for e in table.events[slot]]
        device["arrival_us"] = max(device["arrival_us"], now["arrival_us"])
        return True

    async def _go_on(self, uow: UnitOfWork, items: Sequence[Behind], recut: Recut) -> None:
        """Fold all that was stored after the devices' states, all devices at once."""
        table, folder = self._cache.table, self._cache.folder
        wanted: dict[int, Since] = {}
        parts = [self._cache.recent.samples([(item.slot, item.since) for item in items if item.since is not None])]
        for item in items:
            device = table.device(item.slot)
            device.silent = False
            wanted[item.slot] = self._since(item)
            if item.since is None:
                after = int(device.last_us) + 1
                parts.append(await self._store.load_columns(uow, item.device_id, after, END_OF_TIME_US))
        columns = forms.join(parts)
        groups = groups_of(columns)
        slots = table.slots([columns.devices[code] for code in groups.codes.tolist()])
        closed, flagged = folder.fold(columns, groups, slots, recut.zones)
        recut.strays += stray_keys(columns, flagged)
        touched = {one.slot for one in closed}
        changed = [item for item in items if item.slot in touched or not item.settled(table)]
        await self._match(uow, changed, [wanted[item.slot] for item in changed], closed, recut)

    async def _match(
        self, uow: UnitOfWork, items: Sequence[Behind], wanted: Sequence[Since], closed: Sequence[Closed], recut: Recut
    ) -> None:
        """Find out which stored trips the trips of devices folded anew are, and which are gone."""
        if not items:
            return
        new: dict[int, list[TripContent]] = {item.slot: [] for item in items}
        for one in closed:
            if one.kept:
                new[one.slot].append(one.content)
        old = await repository.trips_since(uow, wanted)
        current = self._current([item.slot for item in items])
        for item in items:
            until = int(self._cache.table.device(item.slot).last_us)
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
        closed = await self._fold_stored(uow, item.device_id, bounds, slot, recut)
        if not is_last:
            closed += self._cache.folder.view(np.array([slot], np.int64), END_SILENCE)
        new = [one.content for one in closed if one.kept]
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
    ) -> list[Closed]:
        """Fold a stretch of stored events, page by page; returns the trips that this closed."""
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
        return closed
