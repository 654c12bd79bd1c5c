"""What all benchmarks need: a server of their own, a registered fleet, a report."""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from auto_insurance.bootstrap import Container
from auto_insurance.devicekit.simulator.fleet import FleetOptions
from auto_insurance.devicekit.simulator.steady import SteadyLoad
from auto_insurance.drivers.schemas import DeviceAssign, DriverCreate
from auto_insurance.drivers.service import DriverService
from auto_insurance.infra.config import Settings, load_settings
from auto_insurance.infra.db import migrate
from auto_insurance.infra.embedded.postgres import EmbeddedPostgres
from auto_insurance.kernel import clock

RESULTS = Path(__file__).parent / "results"
SECRET = "benchmarks-need-a-secret-of-32-bytes-too"
Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a report: the medians of ``runs``, and their ratio."""

    name: str
    measured: float
    limit: float
    unit: str
    limit_name: str
    runs: Sequence[float]

    @property
    def ratio(self) -> float:
        """What is measured as a share of the limit."""
        return self.measured / self.limit


def figure(name: str, runs: Sequence[float], limits: Sequence[float], *, unit: str, limit_name: str) -> Figure:
    """Return the medians of several runs."""
    return Figure(name, statistics.median(runs), statistics.median(limits), unit, limit_name, list(runs))


def machine() -> str:
    """Return what the figures were measured on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    load = os.getloadavg()[0]
    return (
        f"{model}, {os.cpu_count()} CPUs, load {load:.1f} at the end, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def report(name: str, figures: Sequence[Figure]) -> None:
    """Print the figures and write them to ``benchmarks/results``."""
    where = machine()
    print(f"\n{name}: {where}")
    print(f"{'':<34}{'measured':>12}{'limit':>12}{'ratio':>8}   runs")
    for item in figures:
        runs = ", ".join(f"{run:,.0f}" for run in item.runs)
        print(f"{item.name:<34}{item.measured:>12,.0f}{item.limit:>12,.0f}{item.ratio:>8.2f}   {runs}")
        print(f"{'':<34}{item.unit}; limit: {item.limit_name}")
    RESULTS.mkdir(exist_ok=True)
    result = {
        "benchmark": name,
        "at": clock.now().isoformat(),
        "machine": where,
        "figures": [{**asdict(item), "ratio": item.ratio} for item in figures],
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


class Server:
    """A durable PostgreSQL of its own, with as many migrated databases as a benchmark wants."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres = postgres
        self._made = 0

    async def database(self) -> str:
        """Return the address of a fresh, migrated database."""
        self._made += 1
        conn = await asyncpg.connect(self._postgres.url())
        await conn.execute(f"CREATE DATABASE bench{self._made} TEMPLATE migrated")
        await conn.close()
        return self._postgres.url(f"bench{self._made}")

    async def prepare(self) -> None:
        """Make the template."""
        conn = await asyncpg.connect(self._postgres.url())
        await conn.execute("CREATE DATABASE migrated")
        await conn.close()


@contextmanager
def server() -> Iterator[EmbeddedPostgres]:
    """Run an embedded PostgreSQL with its usual durability on a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="auto-insurance-bench-"))
    folder.chmod(0o755)
    postgres = EmbeddedPostgres(folder / "pg")
    postgres.start()
    try:
        yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


def migrate_template(postgres: EmbeddedPostgres) -> None:
    """Bring the template up to date; must run outside of an event loop."""
    migrate.upgrade(postgres.url("migrated"))


def settings(database_url: str) -> Settings:
    """Return settings for a benchmark's process."""
    return load_settings({"DATABASE_URL": database_url, "JWT_SECRET_KEY": SECRET, "LOG_LEVEL": "WARNING"})


async def register(container: Container, devices: Sequence[str]) -> dict[str, str]:
    """Enrol a driver for each device, assign it, and return the devices' keys."""
    drivers, since = container.get(DriverService), datetime(2026, 1, 1, tzinfo=UTC)
    keys: dict[str, str] = {}
    async with container.database.begin() as uow:
        for number, device in enumerate(devices, 1):
            driver = await drivers.ensure_driver(uow, number, DriverCreate(state="CA"))
            assigned = DeviceAssign(device_id=device, effective_from=since)
            keys[device] = (await drivers.assign_device(uow, driver.driver_id, assigned)).key.get_secret_value()
    return keys


def uploads(devices: Sequence[str], per_upload: int, count: int, *, ended_s_ago: int = 60) -> list[list[Event]]:
    """Return ``count`` uploads of ``per_upload`` events each of steady simulated driving, the devices in turn."""
    load = SteadyLoad(FleetOptions(seed=1, size=1), devices, traces=4)
    seconds = -(-count // len(devices)) * per_upload
    end = clock.now().replace(microsecond=0) - timedelta(seconds=ended_s_ago)
    full: list[list[Event]] = []
    open_ones: list[list[Event]] = [[] for _ in devices]
    for index, event in load.stream(end - timedelta(seconds=seconds), end):
        open_ones[index].append(event)
        if len(open_ones[index]) == per_upload:
            full.append(open_ones[index])
            open_ones[index] = []
    return full[:count]
