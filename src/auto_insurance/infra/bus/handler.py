"""What the runner runs: a handler turns a batch of records into rows, in the transaction that moves the offset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from auto_insurance.infra.bus.protocol import Record, TopicPartition
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Batch:
    """Records in order per partition, at least one."""

    records: Sequence[Record]
    prepared: object = None
    """What ``prepare`` of a :class:`Preparing` handler made of exactly these records, or ``None``."""


class Handler(Protocol):
    """A consumer group's work.

    The runner opens the transaction, calls ``handle``, writes dead letters for ``Dead`` outcomes, moves the offsets by
    compare-and-set and commits. Whatever ``handle`` cached in memory about a batch counts only after ``committed``.
    """

    @property
    def group(self) -> str: ...

    @property
    def topics(self) -> Sequence[str]: ...

    async def handle(self, uow: UnitOfWork, batch: Batch) -> Sequence[Outcome[None]]:
        """Return one outcome per record. An exception rolls the whole batch back.

        The runner then splits the batch, until the record that fails by itself is found and put with the dead letters.
        Faults of the database (``infra.db.faults.is_transient``) and ``Unavailable`` are waited out instead.
        """
        ...

    def committed(self) -> None:
        """The transaction of the last ``handle`` or ``tick`` committed."""
        ...

    def rolled_back(self) -> None:
        """It did not: forget what it cached."""
        ...

    async def tick(self, uow: UnitOfWork, caught_up: Mapping[TopicPartition, datetime]) -> None:
        """Time passes: called about once a second in a transaction of its own, also when nothing arrives.

        ``caught_up`` tells, for each assigned partition, the instant up to which every record that had arrived has been
        handled and committed: now, if the consumer is at the end; the last handled record's arrival time otherwise. A
        partition of which neither is known yet is left out. The transaction holds the partitions: an owner that lost
        one of them meanwhile is rolled back. An exception is logged and the tick comes again.
        """
        ...

    async def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """These partitions belong to somebody else now: forget their state."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """A handler with work that needs no transaction, such as decoding: done while the batch before is in PostgreSQL."""

    def prepare(self, records: Sequence[Record]) -> object:
        """Return what ``handle`` will find in ``Batch.prepared``.

        Runs on the event loop. A batch that was cut or split is handled without it.
        """
        ...
