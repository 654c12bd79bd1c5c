"""Drives a simulated fleet against a server: enrols its drivers as staff, then uploads as their devices would."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from auto_insurance.devicekit.client import Uploader, UploadFailed, UploadOptions
from auto_insurance.devicekit.provision import Staff
from auto_insurance.devicekit.simulator.fleet import Fleet, FleetOptions
from auto_insurance.devicekit.simulator.people import SimulatedDriver
from auto_insurance.devicekit.simulator.run import Chaos, EventSource, Progress, RunOptions, simulate
from auto_insurance.devicekit.simulator.steady import SteadyLoad
from auto_insurance.entrypoints.cli.signin import Target
from auto_insurance.kernel import clock
from auto_insurance.kernel.errors import Unavailable

LIVE_AGE = timedelta(days=28)
"""Older events are sent as an import: the server takes live ones up to 30 days old."""
UPLOADS_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """What drives and when. ``steady`` makes every device drive all the time; ``until`` None goes on for ever."""

    seed: int = 1
    drivers: int = 20
    styles: Mapping[str, float] | None = None
    steady: bool = False
    start: datetime
    until: datetime | None
    live: bool = False
    speed_up: float | None = None
    duplicate_rate: float = 0.0
    late_rate: float = 0.0

    def options(self) -> FleetOptions:
        """Return the fleet's options; the devices' names tell that they are simulated, and by which seed."""
        mix = dict(self.styles) if self.styles else None
        return FleetOptions(seed=self.seed, size=self.drivers, mix=mix, device_prefix=f"SIM{self.seed}-")


@dataclass(slots=True)
class FleetReport:
    """What became of it; ``reasons`` counts refused events by their first reason."""

    progress: Progress = field(default_factory=Progress)
    enrolled: int = 0
    known: int = 0
    accepted: int = 0
    rejected: int = 0
    retries: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    interrupted: bool = False


Hook = Callable[[FleetReport], None]


async def drive_fleet(target: Target, plan: FleetPlan, stop: asyncio.Event, hook: Hook) -> FleetReport:
    """Enrol and drive until the plan's end or ``stop``; ``hook`` sees the report as it grows.

    Raises ``StaffError``, ``UploadFailed`` and ``Unavailable``. The same seed makes the same devices and events: what
    the server has already is not stored twice.
    """
    begun, report = monotonic(), FleetReport()
    fleet = await asyncio.to_thread(Fleet, plan.options())
    drivers = await asyncio.to_thread(fleet.drivers)
    source: EventSource = fleet
    if plan.steady:
        source = await asyncio.to_thread(SteadyLoad, plan.options(), fleet.devices)
    upload = UploadOptions(concurrency=UPLOADS_AT_ONCE)
    async with Staff(target.base_url, target.username, target.password) as staff:
        keys = await _enrol(staff, drivers, stop, lambda known: _count(report, hook, known=known))
    async with Uploader(target.base_url, upload) as uploader:
        if not stop.is_set():
            report.progress = await simulate(
                source, _run_options(plan), _sender(uploader, keys, report), lambda p: _moved(report, p, hook), stop
            )
    report.seconds, report.interrupted = monotonic() - begun, stop.is_set()
    return report


def _run_options(plan: FleetPlan) -> RunOptions:
    return RunOptions(
        start=plan.start,
        until=plan.until,
        live=plan.live,
        speed_up=plan.speed_up,
        upload_events=60 if plan.live else 500,
        lanes=UPLOADS_AT_ONCE,
        chaos=Chaos(duplicate_rate=plan.duplicate_rate, late_rate=plan.late_rate, seed=plan.seed),
    )


async def _enrol(
    staff: Staff, drivers: Sequence[SimulatedDriver], stop: asyncio.Event, count: Callable[[bool], None]
) -> dict[str, str]:
    keys: dict[str, str] = {}
    for driver in drivers:
        if stop.is_set():
            break
        owner = await staff.device_driver(driver.device_id)
        if owner is not None:
            keys[driver.device_id] = await staff.new_key(owner, driver.device_id)
        else:
            enrolled = await staff.create_driver(
                f"{driver.name} (simulated)", driver.state, driver.time_zone, **_particulars(driver)
            )
            keys[driver.device_id] = await staff.create_device(enrolled, driver.device_id)
        count(owner is not None)
    return keys


def _particulars(driver: SimulatedDriver) -> dict[str, Any]:
    vehicle = driver.vehicle
    return {
        "date_of_birth": driver.date_of_birth.isoformat(),
        "licence_date": driver.licence_date.isoformat(),
        "declared_annual_mileage": driver.declared_annual_mileage,
        "prior_claims": driver.prior_claims,
        "vehicle": {"make": vehicle.make, "model": vehicle.model, "year": vehicle.year, "use": vehicle.use},
    }


def _sender(
    uploader: Uploader, keys: Mapping[str, str], report: FleetReport
) -> Callable[[str, Sequence[Mapping[str, Any]]], Any]:
    async def send(device_id: str, events: Sequence[Mapping[str, Any]]) -> None:
        oldest = clock.from_us(int(events[0]["timestamp"]) * 1000)
        try:
            totals = await uploader.send(keys[device_id], events, importing=clock.now() - oldest > LIVE_AGE)
        except UploadFailed as error:
            if error.status is None:
                raise Unavailable(str(error)) from error
            raise
        report.accepted += totals.accepted
        report.rejected += totals.rejected
        report.retries += totals.retries
        report.reasons += totals.reasons

    return send


def _count(report: FleetReport, hook: Hook, *, known: bool) -> None:
    report.known += known
    report.enrolled += not known
    hook(report)


def _moved(report: FleetReport, progress: Progress, hook: Hook) -> None:
    report.progress = progress
    hook(report)
