"""How far each device is stored: its newest event time, remembered by the consumer that stores it."""

from __future__ import annotations

import numpy as np

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.telematics import repository_store
from auto_insurance.telematics.columns import UNKNOWN, Columns, Ints, Mask


class Frontier:
    """Newest stored event times (microseconds since the epoch) of at most ``capacity`` devices.

    Of more, those that were loaded longest ago are forgotten. One consumer's: nobody else stores its devices.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._newest: dict[str, int] = {}
        self._touched: set[str] = set()
        """Devices that the open transaction loaded or advanced."""

    def __len__(self) -> int:
        return len(self._newest)

    async def load(self, uow: UnitOfWork, events: Columns) -> Ints:
        """Return the newest stored time of each of ``events.devices`` that has events, -1 if it has none stored.

        One statement for those that are not known yet. Devices without events get -1 as well.
        """
        newest = np.full(len(events.devices), UNKNOWN, np.int64)
        present = np.flatnonzero(np.bincount(events.device, minlength=len(events.devices))).tolist()
        names = events.devices
        unknown = [names[code] for code in present if names[code] not in self._newest]
        if unknown:
            while len(self._newest) + len(unknown) > self._capacity and self._newest:
                del self._newest[next(iter(self._newest))]
            unknown = [names[code] for code in present if names[code] not in self._newest]
            found = await repository_store.newest_stored(uow, unknown)
            self._newest |= {name: found.get(name, UNKNOWN) for name in unknown}
            self._touched.update(unknown)
        newest[present] = [self._newest[names[code]] for code in present]
        return newest

    def advance(self, events: Columns, fresh: Mask) -> None:
        """Note that these events are stored in the open transaction."""
        newest = np.full(len(events.devices), UNKNOWN, np.int64)
        np.maximum.at(newest, events.device[fresh], events.t_us[fresh])
        codes = np.flatnonzero(newest != UNKNOWN)
        known = self._newest
        for code, t_us in zip(codes.tolist(), newest[codes].tolist(), strict=True):
            name = events.devices[code]
            self._touched.add(name)
            known[name] = max(known[name], t_us)

    def committed(self) -> None:
        """The open transaction committed: what it taught holds."""
        self._touched.clear()

    def rolled_back(self) -> None:
        """The open transaction is lost: forget its devices."""
        for name in self._touched:
            self._newest.pop(name, None)
        self._touched.clear()

    def clear(self) -> None:
        """Forget every device."""
        self._newest.clear()
        self._touched.clear()
