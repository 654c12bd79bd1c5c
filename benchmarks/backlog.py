"""A log that is full before the clock starts, and the book of what must be stored of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from auto_insurance import bootstrap
from auto_insurance.contracts.topics import TELEMATICS_EVENTS
from auto_insurance.infra.bus.partitioner import partition_of
from auto_insurance.infra.bus.protocol import EventLog, NewRecord
from auto_insurance.infra.config import Settings
from benchmarks.fleet import device_name
from benchmarks.results import Wrong
from benchmarks.uploads import Upload

CHUNK = 4_000
"""Records handed to the log at a time; each call waits until they are durable."""


@dataclass(slots=True)
class Book:
    """How many new events each record of each partition holds, in the order of the offsets."""

    fresh: dict[int, list[int]] = field(default_factory=dict)
    records: int = 0
    events: int = 0
    distinct: int = 0
    _sums: dict[int, NDArray[np.int64]] = field(default_factory=dict)

    def note(self, partition: int, upload: Upload) -> None:
        """Note the next record of a partition."""
        self.fresh.setdefault(partition, []).append(upload.fresh)
        self.records += 1
        self.events += upload.events
        self.distinct += upload.fresh
        self._sums.clear()

    def ends(self) -> dict[int, int]:
        """Return the end of each partition."""
        return {partition: len(counts) for partition, counts in self.fresh.items()}

    def distinct_until(self, offsets: dict[int, int]) -> int:
        """Return how many distinct events lie before these offsets: what must be stored then."""
        if not self._sums:
            self._sums = {p: np.concatenate(([0], np.cumsum(counts))) for p, counts in self.fresh.items()}
        return int(sum(self._sums[p][min(o, len(self._sums[p]) - 1)] for p, o in offsets.items() if p in self._sums))


def fill(settings: Settings, uploads: Iterable[Upload], book: Book | None = None) -> Book:
    """Append uploads through the product's own log, in order; returns the book. Blocks.

    Raises ``Wrong`` when a record is not where the book says.
    """
    return asyncio.run(_fill(settings, uploads, book or Book()))


async def _fill(settings: Settings, uploads: Iterable[Upload], book: Book) -> Book:
    container = bootstrap.build(settings, "bench")
    try:
        await bootstrap.prepare_log(container, asyncio.Event())
        partitions = len(await container.log.end_offsets(TELEMATICS_EVENTS))
        places: dict[int, int] = {}
        waiting: list[Upload] = []
        for upload in uploads:
            waiting.append(upload)
            if len(waiting) == CHUNK:
                await _append(container.log, waiting, book, partitions, places)
                waiting = []
        await _append(container.log, waiting, book, partitions, places)
        ends = {tp.partition: end for tp, end in (await container.log.end_offsets(TELEMATICS_EVENTS)).items() if end}
        if ends != book.ends():
            raise Wrong(f"the log holds {sum(ends.values())} records of {book.records} that were appended")
    finally:
        await container.close()
    return book


async def _append(log: EventLog, uploads: list[Upload], book: Book, partitions: int, places: dict[int, int]) -> None:
    records = []
    for upload in uploads:
        name = device_name(upload.device)
        partition = places.get(upload.device)
        if partition is None:
            partition = places[upload.device] = partition_of(name, partitions)
        book.note(partition, upload)
        headers = {"received_at": str(upload.sent_us), "source": "http", "scope": "ingest"}
        records.append(NewRecord(TELEMATICS_EVENTS, name, upload.value, headers))
    await log.append(records)
