"""Replays recorded drives: through the public API as devices would send them, then tells what became of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import httpx

from auto_insurance.devicekit.client import Uploader, UploadFailed, UploadOptions, UploadTotals
from auto_insurance.devicekit.provision import Staff, StaffError
from auto_insurance.devicekit.readers import Drive, RowProblem, read_drives, shifted, time_of
from auto_insurance.kernel import clock

ProgressHook = Callable[[int, int], None]
"""Called with (events sent so far, events in all)."""
_PART = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What to replay and how.

    Without ``speed_up`` drives keep their own time and go through the ``import`` scope, as fast as the server takes
    them; with it they are shifted to now and sent that much faster than driven. ``time_zone`` is that of the drivers to
    enrol; None takes the nautical zone of each drive's first position (15 degrees of longitude are an hour).
    """

    files: Sequence[Path]
    base_url: str
    username: str
    password: str
    speed_up: float | None = None
    state: str = "IL"
    time_zone: str | None = None
    wait_s: float = 180.0
    """Longest wait for the server to store and to close the trips after the last upload."""
    poll_s: float = 1.0
    upload: UploadOptions = field(default_factory=UploadOptions)


@dataclass(slots=True)
class DriveReport:
    """What became of one drive. Miles are statute miles; ``own_miles`` integrates the recorded speed."""

    drive: str
    device_id: str
    driver_id: str
    rows: int
    accepted: int
    rejected: int
    stored: int
    trips: int
    trip_miles: float
    own_miles: float
    reasons: Counter[str]
    refused: list[RowProblem]
    left_out: int
    error: str | None = None


@dataclass(slots=True)
class ReplayReport:
    """What became of all drives. ``complete``: all accepted events are stored and, of imports, all trips are closed."""

    drives: list[DriveReport]
    complete: bool
    seconds: float

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(drive.rows for drive in self.drives)

    @property
    def accepted(self) -> int:
        """Events that the server took."""
        return sum(drive.accepted for drive in self.drives)

    @property
    def rejected(self) -> int:
        """Rows that the server or the reader refused."""
        return sum(drive.rejected for drive in self.drives)

    @property
    def stored(self) -> int:
        """Events of these drives that are stored."""
        return sum(drive.stored for drive in self.drives)


@dataclass(slots=True)
class _Run:
    drive: Drive
    driver_id: str
    key: str
    totals: UploadTotals = field(default_factory=UploadTotals)
    sent: int = 0
    refused: list[RowProblem] = field(default_factory=list)
    stored: int = 0
    trips: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None

    @property
    def distinct(self) -> int:
        """Events accepted, at most: equal rows are one event."""
        return min(self.totals.accepted, len({repr(sorted(event.items())) for event in self.drive.events}))


async def replay(
    options: ReplayOptions, progress: ProgressHook | None = None, transport: httpx.AsyncBaseTransport | None = None
) -> ReplayReport:
    """Send the drives of the files, wait until the server has worked through them, and return the report.

    Replaying a file again adds nothing: a drive's device and its events have the same ids each time. Raises
    ``DriveFileError`` and ``StaffError``; what a single drive's upload runs into is in its report.
    """
    begun = monotonic()
    drives = [drive for path in options.files for drive in read_drives(path)]
    hook = _Progress(progress, sum(len(drive.events) for drive in drives))
    if options.speed_up is not None:
        drives = [shifted(drive, clock.now(), options.speed_up) for drive in drives]
    staff = Staff(options.base_url, options.username, options.password, transport)
    async with staff, Uploader(options.base_url, options.upload, transport) as uploader:
        runs = await _provision(staff, drives, options)
        slots = asyncio.Semaphore(options.upload.concurrency if options.speed_up is None else max(1, len(runs)))
        async with asyncio.TaskGroup() as tasks:
            for run in runs:
                tasks.create_task(_send(uploader, run, options, hook, slots))
        complete = await _settle(staff, runs, options)
    return ReplayReport([_report(run) for run in runs], complete, monotonic() - begun)


class _Progress:
    def __init__(self, hook: ProgressHook | None, total: int) -> None:
        self._hook, self._total, self._done = hook, total, 0

    def add(self, events: int) -> None:
        self._done += events
        if self._hook is not None:
            self._hook(self._done, self._total)


async def _provision(staff: Staff, drives: Sequence[Drive], options: ReplayOptions) -> list[_Run]:
    """Find or make each drive's device; drives that name one driver share it."""
    owners = {drive.device_id: await staff.device_driver(drive.device_id) for drive in drives}
    by_label: dict[tuple[str, str], str] = {}
    for drive in drives:
        owner = owners[drive.device_id]
        if owner is not None:
            by_label.setdefault((drive.source, drive.driver), owner)
    runs = []
    for drive in drives:
        owner = owners[drive.device_id]
        if owner is not None:
            key = await staff.new_key(owner, drive.device_id)
        else:
            label = (drive.source, drive.driver)
            if label not in by_label:
                zone = options.time_zone or nautical_zone(drive)
                name = f"Replay {drive.source} {drive.driver}"[:120]
                by_label[label] = await staff.create_driver(name, options.state, zone)
            owner = by_label[label]
            key = await staff.create_device(owner, drive.device_id)
        runs.append(_Run(drive, owner, key))
    return runs


def nautical_zone(drive: Drive) -> str:
    """Return the IANA name of the nautical time zone of a drive's first position; ``Etc/UTC`` without one."""
    for event in drive.events:
        longitude = event.get("longitude")
        if isinstance(longitude, int | float) and -180 <= longitude <= 180:
            hours = round(longitude / 15)
            return "Etc/UTC" if hours == 0 else f"Etc/GMT{-hours:+d}"  # the sign of these names is reversed (POSIX)
    return "Etc/UTC"


async def _send(
    uploader: Uploader, run: _Run, options: ReplayOptions, progress: _Progress, slots: asyncio.Semaphore
) -> None:
    async with slots:
        try:
            if options.speed_up is None:
                parts: Iterator[list[dict[str, Any]]] = _batches(run.drive.events, options.upload.batch_size)
                for part in parts:
                    await _send_part(uploader, run, part, progress, importing=True)
            else:
                await _send_paced(uploader, run, options.speed_up, progress)
        except UploadFailed as error:
            run.error = str(error)


def _batches(events: list[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(events), size):
        yield events[start : start + size]


async def _send_part(
    uploader: Uploader, run: _Run, part: list[dict[str, Any]], progress: _Progress, *, importing: bool
) -> None:
    named = [{"device_id": run.drive.device_id, **event} for event in part]
    totals = await uploader.send(run.key, named, importing=importing)
    run.refused += [RowProblem(run.drive.lines[run.sent + place], why) for place, why in totals.refused]
    run.totals.add(totals)
    run.sent += len(part)
    progress.add(len(part))


async def _send_paced(uploader: Uploader, run: _Run, speed_up: float, progress: _Progress) -> None:
    """Send each second what the drive did in ``speed_up`` seconds."""
    events = run.drive.events
    if not events:
        return
    start, begun, sent = time_of(events[0]), monotonic(), 0
    while sent < len(events):
        await asyncio.sleep(1.0)
        until = start + timedelta(seconds=(monotonic() - begun) * speed_up)
        end = sent
        while end < len(events) and time_of(events[end]) <= until:
            end += 1
        if end > sent:
            await _send_part(uploader, run, events[sent:end], progress, importing=False)
            sent = end


async def _settle(staff: Staff, runs: Sequence[_Run], options: ReplayOptions) -> bool:
    """Wait until all that was accepted is stored and no trip is open; return whether it came to that in time."""
    deadline = monotonic() + options.wait_s
    waiting = [run for run in runs if run.totals.accepted and run.error is None]
    while waiting:
        waiting = [run for run in waiting if not await _settled(staff, run, closed=options.speed_up is None)]
        if waiting and monotonic() > deadline:
            return False
        if waiting:
            await asyncio.sleep(options.poll_s)
    return all(run.error is None for run in runs)


async def _settled(staff: Staff, run: _Run, *, closed: bool) -> bool:
    first, last = run.drive.span()
    run.stored = 0
    at = first
    while at <= last:  # the server counts at most a month at a time
        end = min(last, at + _PART)
        run.stored += await staff.stored(run.drive.device_id, at.isoformat(), end.isoformat())
        at = end + timedelta(microseconds=1)
    if run.stored < run.distinct:
        return False
    until: datetime = last + timedelta(seconds=1)
    run.trips = await staff.trips(run.driver_id, run.drive.device_id, first.isoformat(), until.isoformat())
    return not closed or all(trip["status"] == "completed" for trip in run.trips)


def _report(run: _Run) -> DriveReport:
    drive, totals = run.drive, run.totals
    reasons = Counter(totals.reasons)
    if drive.problems:
        reasons["unreadable_row"] += len(drive.problems)
    return DriveReport(
        drive=f"{drive.source} {drive.drive_id}",
        device_id=drive.device_id,
        driver_id=run.driver_id,
        rows=drive.rows,
        accepted=totals.accepted,
        rejected=totals.rejected + len(drive.problems),
        stored=run.stored,
        trips=len(run.trips),
        trip_miles=sum(float(trip["distance_miles"]) for trip in run.trips),
        own_miles=drive.recorded_miles(),
        reasons=reasons,
        refused=sorted([*drive.problems, *run.refused], key=lambda problem: problem.line)[:100],
        left_out=drive.left_out,
        error=run.error,
    )


__all__ = ["DriveReport", "ReplayOptions", "ReplayReport", "StaffError", "nautical_zone", "replay"]
