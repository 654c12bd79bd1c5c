"""The sequencer: carries committed outbox rows to the log, in order, one process at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import structlog
from sqlalchemy import BigInteger, delete, func, select
from sqlalchemy.sql.selectable import Select

from auto_insurance.contracts.topics import TELEMATICS_DLQ
from auto_insurance.infra.bus.backoff import Backoff, wait_unless
from auto_insurance.infra.bus.deadletters import DeadLetter, add_dead_letters
from auto_insurance.infra.bus.errors import InvalidRecord
from auto_insurance.infra.bus.faults import describe
from auto_insurance.infra.bus.protocol import EventLog, NewRecord
from auto_insurance.infra.db.locks import leading
from auto_insurance.infra.db.outbox import outbox
from auto_insurance.infra.db.uow import Database, UnitOfWork

log = structlog.get_logger(__name__)
LOCK = "outbox_relay"
UNKNOWN_TOPIC = "unknown_topic"


@runtime_checkable
class TransactionalLog(Protocol):
    """A log that can append in the transaction that empties the outbox: then each event is on it exactly once."""

    async def append_within(self, uow: UnitOfWork, records: Sequence[NewRecord]) -> None: ...


@runtime_checkable
class PublishingLog(Protocol):
    """A log that takes larger records from the product itself than from devices."""

    async def append_published(self, records: Sequence[NewRecord]) -> None: ...


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """Sizes and times of the sequencer."""

    max_rows: int = 500
    max_bytes: int = 8 * 1024 * 1024
    poll_first_s: float = 0.05
    poll_most_s: float = 0.5
    """An empty outbox is looked at ever less often, down to this."""
    backoff_first_s: float = 0.2
    backoff_most_s: float = 10.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    id: int
    topic: str
    key: str
    value: bytes

    def record(self) -> NewRecord:
        return NewRecord(self.topic, self.key, self.value)


class OutboxRelay:
    """Moves rows from the outbox to the log.

    On a :class:`TransactionalLog` the move is one transaction. On any other the rows are deleted after a durable
    append: a crash in between appends them again, with the same event ids.
    """

    def __init__(
        self,
        database: Database,
        log: EventLog,
        options: RelayOptions | None = None,
        *,
        wake: asyncio.Event | None = None,
    ) -> None:
        self._database = database
        self._log = log
        self._options = options or RelayOptions()
        self._wake = wake or asyncio.Event()
        self._known: set[str] = set()

    def wake(self) -> None:
        """Look at once; for those who know that something was published."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Move rows until ``stop`` is set; waits faults out."""
        idle = Backoff(self._options.poll_first_s, self._options.poll_most_s)
        trouble = Backoff(self._options.backoff_first_s, self._options.backoff_most_s)
        while not stop.is_set():
            self._wake.clear()
            try:
                moved = await self.relay_once()
            except Exception as error:
                pause = trouble.next()
                log.warning("outbox_relay_paused", error=describe(error), pause_s=round(pause, 2))
                await wait_unless(stop, pause)
                continue
            trouble.reset()
            if moved:
                idle.reset()
            else:
                await self._rest(stop, idle.next())

    async def relay_once(self) -> int:
        """Move the oldest rows; returns how many, 0 also when another process is the sequencer."""
        async with leading(self._database, LOCK) as uow:
            if uow is None:
                return 0
            within = self._log if isinstance(self._log, TransactionalLog) else None
            rows = await (self._take(uow) if within else self._peek(uow))
            good, lost = await self._sort(rows)
            if good and within is not None:
                await within.append_within(uow, [row.record() for row in good])
            elif good:
                await self._append([row.record() for row in good])
            await add_dead_letters(uow, [_letter(row) for row in lost])
            if rows and within is None:
                await uow.conn.execute(delete(outbox).where(outbox.c.id.in_([row.id for row in rows])))
        return len(rows)

    async def _append(self, records: Sequence[NewRecord]) -> None:
        if isinstance(self._log, PublishingLog):
            await self._log.append_published(records)
        else:
            await self._log.append(records)

    async def _take(self, uow: UnitOfWork) -> list[_Waiting]:
        query = delete(outbox).where(outbox.c.id.in_(self._chosen()))
        rows = await uow.conn.execute(query.returning(outbox.c.id, outbox.c.topic, outbox.c.key, outbox.c.value))
        return sorted((_Waiting(*row) for row in rows), key=lambda row: row.id)

    async def _peek(self, uow: UnitOfWork) -> list[_Waiting]:
        query = select(outbox.c.id, outbox.c.topic, outbox.c.key, outbox.c.value)
        rows = await uow.conn.execute(query.where(outbox.c.id.in_(self._chosen())).order_by(outbox.c.id))
        return [_Waiting(*row) for row in rows]

    def _chosen(self) -> Select[tuple[int]]:
        """Ids of the oldest rows, up to both limits, one at least."""
        size = func.octet_length(outbox.c.value, type_=BigInteger)
        oldest = select(outbox.c.id, size.label("size")).order_by(outbox.c.id).limit(self._options.max_rows).subquery()
        before = (func.sum(oldest.c.size).over(order_by=oldest.c.id) - oldest.c.size).label("before")
        summed = select(oldest.c.id, before).subquery()
        return select(summed.c.id).where(summed.c.before < self._options.max_bytes)

    async def _sort(self, rows: Sequence[_Waiting]) -> tuple[list[_Waiting], list[_Waiting]]:
        """Part rows whose topic exists from those that no log will ever take."""
        for topic in {row.topic for row in rows} - self._known:
            try:
                await self._log.topic_id(topic)
            except InvalidRecord:
                if topic == TELEMATICS_DLQ:
                    raise  # nowhere to send a dead letter to: the topics have not been made yet
            else:
                self._known.add(topic)
        good = [row for row in rows if row.topic in self._known]
        return good, [row for row in rows if row.topic not in self._known]

    async def _rest(self, stop: asyncio.Event, seconds: float) -> None:
        """Wait for news, the stop or the time, whichever comes first."""
        waits = [asyncio.create_task(self._wake.wait()), asyncio.create_task(stop.wait())]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


def _letter(row: _Waiting) -> DeadLetter:
    return DeadLetter(
        topic=row.topic,
        partition=0,
        offset=row.id,
        index_in_record=None,
        key=row.key,
        reason=UNKNOWN_TOPIC,
        detail="the outbox row's topic does not exist; offset is the row's id",
        value=row.value,
        group=LOCK,
    )
