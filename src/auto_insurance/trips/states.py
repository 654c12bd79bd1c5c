"""Devices in memory, and their checkpoints in the database.

A device's state is a function of its stored events, so what is written of it is only a short cut: a checkpoint now and
then, not one per batch. Who has a device not in memory takes the checkpoint and folds what was stored since.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auto_insurance.infra.bus.protocol import TopicPartition
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.clock import from_us
from auto_insurance.kernel.errors import Unavailable
from auto_insurance.trips import repository_states
from auto_insurance.trips.fold import Folder
from auto_insurance.trips.recent import Recent
from auto_insurance.trips.repository_states import SHIFT, Mark, StateRow
from auto_insurance.trips.rules import TripRules
from auto_insurance.trips.state import Longs, numbers_of
from auto_insurance.trips.table import DeviceTable
from auto_insurance.trips.track import UNITS

_KEPT = np.dtype(
    [("version", np.int64), ("touched", np.int64), ("saved_at", np.float64), ("tp", np.int64), ("saved_us", np.int64)]
)
_GOLDEN = 0.6180339887498949


class StateConflict(Unavailable):
    """Somebody else wrote a device's state since it was read; reading the batch again helps."""

    code = "device_state_conflict"


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """How trips are followed.

    ``settle_s``: how long after the last arrival silence may close a trip. ``page_s``: how much of a session is read at
    a time. ``max_cached``: devices kept in memory. ``silent_at_once``: trips closed per tick. ``save_samples``,
    ``save_s``: a device's checkpoint is written when it lacks about as many samples, or is about as old (half to one
    and a half times, so that devices take turns). ``older_s``: how far the older checkpoint lies behind at least.
    ``mark_s``: how much of a session lies between marks; ``keep_marks_s``: how long they stay. ``recent_samples``: how
    many of the last batches stay in memory for late events.
    """

    settle_s: float = 30.0
    page_s: float = 6 * 3600.0
    max_cached: int = 20_000
    silent_at_once: int = 500
    save_samples: int = 600
    save_s: float = 120.0
    older_s: float = 120.0
    mark_s: float = 6 * 3600.0
    keep_marks_s: float = 31 * 86_400.0
    recent_samples: int = 80_000


class StateCache:
    """At most ``max_cached`` devices; of more, those of the longest unchanged batches are forgotten first."""

    def __init__(self, rules: TripRules, options: TraceOptions) -> None:
        self.rules = rules
        self.options = options
        self.clear()

    def __len__(self) -> int:
        return len(self.table)

    def clear(self) -> None:
        """Forget everything: the transaction that it was changed in did not commit."""
        self.table = DeviceTable(self.rules)
        self.folder = Folder(self.table, self.rules)
        self._kept = np.zeros(len(self.table.devices), _KEPT)
        self._tps: dict[TopicPartition, int] = {}
        self._batch = 0
        self.recent = Recent(self.table, self.options.recent_samples)

    async def load(self, uow: UnitOfWork, device_ids: Sequence[str]) -> Longs:
        """Return the slots of these devices; one query for those not in memory. Unknown ones are blank."""
        slots = self.table.slots(device_ids)
        missing = np.flatnonzero(slots < 0).tolist()
        if missing:
            rows = await repository_states.load_states(uow, [device_ids[place] for place in missing])
            for place in missing:
                slots[place] = self.put(device_ids[place], rows.get(device_ids[place]))
        return slots

    def put(self, device_id: str, row: StateRow | None) -> int:
        """Give a device a slot, with its checkpoint if it has one; returns the slot."""
        slot = self.table.add(device_id)
        if slot >= len(self._kept):
            self._kept = np.concatenate([self._kept, np.zeros(len(self.table.devices) - len(self._kept), _KEPT)])
        self._kept[slot] = (0, self._batch, time.monotonic(), -1, -1)
        if row is not None:
            self.table.load(slot, row.state)
            self._kept["version"][slot], self._kept["saved_us"][slot] = row.version, row.last_event_us
            self._kept["tp"][slot] = self._tp(TopicPartition(row.topic, row.partition))
        return slot

    def _tp(self, tp: TopicPartition) -> int:
        return self._tps.setdefault(tp, len(self._tps))

    def touch(self, slots: Longs, partitions: Iterable[TopicPartition]) -> None:
        """Note that these devices are part of the batch, and which partition each came from."""
        self._batch += 1
        self._kept["touched"][slots] = self._batch
        self._kept["tp"][slots] = [self._tp(tp) for tp in partitions]

    def saved_us(self, slot: int) -> int:
        """Return how far the device's checkpoint reaches, -1 without one."""
        return int(self._kept["saved_us"][slot])

    def due(self, slots: Longs) -> NDArray[np.bool_]:
        """Return which of these devices should have a new checkpoint."""
        share = 0.5 + (slots * _GOLDEN) % 1.0
        unsaved = self.table.devices["unsaved"][slots]
        age = time.monotonic() - self._kept["saved_at"][slots]
        options = self.options
        found: NDArray[np.bool_] = unsaved >= options.save_samples * share
        return found | ((unsaved > 0) & (age >= options.save_s * share))

    async def save(self, uow: UnitOfWork, slots: Sequence[int], older: int = SHIFT) -> None:
        """Write checkpoints, and marks where it is time; raises :class:`StateConflict` if one was outdated.

        ``older``: what becomes of the older checkpoint, see ``repository_states``.
        """
        if not slots:
            return
        rows, marks = [], []
        names = list(self._tps)
        mark_us = int(self.options.mark_s * 1e6)
        for slot in slots:
            device = self.table.device(slot)
            marked = device.last_us - device.marked_us >= mark_us
            if marked:
                device.marked_us = device.last_us
            device.unsaved = 0
            kept = self._kept[slot]
            kept["version"] += 1
            kept["saved_at"], kept["saved_us"] = time.monotonic(), device.last_us
            rows.append(self._row(slot, names[kept["tp"]], int(kept["version"])))
            if marked:
                marks.append(Mark(rows[-1].device_id, rows[-1].last_event_us, rows[-1].state))
        apart_us = int(self.options.older_s * 1e6)
        if await repository_states.save_states(uow, rows, older, apart_us) != len(rows):
            raise StateConflict("a device's state was written by another worker")
        await repository_states.put_marks(uow, marks, int(self.options.keep_marks_s * 1e6))

    def _row(self, slot: int, tp: TopicPartition, version: int) -> StateRow:
        device = numbers_of(self.table.devices[slot])
        deadline = self.deadline_us(slot)
        return StateRow(
            device_id=self.table.ids[slot],
            topic=tp.topic,
            partition=tp.partition,
            version=version,
            state=self.table.dump(slot),
            last_event_us=device["last_us"],
            last_arrival=from_us(device["arrival_us"]),
            silence_deadline=None if deadline is None else from_us(deadline),
            units_suspect=UNITS[device["units_suspect"]],
        )

    def deadline_us(self, slot: int) -> int | None:
        """Return until when silence must last to close the open trip; None without one."""
        device = numbers_of(self.table.devices[slot])
        if not device["open"] or device["silent"] or not self.table.trips["confirmed"][slot]:
            return None
        settled: int = device["arrival_us"] + int(self.options.settle_s * 1e6)
        silent: int = device["last_us"] + self.rules.session_gap_us
        return max(silent, settled)

    async def shrink(self, uow: UnitOfWork) -> None:
        """Forget the devices that are too many, once they are saved."""
        excess = len(self.table) - self.options.max_cached
        if excess <= 0:
            return
        slots = np.fromiter(self.table.slot_of.values(), np.int64, len(self.table))
        oldest = slots[np.argsort(self._kept["touched"][slots], kind="stable")[:excess]].tolist()
        await self.save(uow, [slot for slot in oldest if self.table.device(slot).unsaved])
        for slot in oldest:
            self.table.remove(slot)
            self.recent.forget([slot])

    def forget_partitions(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget the devices of partitions that somebody else has now."""
        gone = [self._tps[tp] for tp in partitions if tp in self._tps]
        for slot in list(self.table.slot_of.values()):
            if self._kept["tp"][slot] in gone:
                self.table.remove(slot)
                self.recent.forget([slot])
