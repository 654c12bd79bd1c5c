"""How far each device is stored: its newest event time, remembered by the consumer that stores it."""

from __future__ import annotations

import numpy as np

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.telematics import repository_store
from auto_insurance.telematics.columns import UNKNOWN, Columns, Ints, Mask


class Frontier:
    """Newest stored event times (microseconds since the epoch) of at most ``capacity`` devices.

    With more, all are forgotten and those of the batch are read. One consumer's: nobody else stores its devices.
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
        present = np.flatnonzero(np.bincount(events.device, minlength=len(events.devices)))
        names = [events.devices[code] for code in present.tolist()]
        times = [*map(self._newest.get, names)]
        if None in times:
            unknown = [name for name, t_us in zip(names, times, strict=True) if t_us is None]
            if len(self._newest) + len(unknown) > self._capacity:
                self._newest.clear()
                unknown = names
            found = await repository_store.newest_stored(uow, unknown)
            self._newest |= {name: found.get(name, UNKNOWN) for name in unknown}
            self._touched.update(unknown)
            times = [*map(self._newest.get, names)]
        newest = np.full(len(events.devices), UNKNOWN, np.int64)
        newest[present] = np.array(times, np.int64)
        return newest

    def advance(self, events: Columns, fresh: Mask, newest: Ints) -> None:
        """Note that these events are stored in the open transaction; ``newest`` is what :meth:`load` returned."""
        reached = newest.copy()
        np.maximum.at(reached, events.device[fresh], events.t_us[fresh])
        codes = np.flatnonzero(reached > newest)
        names = [events.devices[code] for code in codes.tolist()]
        self._newest.update(zip(names, reached[codes].tolist(), strict=True))
        self._touched.update(names)

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
