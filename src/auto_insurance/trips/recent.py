"""What lately came, in memory: a late event folds a device anew from a moment ago without asking the database. Pure.

Of each device two states are remembered, a few batches apart, and of the last batches the samples. A state is good for
a late event that lies after it, as long as all samples since are remembered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from auto_insurance.telematics import columns as forms
from auto_insurance.telematics.columns import Columns
from auto_insurance.trips.contents import EventTuple
from auto_insurance.trips.fold import Groups
from auto_insurance.trips.state import DEVICE, TRIP, Longs, Rows
from auto_insurance.trips.table import DeviceTable

BATCHES_APART = 4
NEWER, OLDER = 0, 1


class _Batch(NamedTuple):
    number: int
    columns: Columns
    groups: Groups
    slots: Longs
    by_slot: NDArray[np.intp]


class Recent:
    """Remembered states and batches; at most ``samples`` samples. One table's: a cleared table needs a new one."""

    def __init__(self, table: DeviceTable, samples: int) -> None:
        self._table = table
        self._limit = samples
        self._batches: deque[_Batch] = deque()
        self._held = 0
        self._number = 0
        self._since = np.full((2, 0), -1, np.int64)
        """By state and slot: the batch that came after it, -1 without one."""
        self._taken = np.zeros(0, np.int64)
        self._devices: list[Rows] = [np.zeros(0, DEVICE), np.zeros(0, DEVICE)]
        self._trips: list[Rows] = [np.zeros(0, TRIP), np.zeros(0, TRIP)]
        self._events: list[dict[int, list[EventTuple]]] = [{}, {}]

    def _grow(self) -> None:
        more = len(self._table.devices) - len(self._taken)
        if more > 0:
            self._since = np.concatenate([self._since, np.full((2, more), -1, np.int64)], axis=1)
            self._taken = np.concatenate([self._taken, np.zeros(more, np.int64)])
            self._devices = [np.concatenate([rows, np.zeros(more, DEVICE)]) for rows in self._devices]
            self._trips = [np.concatenate([rows, np.zeros(more, TRIP)]) for rows in self._trips]

    def forget(self, slots: Longs | Sequence[int]) -> None:
        """Forget the states of these devices: they are not true any more, or of another device."""
        self._grow()
        self._since[:, slots] = -1

    def begin(self, slots: Longs) -> None:
        """A batch for these devices, up to date all of them, is about to be folded."""
        self._grow()
        self._number += 1
        self._taken[slots] += 1
        turn = slots[(self._taken[slots] > BATCHES_APART) | (self._since[NEWER][slots] < 0)]
        if not len(turn):
            return
        self._taken[turn] = 1
        for rows in (self._devices, self._trips, self._since):
            rows[OLDER][turn] = rows[NEWER][turn]
        self._devices[NEWER][turn] = self._table.devices[turn]
        self._trips[NEWER][turn] = self._table.trips[turn]
        self._since[NEWER][turn] = self._number
        self._turn_events(turn)

    def _turn_events(self, turn: Longs) -> None:
        known = self._events[NEWER].keys() | self._events[OLDER].keys() | self._table.events.keys()
        for slot in known & set(turn.tolist()) if known else ():
            self._events[OLDER][slot] = self._events[NEWER].pop(slot, [])
            self._events[NEWER][slot] = list(self._table.events.get(slot, ()))

    def end(self, columns: Columns, groups: Groups, slots: Longs) -> None:
        """Remember the samples of the batch that began last."""
        self._batches.append(_Batch(self._number, columns, groups, slots, np.argsort(slots, kind="stable")))
        self._held += len(columns)
        while self._held > self._limit and self._batches:
            self._held -= len(self._batches.popleft().columns)

    def step_back(self, slot: int, first_us: int) -> int | None:
        """Put a device back to its newest remembered state before ``first_us``; returns which batch came next.

        States after it are forgotten. None, and nothing done, without such a state.
        """
        self._grow()
        oldest = self._batches[0].number if self._batches else self._number + 1
        for which in (NEWER, OLDER):
            since = int(self._since[which][slot])
            if since < oldest or int(self._devices[which]["last_us"][slot]) >= first_us:
                continue
            if which == OLDER:
                self._devices[NEWER][slot] = self._devices[OLDER][slot]
                self._trips[NEWER][slot] = self._trips[OLDER][slot]
                self._events[NEWER][slot] = self._events[OLDER].get(slot, [])
                self._since[NEWER][slot], self._since[OLDER][slot] = since, -1
            self._table.devices[slot] = self._devices[which][slot]
            self._table.trips[slot] = self._trips[which][slot]
            self._table.events[slot] = list(self._events[which].get(slot, ()))
            return since
        return None

    def samples(self, wanted: Sequence[tuple[int, int]]) -> Columns:
        """Return the remembered samples of devices: (slot, from which batch on)."""
        slots = np.array([slot for slot, _ in wanted], np.int64)
        since = np.array([batch for _, batch in wanted], np.int64)
        parts = []
        for batch in self._batches:
            ours = slots[since <= batch.number]
            found = np.searchsorted(batch.slots, ours, sorter=batch.by_slot)
            places = batch.by_slot[np.minimum(found, len(batch.slots) - 1)] if len(batch.slots) else batch.by_slot
            hits = places[batch.slots[places] == ours] if len(places) else places
            rows = [
                batch.groups.order[batch.groups.starts[group] : batch.groups.ends[group]] for group in hits.tolist()
            ]
            if rows:
                parts.append(batch.columns.take(np.concatenate(rows)))
        return forms.join(parts) if parts else forms.empty()
