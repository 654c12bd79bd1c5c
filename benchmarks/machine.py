"""What the figures were measured on: machine, load, versions."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from auto_insurance.infra.embedded.machine import memory_bytes
from auto_insurance.infra.embedded.postgres import binaries

ROOT = Path(__file__).parents[1]
PACKAGES = ("numpy", "numba", "msgspec", "asyncpg", "sqlalchemy", "confluent-kafka", "uvicorn", "uvloop", "fastapi")
BUSY_LOAD_PER_CPU = 0.5
"""A load above this before the start means that somebody else is at work: such figures are hints."""


def load() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]


def busy(load_before: float) -> bool:
    """Return whether the machine was busy with other things before a benchmark began."""
    return load_before > BUSY_LOAD_PER_CPU * (os.cpu_count() or 1)


def facts() -> dict[str, Any]:
    """Return processor, cores, memory, system."""
    return {
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory_gib": round(memory_bytes() / 1024**3, 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def versions() -> dict[str, str]:
    """Return the versions of what was measured and of what it runs on."""
    found = {"commit": _commit(), "python": platform.python_version(), "postgresql": _postgresql(), "kafka": _kafka()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _postgresql() -> str:
    said = subprocess.run([str(binaries() / "postgres"), "--version"], capture_output=True, check=True, timeout=20)
    return said.stdout.decode().split()[-1]


def _kafka() -> str:
    tree = ElementTree.parse(ROOT / "deploy" / "kafka" / "pom.xml")
    return next((e.text or "" for e in tree.iter() if e.tag.endswith("kafka.version")), "")


def _commit() -> str:
    """Return the commit, with a plus when files of the product or of the benchmarks differ from it."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20
        )
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no", "src", "benchmarks"],
            cwd=ROOT, capture_output=True, text=True, check=True, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")
