"""Reads ahead: what arrives while a batch is in PostgreSQL is the next batch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from auto_insurance.infra.bus.faults import describe
from auto_insurance.infra.bus.protocol import Consumer, Record

log = structlog.get_logger(__name__)
FIRST_RECORDS = 500
"""How many are asked for at first, before anything is known of their size."""
Prepare = Callable[[Sequence[Record]], object]


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """How large a batch grows, and how long it may wait for company."""

    max_records: int
    max_bytes: int
    """Of values; the last poll may bring it somewhat above."""
    wait_s: float
    """From its first record on, how long a batch that is not full stays open."""
    poll_timeout_s: float
    keep_s: float = 10.0
    """How often a full batch that nobody takes tells the group that its reader lives."""


@dataclass(slots=True)
class Collected:
    """A batch, and what the handler's ``prepare`` made of it beside the transaction before."""

    records: list[Record]
    size: int = 0
    prepared: object = None


class Feed:
    """Collects one batch beside the one that is being stored.

    A batch closes when it is full, or when it is asked for and ``wait_s`` have passed since its first record. So its
    size follows the load by itself: the longer the batch before took, the larger the next one.
    """

    def __init__(self, consumer: Consumer, options: FeedOptions, prepare: Prepare | None = None) -> None:
        self._consumer = consumer
        self._options = options
        self._prepare = prepare
        self._wanted = asyncio.Event()
        self._reading: asyncio.Task[Collected] | None = None
        self._mean_bytes = 0.0
        """Of the records of the last batch."""

    def start(self) -> asyncio.Task[Collected]:
        """Begin to collect, unless that is under way."""
        if self._reading is None:
            self._wanted.clear()
            self._reading = asyncio.create_task(self._read(), name="feed")
        return self._reading

    async def take(self) -> Collected:
        """Return the next batch; empty after the poll's time without a record. Raises what a poll raises."""
        reading = self.start()
        self._wanted.set()
        try:
            return await reading
        finally:
            self._reading = None

    async def stop(self) -> None:
        """Throw away what was collected; its partitions have to be placed anew."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self) -> Collected:
        batch = await self._collect()
        if batch.records and self._prepare is not None:
            try:
                batch.prepared = self._prepare(batch.records)
            except Exception as error:  # it will fail again where it is handled, record by record
                log.debug("batch_not_prepared", error=describe(error))
        while not self._wanted.is_set():
            try:
                await asyncio.wait_for(self._wanted.wait(), self._options.keep_s)
            except TimeoutError:
                await self._consumer.keep()
        return batch

    async def _collect(self) -> Collected:
        options, batch, closes_at = self._options, Collected([]), 0.0
        while len(batch.records) < options.max_records and batch.size < options.max_bytes:
            if batch.records and await self._closed(closes_at):
                break
            # Waits for a first record only: for more of them, time is given in one piece.
            wait_s = 0.0 if batch.records else options.poll_timeout_s
            some = await self._consumer.poll(self._room(batch), wait_s)
            if not batch.records:
                if not some and self._wanted.is_set():
                    break
                closes_at = time.monotonic() + options.wait_s
            batch.records += some
            batch.size += sum([len(record.value) for record in some])
        return batch

    def _room(self, batch: Collected) -> int:
        """Return how many more records may come: as many as fit in if they are like those before."""
        options = self._options
        most, mean = options.max_records - len(batch.records), self._mean_bytes
        if batch.records:
            self._mean_bytes = mean = batch.size / len(batch.records)
        fit = int((options.max_bytes - batch.size) / mean) if mean else FIRST_RECORDS
        return max(1, min(most, fit))

    async def _closed(self, at: float) -> bool:
        """Let some time pass; return whether the batch is asked for and its time is up."""
        left = at - time.monotonic()
        if self._wanted.is_set():
            if left > 0:
                await asyncio.sleep(left)
            return left <= 0  # else one last look
        try:
            await asyncio.wait_for(self._wanted.wait(), max(self._options.wait_s, 0.001))
        except TimeoutError:
            return False
        return at <= time.monotonic()
