"""Judges the uploads of concurrent requests together: what a batch of columns costs at all is shared between them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.telematics import bulk
from auto_insurance.telematics.columns import Columns, Ints
from auto_insurance.telematics.limits import IngestPolicy, Reason

MAX_TOGETHER = 5_000
"""Events judged between two chances for other requests to run; an upload is never divided."""


@dataclass(slots=True)
class Verdicts:
    """What is said of one upload: its part of a common batch."""

    judged: bulk.Judged
    start: int
    end: int
    refused: dict[int, list[Reason]]
    """Place in the upload -> why it is refused. Whoever refuses for further reasons adds them here."""
    devices: list[str] = field(init=False)
    """The devices that the events name, in order of their codes."""

    def __post_init__(self) -> None:
        codes, names = self.judged.columns.device[self.start : self.end], self.judged.columns.devices
        if len(names) == 1 and self.end > self.start:
            self.devices = names
        elif len(codes) and codes.min() == codes.max():  # nearly always
            self.devices = [names[codes[0]]]
        else:
            self.devices = [names[code] for code in np.unique(codes).tolist()]

    @property
    def t_us(self) -> Ints:
        """The events' times, where they are not refused for something else than their age."""
        return self.judged.columns.t_us[self.start : self.end]

    @property
    def named(self) -> Sequence[str | None]:
        """The drivers that the events name."""
        return self.judged.named[self.start : self.end]

    def event_ids(self) -> list[str | None]:
        """Return the id that each event came with or is given, None for the refused."""
        good = [place for place in range(self.end - self.start) if place not in self.refused]
        columns = self._taken(good)
        ids: list[str | None] = [None] * (self.end - self.start)
        for place, text in zip(good, columns.event_id, strict=True):
            ids[place] = text
        return ids

    def _taken(self, places: list[int]) -> Columns:
        chosen = self.judged.columns.take(np.array(places, np.int64) + self.start)
        columns = bulk.pruned(chosen)
        bulk.derive_ids(columns)
        return columns


@dataclass(slots=True)
class _Waiting:
    events: Sequence[TelemetryEvent]
    received_us: int
    any_age: bool
    done: asyncio.Future[Verdicts]


class JudgeQueue:
    """Takes the uploads that come in within one turn of the event loop as one batch."""

    def __init__(self, policy: IngestPolicy) -> None:
        self._policy = policy
        self._waiting: deque[_Waiting] = deque()

    async def judge(self, events: Sequence[TelemetryEvent], received_us: int, *, any_age: bool) -> Verdicts:
        """Return the verdicts on one upload."""
        loop = asyncio.get_running_loop()
        mine = _Waiting(events, received_us, any_age, loop.create_future())
        self._waiting.append(mine)
        if len(self._waiting) == 1:
            loop.call_soon(self._work)
        return await mine.done

    def _work(self) -> None:
        batch: list[_Waiting] = []
        count = 0
        while self._waiting and (not batch or count + len(self._waiting[0].events) <= MAX_TOGETHER):
            batch.append(self._waiting.popleft())
            count += len(batch[-1].events)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._work)
        try:
            self._judge(batch)
        except Exception as error:
            for item in batch:
                if not item.done.done():
                    item.done.set_exception(error)

    def _judge(self, batch: Sequence[_Waiting]) -> None:
        counts = [len(item.events) for item in batch]
        events = batch[0].events if len(batch) == 1 else [event for item in batch for event in item.events]
        received_us = np.repeat(np.array([item.received_us for item in batch], np.int64), counts)
        ages = [item.any_age for item in batch]
        any_age = np.repeat(np.array(ages, np.bool_), counts) if any(ages) else False
        judged = bulk.judge(events, received_us, self._policy, any_age)
        start = 0
        for item, count in zip(batch, counts, strict=True):
            end = start + count
            refused = (
                {place - start: reasons for place, reasons in judged.refused.items() if start <= place < end}
                if judged.refused
                else {}
            )
            if not item.done.done():  # the request may have gone meanwhile
                item.done.set_result(Verdicts(judged, start, end, refused))
            start = end
