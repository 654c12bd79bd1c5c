"""The checks of ``doctor``: each looks at one thing and says what is wrong and how to mend it."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from auto_insurance.entrypoints.cli.schema import revisions
from auto_insurance.infra.config import Settings
from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.db.partitions import month_of, months_ahead
from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.embedded import machine
from auto_insurance.infra.embedded.datadir import DataDir, group_or_world_access
from auto_insurance.infra.embedded.errors import EmbeddedError
from auto_insurance.infra.embedded.postgres import binaries, damage
from auto_insurance.infra.embedded.running import Addresses
from auto_insurance.infra.embedded.valkey import binary
from auto_insurance.kernel import clock
from auto_insurance.telematics.archive_reads import overview
from auto_insurance.telematics.service import MONTHS_AHEAD

OLDEST_PYTHON = (3, 11)
LEAST_DISK_BYTES = 1024 * machine.MIB
LEAST_MEMORY_BYTES = 1024 * machine.MIB
RELEASED = datetime(2025, 1, 1, tzinfo=UTC)
"""A clock before this day is wrong for certain."""


class Verdict(StrEnum):
    """How a check ended; only ``BAD`` makes the exit code 1."""

    OK = "ok"
    WARN = "warning"
    BAD = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result: what was looked at, what was found, how to mend it."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined: the settings, and the ``up`` that runs on their data directory, if one does."""

    settings: Settings
    running: Addresses | None


Check = Callable[[Patient], Finding]


def python(_: Patient) -> Finding:
    """Is this Python new enough?"""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Finding("Python", Verdict.BAD, found, "Install Python 3.11 or later and set the product up again.")
    return Finding("Python", Verdict.OK, found)


def programs(patient: Patient) -> Finding:
    """Do the engines' programs run on this system (its C library may be too old, or the disk be noexec)?"""
    needed: list[Callable[[], Path]] = []
    if patient.settings.database.url is None:
        needed.append(lambda: binaries() / "postgres")
    if patient.settings.redis.url is None:
        needed.append(binary)
    versions = []
    for find in needed:
        try:
            said = subprocess.run([str(find()), "--version"], capture_output=True, check=True, timeout=20)
        except EmbeddedError as error:
            return Finding("Engines", Verdict.BAD, str(error), "Run the set-up again: make setup")
        except (OSError, subprocess.SubprocessError) as error:
            return Finding(
                "Engines",
                Verdict.BAD,
                f"a program of the wheels does not run: {error}",
                "Use servers of your own: set DATABASE_URL and REDIS_URL.",
            )
        versions.append(" ".join(said.stdout.decode().split()[:3]))
    return Finding("Engines", Verdict.OK, ", ".join(versions) or "none needed: DATABASE_URL and REDIS_URL are set")


def data_directory(patient: Patient) -> Finding:
    """Can the data directory be used as a start would use it?"""
    folder = patient.settings.data_dir.absolute()
    existing = next(path for path in [folder, *folder.parents] if path.exists())
    if not existing.is_dir():
        return Finding("Data directory", Verdict.BAD, f"{existing} is a file", "Choose a directory with --data-dir.")
    if not _writable(existing):
        return Finding(
            "Data directory",
            Verdict.BAD,
            f"no permission to write in {existing}",
            f"Choose another one with --data-dir, or: sudo chown -R $(id -u) {existing}",
        )
    try:
        wrong = _damage(folder, engines=patient.settings.database.url is None)
    except PermissionError as error:
        wrong = f"no permission for {error.filename}"
    if wrong is not None:
        return Finding("Data directory", Verdict.BAD, wrong, f"Mend {folder} as said, or choose another --data-dir.")
    loose = [path for path in (folder / "secrets").glob("*") if group_or_world_access(path)]
    if loose:
        return Finding(
            "Data directory", Verdict.BAD, f"others may read {loose[0]}", f"chmod 600 {folder / 'secrets'}/*"
        )
    state = "in use by a running 'up'" if patient.running else "ready" if folder.exists() else "made at first start"
    return Finding("Data directory", Verdict.OK, f"{folder} ({state})")


def _damage(folder: Path, *, engines: bool) -> str | None:
    data = DataDir(folder)
    return data.damage() or (damage(data.postgres, data.secret_file("postgres")) if engines else None)


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


def disk(patient: Patient) -> Finding:
    """Is there room on its disk?"""
    folder = patient.settings.data_dir.absolute()
    free = shutil.disk_usage(next(path for path in [folder, *folder.parents] if path.exists())).free
    found = f"{free / 1024**3:.1f} GiB free"
    if free < LEAST_DISK_BYTES:
        return Finding("Disk", Verdict.BAD, found, "Free at least 1 GiB, or choose another disk with --data-dir.")
    return Finding("Disk", Verdict.OK, found)


def memory(_: Patient) -> Finding:
    """Is there enough memory?"""
    total = machine.memory_bytes()
    found = f"{total / 1024**3:.1f} GiB"
    if total < LEAST_MEMORY_BYTES:
        return Finding("Memory", Verdict.WARN, found, "1 GiB or more is advised; give the container or machine more.")
    return Finding("Memory", Verdict.OK, found)


def port(patient: Patient) -> Finding:
    """Is the port of the API free, or ours?"""
    server = patient.settings.server
    if patient.running is not None:
        return Finding("Port", Verdict.OK, f"served by the running 'up': {patient.running.base_url}")
    try:
        free = machine.port_is_free(server.port, server.host)
    except socket.gaierror:
        return Finding("Port", Verdict.BAD, f"{server.host} is no address of this machine", "Correct HOST or --host.")
    if not free:
        return Finding(
            "Port",
            Verdict.BAD,
            f"{server.host}:{server.port} is taken or not ours",
            f"See who has it with: ss -ltnp 'sport = :{server.port}'  - or choose another one with --port.",
        )
    return Finding("Port", Verdict.OK, f"{server.host}:{server.port} is free")


def service(patient: Patient) -> Finding:
    """Does the running ``up`` answer, and what does it say of itself?"""
    if patient.running is None:
        return Finding("Service", Verdict.OK, "not running now ('auto-insurance up' starts it)")
    url, logs = f"{patient.running.base_url}/health", patient.settings.data_dir.absolute() / "logs"
    remedy = f"See the logs in {logs}; Ctrl-C and a new start of 'up' are safe."
    try:
        said = httpx.get(url, timeout=10.0, trust_env=False).json()
        parts = {name: str(check["status"]) for name, check in said["checks"].items()}
        status = str(said["status"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Finding("Service", Verdict.BAD, f"no health from {url} ({type(error).__name__})", remedy)
    unwell = ", ".join(f"{name} is {part}" for name, part in parts.items() if part != "healthy")
    if status != "healthy":
        verdict = Verdict.BAD if status == "unhealthy" else Verdict.WARN
        return Finding("Service", verdict, f"{status}: {unwell or 'no reason given'}", remedy)
    return Finding("Service", Verdict.OK, f"healthy: {', '.join(parts)}")


def settings(patient: Patient) -> Finding:
    """Do the settings make sense?"""
    found = f"{patient.settings.environment.value}, {len(patient.settings.sources)} set, the rest at their defaults"
    if patient.settings.warnings:
        return Finding("Settings", Verdict.WARN, patient.settings.warnings[0], "Correct or remove that variable.")
    return Finding("Settings", Verdict.OK, found)


def database(patient: Patient) -> Finding:
    """Does the database answer, and is it migrated?"""
    given = patient.settings.database.url
    url = given.get_secret_value() if given else patient.running.database_url if patient.running else None
    if url is None:
        return Finding("Database", Verdict.OK, "embedded; not running now ('auto-insurance up' starts it)")
    try:
        present, wanted = revisions(url)
    except (OSError, ValueError) as error:
        return Finding("Database", Verdict.BAD, f"not reached: {error}", "Start it, or correct DATABASE_URL.")
    if present != wanted:
        return Finding(
            "Database", Verdict.BAD, f"schema at {present or 'nothing'}, needed {wanted}", "auto-insurance migrate"
        )
    return Finding("Database", Verdict.OK, f"reached, schema {wanted}")


def partitions(patient: Patient) -> Finding:
    """Are the months ahead there, and does none stand half-way out?"""
    given = patient.settings.database.url
    url = given.get_secret_value() if given else patient.running.database_url if patient.running else None
    if url is None:
        return Finding("Partitions", Verdict.OK, "looked at while the database runs")
    try:
        missing, unfinished = asyncio.run(_months(url))
    except (OSError, ValueError, SQLAlchemyError) as error:
        return Finding("Partitions", Verdict.WARN, f"not looked at: {type(error).__name__}", "auto-insurance migrate")
    if missing:
        found = f"no partition for {', '.join(missing)}"
        return Finding("Partitions", Verdict.WARN, found, "Is a scheduler running? auto-insurance partitions create")
    if unfinished:
        found = f"on their way out or in: {', '.join(unfinished)}"
        remedy = "Finish it with 'partitions archive' or 'partitions restore'; the scheduler does so as well."
        return Finding("Partitions", Verdict.WARN, found, remedy)
    return Finding("Partitions", Verdict.OK, f"made {MONTHS_AHEAD} months ahead")


async def _months(url: str) -> tuple[list[str], list[str]]:
    database = Database(create_engine(EngineOptions(url, pool_size=1, application_name="doctor")))
    try:
        async with database.read() as uow:
            found = await overview(uow)
    finally:
        await database.dispose()
    there = {one.month for one in found}
    wanted = [str(month) for month in months_ahead(month_of(clock.now()), MONTHS_AHEAD)]
    unfinished = [
        one.month for one in found if one.status in {"detaching", "closing", "dropping", "detached", "restoring"}
    ]
    return [month for month in wanted if month not in there], unfinished


def archive(patient: Patient) -> Finding:
    """Can months be archived: is the folder writable, is there room?"""
    folder = patient.settings.archive_dir.absolute()
    existing = next(path for path in [folder, *folder.parents] if path.exists())
    if not existing.is_dir() or not _writable(existing):
        remedy = "Correct its rights, or choose another folder (ARCHIVE_DIR)."
        return Finding("Archive", Verdict.BAD, f"{existing} is no folder that we may write in", remedy)
    free = shutil.disk_usage(existing).free
    found = f"{folder}, {free / 1024**3:.1f} GiB free"
    if free < LEAST_DISK_BYTES:
        return Finding("Archive", Verdict.BAD, found, "Free at least 1 GiB, or choose another disk (ARCHIVE_DIR).")
    return Finding("Archive", Verdict.OK, found)


def redis(patient: Patient) -> Finding:
    """Does Redis or Valkey answer?"""
    given = patient.settings.redis.url
    url = given.get_secret_value() if given else patient.running.redis_url if patient.running else None
    if url is None:
        return Finding("Redis", Verdict.OK, "embedded; not running now ('auto-insurance up' starts it)")
    try:
        version = asyncio.run(_redis_version(url))
    except (RedisError, OSError, ValueError) as error:
        return Finding("Redis", Verdict.BAD, f"not reached: {type(error).__name__}", "Start it, or correct REDIS_URL.")
    return Finding("Redis", Verdict.OK, f"reached, version {version}")


async def _redis_version(url: str) -> str:
    client = Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
    try:
        info = await client.info("server")
    finally:
        await client.aclose()
    return str(info.get("valkey_version") or info.get("redis_version"))


def event_log(patient: Patient) -> Finding:
    """Can the event log be reached?"""
    if patient.settings.event_log == "postgres":
        return Finding("Event log", Verdict.OK, "in PostgreSQL (EVENT_LOG=postgres)")
    for address in (patient.settings.kafka.bootstrap_servers or "").split(","):
        parts = urlsplit(f"//{address.strip()}")
        try:
            socket.create_connection((parts.hostname or "", parts.port or 9092), timeout=3).close()
        except (OSError, ValueError):
            continue
        return Finding("Event log", Verdict.OK, f"Kafka reached at {address.strip()}")
    return Finding(
        "Event log", Verdict.BAD, "no Kafka broker is reached", "Start Kafka, or correct KAFKA_BOOTSTRAP_SERVERS."
    )


def time_zones(_: Patient) -> Finding:
    """Is time zone data installed?"""
    try:
        zoneinfo.ZoneInfo("America/New_York")
    except zoneinfo.ZoneInfoNotFoundError:
        return Finding("Time zones", Verdict.BAD, "no time zone data", "pip install tzdata")
    return Finding("Time zones", Verdict.OK, f"{len(zoneinfo.available_timezones())} known")


def system_clock(_: Patient) -> Finding:
    """Can this clock be right?"""
    now = clock.now()
    found = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now < RELEASED:
        return Finding("Clock", Verdict.BAD, found, "Set the machine's clock: timedatectl set-ntp true")
    return Finding("Clock", Verdict.OK, found)


CHECKS: tuple[Check, ...] = (
    python,
    programs,
    settings,
    data_directory,
    disk,
    memory,
    port,
    service,
    database,
    partitions,
    archive,
    redis,
    event_log,
    time_zones,
    system_clock,
)
