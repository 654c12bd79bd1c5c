"""Device states between batches: loaded once per batch, cached while the partition is held, saved in one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from auto_insurance.infra.bus.protocol import TopicPartition
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.errors import Unavailable
from auto_insurance.trips import repository
from auto_insurance.trips.repository import StateRow
from auto_insurance.trips.state import DeviceState, dump_state, load_state


class StateConflict(Unavailable):
    """Somebody else wrote a device's state since it was read; reading the batch again helps."""

    code = "device_state_conflict"


class Tracked(msgspec.Struct):
    """A device's state with what is stored beside it."""

    state: DeviceState
    tp: TopicPartition
    version: int
    last_event_us: int
    last_arrival: datetime
    silence_deadline: datetime | None = None


class StateCache:
    """At most ``capacity`` devices; of more, those of the longest unchanged batches are forgotten first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._known: dict[str, Tracked] = {}

    def __len__(self) -> int:
        return len(self._known)

    async def load(self, uow: UnitOfWork, device_ids: Iterable[str]) -> dict[str, Tracked]:
        """Return the states of these devices, as far as they have one; one query for those not cached."""
        known = self._known
        found = {device_id: known[device_id] for device_id in device_ids if device_id in known}
        missing = [device_id for device_id in device_ids if device_id not in found]
        if missing:
            rows = await repository.load_states(uow, missing)
            found |= {device_id: tracked(row) for device_id, row in rows.items()}
        return found

    async def save(self, uow: UnitOfWork, states: Sequence[Tracked]) -> None:
        """Write states and keep them; raises :class:`StateConflict` if one was outdated."""
        rows = []
        for item in states:
            item.version += 1
            rows.append(_row(item))
        if await repository.save_states(uow, rows) != len(rows):
            raise StateConflict("a device's state was written by another worker")
        for item in states:
            self._known.pop(item.state.device_id, None)
            self._known[item.state.device_id] = item
        while len(self._known) > self._capacity:
            del self._known[next(iter(self._known))]

    def forget(self, device_ids: Iterable[str]) -> None:
        """Forget some devices: the database knows better."""
        for device_id in device_ids:
            self._known.pop(device_id, None)

    def forget_partitions(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget the devices of partitions that somebody else has now."""
        gone = frozenset(partitions)
        self._known = {key: item for key, item in self._known.items() if item.tp not in gone}

    def clear(self) -> None:
        """Forget everything: the transaction that it was changed in did not commit."""
        self._known.clear()


def tracked(row: StateRow) -> Tracked:
    """Return a stored state ready for use."""
    return Tracked(
        state=load_state(row.state),
        tp=TopicPartition(row.topic, row.partition),
        version=row.version,
        last_event_us=row.last_event_us,
        last_arrival=row.last_arrival,
        silence_deadline=row.silence_deadline,
    )


def _row(item: Tracked) -> StateRow:
    fields: dict[str, Any] = {
        "device_id": item.state.device_id,
        "topic": item.tp.topic,
        "partition": item.tp.partition,
        "version": item.version,
        "state": dump_state(item.state),
        "last_event_us": item.last_event_us,
        "last_arrival": item.last_arrival,
        "silence_deadline": item.silence_deadline,
        "units_suspect": item.state.units_suspect,
    }
    return StateRow(**fields)
