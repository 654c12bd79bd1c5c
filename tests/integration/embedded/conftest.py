"""A folder that the engines' own user can reach, and helpers that run code in processes of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from auto_insurance.infra.embedded.engine import Engine

QUIET = "import structlog; structlog.configure(logger_factory=structlog.ReturnLoggerFactory())\n"
Script = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder below /tmp that every user may pass through (pytest's own is closed to others)."""
    folder = Path(tempfile.mkdtemp(prefix="embedded-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def script() -> Iterator[Script]:
    """Start Python code as a process; its standard input and output are pipes."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *args: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", QUIET + textwrap.dedent(code), *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)


def gone(pid: int, within_s: float = 10.0) -> bool:
    """Return whether a process ends (or is only a zombie of somebody else) within some seconds."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def ended(server: Engine, within_s: float = 10.0) -> bool:
    """Return whether the server's process is over for its owner, too (threads may outlive the first by a moment)."""
    deadline = time.monotonic() + within_s
    while server.alive and time.monotonic() < deadline:
        time.sleep(0.02)
    return not server.alive
