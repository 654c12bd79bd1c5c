"""Runs the compiled rules over a batch and reads what they put out. Pure."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auto_insurance.telematics.columns import Columns
from auto_insurance.trips import native, segment
from auto_insurance.trips.compiled import bases, folder_of_rules, one_at_a_time
from auto_insurance.trips.contents import Closed, EventTuple, content_of
from auto_insurance.trips.detect import Out
from auto_insurance.trips.rules import TripRules
from auto_insurance.trips.segment import CLOSING_ROOM, DISORDER, EVENT_ROOM, FULL, Batch
from auto_insurance.trips.state import CLOSING, EVENT, KIND_COUNT, TRIP, Longs, numbers_of
from auto_insurance.trips.table import DeviceTable

EVENTS_AT_ONCE, CLOSINGS_AT_ONCE = 4_096, 512


@dataclass(frozen=True, slots=True)
class Groups:
    """Samples by device: those of ``codes[g]`` are ``order[starts[g]:ends[g]]``, by time and id."""

    order: Longs
    codes: Longs
    starts: Longs
    ends: Longs

    def where(self, mask: NDArray[np.bool_]) -> Groups:
        """Return the groups for which ``mask`` holds."""
        return Groups(self.order, self.codes[mask], self.starts[mask], self.ends[mask])


def groups_of(columns: Columns) -> Groups:
    """Sort samples into groups."""
    order = columns.order()
    device = columns.device[order]
    starts = np.flatnonzero(np.concatenate(([True], device[1:] != device[:-1]))) if len(order) else order
    ends = np.append(starts[1:], len(order)).astype(np.int64)
    return Groups(order, device[starts].astype(np.int64), starts.astype(np.int64), ends)


_native: native.Native | None = None
_one_warms = Lock()
COMPILE_S = 300.0


def warm() -> float:
    """Load the rules' machine code, made before if need be; returns how many seconds that took, 0 if it was there.

    Until then the rules run as the Python that they are, a hundred times slower. Raises ``CodeError``.
    """
    global _native
    with _one_warms:
        if _native is not None:
            return 0.0
        began = time.monotonic()
        folder = folder_of_rules(bases(), native.version())
        if folder is not None:
            _native = native.load(_made(folder))
        else:
            with tempfile.TemporaryDirectory() as own:
                _native = native.load(_made(Path(own)))
        return time.monotonic() - began


def _made(folder: Path) -> bytes:
    """Return what lies in the folder; the first who comes has it made."""
    target = folder / "rules.bin"
    with one_at_a_time(folder):
        if not target.exists():
            command = [sys.executable, "-m", "auto_insurance.trips.compiler", str(target)]
            try:
                subprocess.run(command, check=True, timeout=COMPILE_S, capture_output=True)
            except (subprocess.SubprocessError, OSError) as error:
                said = getattr(error, "stderr", None) or b""
                raise native.CodeError(f"rules were not compiled: {said.decode(errors='replace')[-2000:]}") from error
        return target.read_bytes()


class Folder:
    """Folds batches into a table of devices."""

    def __init__(self, table: DeviceTable, rules: TripRules) -> None:
        self.table = table
        self.rules = rules
        self._out = _new_out(EVENTS_AT_ONCE + EVENT_ROOM, CLOSINGS_AT_ONCE + CLOSING_ROOM)

    def fold(
        self, columns: Columns, groups: Groups, slots: Longs, zones: Mapping[str, str]
    ) -> tuple[list[Closed], NDArray[np.bool_]]:
        """Fold samples, each group in order and not before its device's last one, into the device in its slot.

        ``zones`` gives the time zone of each driver; UTC where it does not. Returns the closed trips in order and, by
        row, which samples can't be reached at 160 mph. Raises ``ValueError`` for samples out of order.
        """
        table = self.table
        batch = self._batch(columns, groups, slots, zones)
        out = self._out._replace(flagged=np.zeros(len(columns), np.bool_), cursor=np.zeros(4, np.int64))
        closed: list[Closed] = []
        clock = table.clock
        fold, how = (_native or segment).fold, FULL
        while how == FULL:
            how = fold(table.tables, batch, clock, out)
            if how == DISORDER:
                raise ValueError("samples must come in order")
            closed += self._read(out)
            out.cursor[2:] = 0
        self._drop_old_events(slots)
        return closed, out.flagged

    def view(self, slots: Longs, reason: int) -> list[Closed]:
        """Return the confirmed open trips of devices as if they ended now for a reason; nothing changes."""
        out = _new_out(len(slots) * KIND_COUNT, len(slots))
        (_native or segment).view(self.table.tables, slots, out, reason)
        return self._contents(out, out.events[: out.cursor[2]].tolist())

    def _batch(self, columns: Columns, groups: Groups, slots: Longs, zones: Mapping[str, str]) -> Batch:
        table = self.table
        return Batch(
            slots=slots,
            starts=groups.starts,
            ends=groups.ends,
            order=groups.order,
            driver=_plain(columns.driver, np.int32),
            drivers=table.drivers.numbers(columns.drivers),
            zones=table.zones.numbers([zones.get(driver, "UTC") for driver in columns.drivers]),
            t_us=_plain(columns.t_us, np.int64),
            received_us=_plain(columns.received_us, np.int64),
            latitude=_plain(columns.latitude, np.float64),
            longitude=_plain(columns.longitude, np.float64),
            speed_mph=_plain(columns.speed_mph, np.float32),
            accel_g=_plain(columns.accel_g, np.float32),
            lateral_g=_plain(columns.lateral_g, np.float32),
            heading_deg=_plain(columns.heading_deg, np.float32),
            gps_accuracy_m=_plain(columns.gps_accuracy_m, np.float32),
            speed_limit_mph=_plain(columns.speed_limit_mph, np.float32),
            event_type=_plain(columns.event_type, np.int8),
            phone_in_use=_plain(columns.phone_in_use, np.int8),
            quality=_plain(columns.quality, np.int16),
        )

    def _read(self, out: Out) -> list[Closed]:
        """Keep the events that were put out, and return the trips that were closed, with theirs."""
        table = self.table
        for event in out.events[: out.cursor[2]].tolist():
            table.events.setdefault(event[0], []).append(event)
        return self._contents(out, ())

    def _contents(self, out: Out, more: Iterable[EventTuple]) -> list[Closed]:
        table = self.table
        extra: dict[int, list[EventTuple]] = {}
        for event in more:
            extra.setdefault(event[0], []).append(event)
        closed = []
        for place in range(int(out.cursor[3])):
            closing, trip = numbers_of(out.closings[place]), numbers_of(out.closed[place])
            slot, number = closing["slot"], trip["number"]
            events = [*table.events_of(slot, number), *extra.get(slot, ())]
            owner = table.owner(slot, closing["driver"], closing["zone"])
            known, ref = table.refs.get(slot, (-1, None))
            content = content_of(trip, closing, owner, events, self.rules)
            closed.append(Closed(slot, content, closing["kept"], ref if known == number else None))
        return closed

    def _drop_old_events(self, slots: Longs) -> None:
        """Forget the events of trips that are over."""
        events = self.table.events
        if not events:
            return
        for slot in events.keys() & set(slots.tolist()):
            device = self.table.device(slot)
            events[slot] = self.table.events_of(slot, device.number) if device.open else []
            if not events[slot]:
                del events[slot]


def _new_out(events: int, closings: int) -> Out:
    return Out(
        np.zeros(events, EVENT),
        np.zeros(closings, CLOSING),
        np.zeros(closings, TRIP),
        np.zeros(0, np.bool_),
        np.zeros(4, np.int64),
    )


def _plain(values: NDArray[Any], dtype: type) -> NDArray[Any]:
    """Return an array in the one form that the rules are compiled for."""
    return np.require(values, dtype, ["C", "W", "A"])
