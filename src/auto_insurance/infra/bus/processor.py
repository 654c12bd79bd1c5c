"""One batch, one transaction: rows, dead letters and the move of the offsets together."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import structlog

from auto_insurance.infra import metrics
from auto_insurance.infra.bus import offsets
from auto_insurance.infra.bus.deadletters import DeadLetter, add_dead_letters
from auto_insurance.infra.bus.errors import Fenced
from auto_insurance.infra.bus.faults import Fault, RetryLater, classify, describe
from auto_insurance.infra.bus.handler import Batch, Handler
from auto_insurance.infra.bus.progress import Progress
from auto_insurance.infra.bus.protocol import Record, TopicPartition
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel.outcome import Dead, Drop, Ok, Outcome, Retry

log = structlog.get_logger(__name__)
HANDLER_ERROR = "handler_error"
_STATUS: dict[type, str] = {Dead: "dead", Drop: "duplicate"}


class Processor:
    """Takes records through a handler and isolates what can't be handled."""

    def __init__(
        self, database: Database, handler: Handler, progress: Progress, *, attempts: int, pause_s: float
    ) -> None:
        self._database = database
        self._handler = handler
        self._progress = progress
        self._attempts = attempts
        self._pause_s = pause_s

    async def process(self, records: Sequence[Record], prepared: object = None) -> None:
        """Handle records; on return all of them are committed. ``prepared`` is the handler's own, if it made it.

        Raises ``Fenced``, ``RetryLater`` or the passing fault itself: then a part may be committed, and the claims in
        the progress say where to read on.
        """
        try:
            await self._commit(Batch(records, prepared))
        except Fenced:
            raise
        except Exception as error:
            fault = classify(error)
            if fault is Fault.PASSING or (fault is Fault.SLOW and len(records) == 1):
                raise
            if len(records) > 1:
                log.warning("batch_failed", group=self._handler.group, records=len(records), error=describe(error))
                middle = len(records) // 2
                await self.process(records[:middle])
                await self.process(records[middle:])
            else:
                await self._insist(records[0], error)

    async def _insist(self, record: Record, error: Exception) -> None:
        for _ in range(self._attempts - 1):
            await asyncio.sleep(self._pause_s)
            try:
                return await self._commit(Batch([record]))
            except Fenced:
                raise
            except Exception as again:
                if classify(again) is not Fault.OWN:
                    raise
                error = again
        log.error(
            "record_failed",
            group=self._handler.group,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            attempts=self._attempts,
            error=describe(error),
        )
        return await self._commit(Batch([record]), [Dead(HANDLER_ERROR, describe(error))])

    async def _commit(self, batch: Batch, decided: Sequence[Outcome[None]] | None = None) -> None:
        handler, records = self._handler, batch.records
        lasts = {TopicPartition(*key): last for key, last in _lasts(records).items()}
        moves = {tp: last.offset + 1 for tp, last in lasts.items()}
        started = time.perf_counter()
        try:
            async with self._database.begin() as uow:
                # First, so that one who lost a partition fails before it works.
                await offsets.advance(uow, handler.group, self._progress.claims, moves)
                outcomes = decided or await handler.handle(uow, batch)
                dead = _check(records, outcomes)
                if dead:
                    await add_dead_letters(uow, [_letter(handler.group, records[n], how) for n, how in dead])
        except BaseException:
            handler.rolled_back()
            raise
        handler.committed()
        self._progress.advanced(lasts)
        self._count(records, outcomes, {tp.topic for tp in lasts}, time.perf_counter() - started)
        metrics.KAFKA_OFFSET_COMMITS_TOTAL.inc(len(moves))

    def _count(
        self, records: Sequence[Record], outcomes: Sequence[Outcome[None]], topics: set[str], seconds: float
    ) -> None:
        if len(topics) == 1:
            [only] = topics
            kinds = {(only, kind): number for kind, number in Counter(map(type, outcomes)).items()}
        else:
            kinds = dict(Counter((r.topic, type(outcome)) for r, outcome in zip(records, outcomes, strict=True)))
        for (topic, kind), number in kinds.items():
            metrics.KAFKA_MESSAGES_PROCESSED_TOTAL.labels(topic, _STATUS.get(kind, "ok")).inc(number)
        for topic in topics:
            metrics.KAFKA_MESSAGE_PROCESSING_SECONDS.labels(topic).observe(seconds)


def _lasts(records: Sequence[Record]) -> dict[tuple[str, int], Record]:
    """Return the last record of each partition: later ones take the place of earlier ones."""
    return {(record.topic, record.partition): record for record in records}


def _check(records: Sequence[Record], outcomes: Sequence[Outcome[None]]) -> list[tuple[int, Dead]]:
    """Return which records are dead. Raises ``RetryLater``."""
    if len(outcomes) != len(records):
        raise RuntimeError(f"the handler gave {len(outcomes)} outcomes for {len(records)} records")
    rare = [(number, outcome) for number, outcome in enumerate(outcomes) if not isinstance(outcome, Ok)]
    for _, outcome in rare:
        if isinstance(outcome, Retry):
            raise RetryLater(outcome.reason)
    return [(number, outcome) for number, outcome in rare if isinstance(outcome, Dead)]


def _letter(group: str, record: Record, outcome: Dead) -> DeadLetter:
    return DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        index_in_record=None,
        key=record.key,
        reason=outcome.reason,
        detail=outcome.detail,
        value=record.value,
        group=group,
    )
