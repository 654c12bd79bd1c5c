"""What another process finds out about an ``up`` that runs on a data directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from auto_insurance.infra.embedded.datadir import DataDir, RunInfo
from auto_insurance.infra.embedded.postgres import PRODUCT
from auto_insurance.infra.embedded.process import START_TOLERANCE_S


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running installation is reached; addresses hold passwords, None means not embedded."""

    base_url: str
    database_url: str | None
    redis_url: str | None
    demo: bool = False
    """Whether the demo's people with their known passwords are there."""


def find_running(data_dir: Path) -> Addresses | None:
    """Return the addresses of the ``up`` that runs on ``data_dir``; None when none runs or we may not read it."""
    data = DataDir(data_dir)
    info = data.read_run()
    if info is None or not owner_lives(info):
        return None
    try:
        database = redis = None
        if info.postgres_port:
            secret = data.secret_file(f"postgres-{PRODUCT}").read_text().strip()
            database = f"postgresql://{PRODUCT}:{secret}@127.0.0.1:{info.postgres_port}/{PRODUCT}"
        if info.valkey_port:
            secret = data.secret_file("valkey").read_text().strip()
            redis = f"redis://:{secret}@127.0.0.1:{info.valkey_port}/0"
    except OSError:
        return None
    return Addresses(info.base_url, database, redis, info.demo)


def owner_lives(info: RunInfo) -> bool:
    """Return whether the process that wrote the note is still there."""
    try:
        created = psutil.Process(info.owner.pid).create_time()
    except psutil.NoSuchProcess:
        return False
    return abs(float(created) - info.owner.started) <= START_TOLERANCE_S
