"""Drive a fleet through an uploader: first the past as fast as the server takes it, then the present at its own pace.

Devices are dealt out to lanes. A lane has its own stream and sends one upload at a time, so that each device stays in
order, the server's pace holds the simulation back, and memory is bounded by one unfinished upload per device.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from random import Random
from typing import Any, Protocol

import structlog

from auto_insurance.kernel import clock
from auto_insurance.kernel.errors import Unavailable

Event = dict[str, Any]
Send = Callable[[str, Sequence[Event]], Awaitable[None]]
log = structlog.get_logger(__name__)

_CHUNK = 256
_LONGEST_PAUSE_S = 30.0


class EventSource(Protocol):
    """What can be run: a :class:`fleet.Fleet` or a :class:`steady.SteadyLoad`."""

    @property
    def devices(self) -> tuple[str, ...]:
        """Device ids by index."""
        ...

    def stream(
        self, from_: datetime, to: datetime | None, indices: Sequence[int] | None = None
    ) -> Iterator[tuple[int, Event]]:
        """Events of [from_, to) in order of time."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos:
    """Faults on the way, as shares of the uploads: sent twice; held back until after the device's next one."""

    duplicate_rate: float = 0.0
    late_rate: float = 0.0
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a fleet is run.

    From ``start`` to ``until`` (None: without end when ``live``, else to the present). ``speed_up``: at most so many
    simulated seconds a second in the past (None: no limit). An upload holds up to ``upload_events`` and leaves when
    full, at the end of a trip or after ``upload_age_s``. ``resume``: device id to the time of its last stored event;
    it goes on after that. ``retries``: attempts of one upload while the server is away, with growing pauses.
    """

    start: datetime
    until: datetime | None = None
    live: bool = True
    speed_up: float | None = None
    upload_events: int = 30
    upload_age_s: float = 10.0
    lanes: int = 8
    retries: int = 20
    chaos: Chaos = field(default_factory=Chaos)
    resume: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Progress:
    """Counts so far; ``simulated_at`` is how far the slowest lane has come."""

    simulated_at: datetime | None = None
    events: int = 0
    uploads: int = 0
    duplicates: int = 0
    late: int = 0
    trips_started: int = 0
    trips_ended: int = 0


async def simulate(
    source: EventSource,
    options: RunOptions,
    send: Send,
    progress: Callable[[Progress], None] | None = None,
    stop: asyncio.Event | None = None,
) -> Progress:
    """Run ``source`` until its end or until ``stop`` is set; return the final counts.

    ``send(device_id, events)`` returns when the server has taken the upload and raises ``Unavailable`` when it may be
    tried again; what else it raises ends the run, as does the last failed attempt.
    """
    run = _Run(source, options, send, progress, stop or asyncio.Event())
    lanes = max(1, min(options.lanes, len(source.devices)))
    tasks = [asyncio.create_task(_Lane(run, k, range(k, len(source.devices), lanes)).run()) for k in range(lanes)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return run.progress


class _Run:
    """What the lanes share."""

    def __init__(
        self,
        source: EventSource,
        options: RunOptions,
        send: Send,
        report: Callable[[Progress], None] | None,
        stop: asyncio.Event,
    ) -> None:
        self.source, self.options, self.stop = source, options, stop
        self.began = clock.now()
        self.until = options.until if options.live or options.until is not None else self.began
        self.progress = Progress()
        self._send, self._report = send, report
        self._reached: dict[int, int] = {}

    async def upload(self, device_id: str, events: Sequence[Event]) -> bool:
        """Send until taken; False when stopped before that. Raises ``Unavailable`` after the last attempt."""
        for attempt in range(self.options.retries + 1):
            try:
                await self._send(device_id, events)
            except Unavailable as error:
                if attempt == self.options.retries:
                    raise
                pause = min(_LONGEST_PAUSE_S, error.retry_after_s or 0.5 * 2**attempt)
                log.warning("simulated_upload_postponed", attempt=attempt + 1, pause_s=pause)
                if await self.sleep(pause):
                    return False
            else:
                return True
        return False

    async def sleep(self, seconds: float) -> bool:
        """Sleep; return True at once when the run is stopped."""
        try:
            await asyncio.wait_for(self.stop.wait(), max(0.0, seconds))
        except TimeoutError:
            return self.stop.is_set()
        return True

    def due(self, t: datetime) -> datetime:
        """When an event of time ``t`` may be sent: never before it happened, in the past not faster than the limit."""
        if self.options.speed_up is None:
            return t
        return max(t, self.began + (t - self.options.start) / self.options.speed_up)

    def uploaded(self, lane: int, events: Sequence[Event]) -> None:
        """Count an upload and report."""
        p = self.progress
        p.uploads += 1
        p.events += len(events)
        p.trips_started += sum(e["event_type"] == "ignition_on" for e in events)
        p.trips_ended += sum(e["event_type"] == "ignition_off" for e in events)
        self._reached[lane] = max(self._reached.get(lane, 0), events[-1]["timestamp"])
        p.simulated_at = clock.from_us(min(self._reached.values()) * 1000)
        if self._report is not None:
            self._report(p)


class _Lane:
    """Some of the devices, one upload at a time."""

    def __init__(self, run: _Run, number: int, indices: Sequence[int]) -> None:
        self._run, self._number, self._indices = run, number, indices
        self._ids = run.source.devices
        self._rng = Random(f"{run.options.chaos.seed}:{number}")  # noqa: S311 - a simulation, not a secret
        self._waiting: dict[int, tuple[datetime, list[Event]]] = {}
        self._held: dict[int, list[Event]] = {}
        self._sent_ms = {
            i: clock.to_us(run.options.resume[self._ids[i]]) // 1000
            for i in indices
            if self._ids[i] in run.options.resume
        }

    async def run(self) -> None:
        run = self._run
        starts = [run.options.resume.get(self._ids[i], run.options.start) for i in self._indices]
        stream = run.source.stream(min(starts), run.until, self._indices)
        while not run.stop.is_set():
            # In a thread: planning a trip takes some milliseconds, which the uploads should not wait for.
            chunk = await asyncio.to_thread(lambda: list(islice(stream, _CHUNK)))
            if not chunk:
                break
            for index, event in chunk:
                if event["timestamp"] <= self._sent_ms.get(index, -1):
                    continue
                if not await self._until_due(event["timestamp"]):
                    break
                await self._put(index, event)
        await self._finish()

    async def _until_due(self, timestamp_ms: int) -> bool:
        """Wait for the event's time, sending what has waited long enough meanwhile; False when stopped."""
        run = self._run
        due = run.due(clock.from_us(timestamp_ms * 1000))
        while not run.stop.is_set():
            now = clock.now()
            if due <= now:
                return True
            oldest = next(iter(self._waiting), None)
            if oldest is None:
                wake = due
            else:
                wake = min(due, self._waiting[oldest][0] + timedelta(seconds=run.options.upload_age_s))
                if wake <= now:
                    await self._flush(oldest)
                    continue
            await run.sleep((wake - now).total_seconds())
        return False

    async def _put(self, index: int, event: Event) -> None:
        waiting = self._waiting.get(index)
        if waiting is None:
            waiting = self._waiting[index] = (clock.now(), [])
        waiting[1].append(event)
        if len(waiting[1]) >= self._run.options.upload_events or event["event_type"] == "ignition_off":
            await self._flush(index)

    async def _flush(self, index: int) -> None:
        events = self._waiting.pop(index)[1]
        chaos, progress = self._run.options.chaos, self._run.progress
        hold, again = self._rng.random() < chaos.late_rate, self._rng.random() < chaos.duplicate_rate
        if hold and index not in self._held:
            progress.late += 1
            self._held[index] = events
            return
        await self._send(index, events)
        if again:
            progress.duplicates += 1
            await self._run.upload(self._ids[index], events)
        if index in self._held:
            await self._send(index, self._held.pop(index))

    async def _send(self, index: int, events: list[Event]) -> None:
        if await self._run.upload(self._ids[index], events):
            self._run.uploaded(self._number, events)

    async def _finish(self) -> None:
        """Send what is left, each thing once; a stopped run makes one attempt."""
        for index in list(self._waiting):
            await self._send(index, self._waiting.pop(index)[1])
        for index in list(self._held):
            await self._send(index, self._held.pop(index))
