"""The data directory of one installation: who holds it, what lies where, which processes belong to it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec
import psutil

from auto_insurance.infra.embedded.engine import keep_secret, not_ours, write_private
from auto_insurance.infra.embedded.errors import EmbeddedError
from auto_insurance.infra.embedded.locks import DirectoryLock
from auto_insurance.infra.embedded.process import START_TOLERANCE_S

LAYOUT_VERSION = 1
_VERSION_FILE = "data-version"
_RUN_FILE = "run.json"


class ProcessMark(msgspec.Struct, frozen=True):
    """A process as it can be known again: its id and when it started (seconds since the epoch)."""

    pid: int
    started: float


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What runs on a data directory right now; other programs may read it from ``run.json``."""

    owner: ProcessMark
    base_url: str
    postgres_port: int | None = None
    valkey_port: int | None = None
    demo: bool = False
    children: Mapping[str, ProcessMark] = {}


def mark(pid: int) -> ProcessMark:
    """Return the mark of a live process; of one that is gone already a mark that fits no process."""
    try:
        return ProcessMark(pid, psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return ProcessMark(pid, 0.0)


class DataDir:
    """The directory that ``up`` works on. ``open`` takes it, ``close`` gives it back.

    Layout: ``postgres/`` and ``valkey/`` (the engines' own), ``secrets/`` (0700), ``logs/``, ``metrics/`` (emptied
    at each start), ``run.json``, ``data-version``, ``lock``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.postgres = self.path / "postgres"
        self.valkey = self.path / "valkey"
        self.logs = self.path / "logs"
        self.metrics = self.path / "metrics"
        self._secrets = self.path / "secrets"
        self._run = self.path / _RUN_FILE
        self._lock = DirectoryLock(self.path / "lock", self.path)

    def open(self) -> None:
        """Make the directory at first, take it, and check that it is ours.

        Raises ``DirectoryTaken`` when another ``up`` holds it, else :class:`EmbeddedError`.
        """
        if self._lock.held:
            return
        try:
            self._make()
            self._lock.acquire()
            self._check_version()
            # Root's engines run as another user, who must pass through, but not look around.
            self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
            for folder in (self._secrets, self.logs, self.metrics):
                folder.mkdir(mode=0o700, exist_ok=True)
        except PermissionError as error:
            raise not_ours(self.path, error) from error

    def close(self) -> None:
        """Give the directory back."""
        if self._lock.held:
            self._run.unlink(missing_ok=True)
        self._lock.release()

    def secret_file(self, name: str) -> Path:
        """Return where the secret ``name`` is kept."""
        return self._secrets / name

    def secret(self, name: str) -> str:
        """Return a random secret that is made on first use and kept (0600)."""
        return keep_secret(self.secret_file(name))

    def kept_secret(self, name: str) -> str | None:
        """Return the secret ``name`` if it was made before and we may read it. Needs no lock."""
        try:
            return self.secret_file(name).read_text().strip() or None
        except OSError:
            return None

    def empty_metrics(self) -> Path:
        """Return the folder for the metrics of this run's processes, empty."""
        shutil.rmtree(self.metrics, ignore_errors=True)
        self.metrics.mkdir(mode=0o700)
        return self.metrics

    def write_run(self, info: RunInfo) -> None:
        """Note what runs, for the next start after a crash and for other programs."""
        write_private(self._run, msgspec.json.encode(info).decode())

    def read_run(self) -> RunInfo | None:
        """Return what was noted last, None when nothing runs or the note cannot be read. Needs no lock."""
        try:
            return msgspec.json.decode(self._run.read_bytes(), type=RunInfo)
        except (OSError, msgspec.DecodeError):
            return None

    def left_over_children(self) -> list[psutil.Process]:
        """Return live child processes of an ``up`` that was killed. Call it only with the directory taken.

        They are known by pid, start time and this directory in their environment, never by name.
        """
        info = self.read_run()
        marks = info.children.values() if info is not None else ()
        return [found for m in marks if (found := self._find(m)) is not None]

    def _find(self, mark_: ProcessMark) -> psutil.Process | None:
        try:
            process = psutil.Process(mark_.pid)
            same_time = abs(process.create_time() - mark_.started) <= START_TOLERANCE_S
            alive = process.status() != psutil.STATUS_ZOMBIE
            if alive and same_time and str(self.metrics) in process.environ().values():
                return process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return None
        return None

    def damage(self) -> str | None:
        """Return why ``open`` would refuse the directory, None if nothing is known to be wrong. Changes nothing."""
        if not self.path.exists():
            return None
        if not self.path.is_dir():
            return f"{self.path} is a file; --data-dir needs a directory."
        return self._foreign() or self._strange_version()

    def _make(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise EmbeddedError(f"{self.path} is a file; --data-dir needs a directory.")
        self.path.mkdir(parents=True, exist_ok=True)
        wrong = self._foreign()
        if wrong is not None:
            raise EmbeddedError(wrong)

    def _foreign(self) -> str | None:
        known = (self.path / _VERSION_FILE).exists() or (self.path / "lock").exists()
        if not known and any(self.path.iterdir()):
            return f"{self.path} holds files that are not ours, so nothing was touched. Choose an empty directory."
        return None

    def _check_version(self) -> None:
        file = self.path / _VERSION_FILE
        if not file.exists():
            write_private(file, f"{LAYOUT_VERSION}\n")
        wrong = self._strange_version()
        if wrong is not None:
            self._lock.release()
            raise EmbeddedError(wrong)

    def _strange_version(self) -> str | None:
        file = self.path / _VERSION_FILE
        word = file.read_text().strip() if file.exists() else str(LAYOUT_VERSION)
        if word == str(LAYOUT_VERSION):
            return None
        return (
            f"The data in {self.path} have layout {word or '?'}, this program knows {LAYOUT_VERSION}. Start the "
            "version that wrote them, or restore a backup into a new directory."
        )


def group_or_world_access(path: Path) -> bool:
    """Return whether others than the owner may read or write a file that should be private."""
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
