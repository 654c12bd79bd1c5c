"""What PostgreSQL and Valkey have in common: one server process on one directory."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import psutil
import structlog

from auto_insurance.infra.embedded import accounts, logfile, machine, process
from auto_insurance.infra.embedded.errors import EmbeddedError, PortTaken
from auto_insurance.infra.embedded.locks import DirectoryLock

_log = structlog.get_logger(__name__)

READY_POLL_S = 0.01
PORT_ATTEMPTS = 3


class Engine(ABC):
    """A server on a directory of its own, locked against a second owner.

    Beside the directory ``D`` lie ``D.lock``, ``D.password`` (0600, random) and ``D.log`` unless told otherwise.
    Not thread-safe; ``start`` belongs on the main thread, so that the server ends when we die.
    """

    title: str
    death_signal: signal.Signals
    stop_steps: Sequence[process.StopStep]

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        password_file: Path | None = None,
        log_file: Path | None = None,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self._given_port = port
        self.port = port or 0
        self._password_file = password_file or self._beside("password")
        self.log_file = log_file or self._beside("log")
        self._lock = DirectoryLock(self._beside("lock"), self.data_dir)
        self._process: subprocess.Popen[bytes] | None = None
        self._run_as = accounts.OURSELVES

    def _beside(self, suffix: str) -> Path:
        return self.data_dir.with_name(f"{self.data_dir.name}.{suffix}")

    @property
    def password(self) -> str:
        """The server's password; made and kept on first use."""
        return keep_secret(self._password_file)

    @property
    def pid(self) -> int | None:
        """The process id of the running server, else None."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def alive(self) -> bool:
        """Whether our server process runs."""
        return self.pid is not None

    def start(self, timeout_s: float = 60.0) -> None:
        """Start the server and wait until it answers; make its directory at first.

        A server that an earlier, dead owner left on this directory is stopped first. Called again after the server
        died, it starts it anew on the same port. Raises :class:`EmbeddedError`.
        """
        if self.alive:
            return
        deadline = time.monotonic() + timeout_s
        try:
            self.data_dir.parent.mkdir(parents=True, exist_ok=True)
            if not self._lock.held:
                self._lock.acquire()
            self._stop_left_over()
            logfile.turn_over(self.log_file)
            self._prepare()
            self._start_on_a_port(deadline)
        except PermissionError as error:
            self.stop()
            raise not_ours(self.data_dir, error) from error
        except BaseException:
            self.stop()
            raise
        _log.info("engine_started", engine=self.title, port=self.port, pid=self.pid)

    def stop(self) -> None:
        """Stop the server cleanly, in the end by force, and give the directory back. Harmless when stopped."""
        try:
            if self._process is not None:
                process.end_child(self._process, self.stop_steps)
                _log.info("engine_stopped", engine=self.title)
        finally:
            self._process = None
            self._lock.release()

    def _start_on_a_port(self, deadline: float) -> None:
        first = self._given_port or self.port
        for attempt in range(PORT_ATTEMPTS):
            self.port = first if first and attempt == 0 else machine.free_port()
            if not machine.port_is_free(self.port):
                if self._given_port:
                    raise PortTaken(self.title, self.port)
                continue
            try:
                self._start_once(deadline)
            except EmbeddedError:
                # Lost the race for a port that was ours to choose: take another one.
                if self._given_port or machine.port_is_free(self.port):
                    raise
                continue
            return
        raise PortTaken(self.title, self.port)

    def _start_once(self, deadline: float) -> None:
        while True:
            log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
            with self.log_file.open("ab") as output:
                self._process = process.spawn(
                    self._command(),
                    run_as=self._run_as,
                    death_signal=self.death_signal,
                    output=output,
                    cwd=self.data_dir,
                )
            while self._process.poll() is None:
                if self._is_ready():
                    return
                if time.monotonic() > deadline:
                    raise EmbeddedError(f"{self.title} does not get ready in time; its log is {self.log_file}.")
                time.sleep(READY_POLL_S)
            said = self._said_since(log_start)
            if not self._may_pass(said) or time.monotonic() > deadline:
                raise EmbeddedError(f"{self.title} did not start. It said: {said or 'nothing'} (log: {self.log_file})")
            time.sleep(0.2)

    def _said_since(self, offset: int) -> str:
        with self.log_file.open("rb") as file:
            file.seek(offset)
            text = file.read(65_536).decode(errors="replace")
        return " / ".join(line.strip() for line in text.strip().splitlines()[-3:])

    def _stop_left_over(self) -> None:
        """Stop the server of an owner that died. The lock proves that there is no living owner."""
        old = self._left_over()
        if old is not None:
            _log.warning("engine_left_over_stopped", engine=self.title, pid=old.pid)
            process.end_stranger(old, self.stop_steps)

    def _hand_over(self) -> None:
        self.data_dir.chmod(0o700)
        accounts.give(self.data_dir, self._run_as)

    @abstractmethod
    def url(self, database: str = "") -> str:
        """Return the address with the password in it."""

    @abstractmethod
    def _left_over(self) -> psutil.Process | None:
        """Return a live server on our directory that an earlier owner started."""

    @abstractmethod
    def _prepare(self) -> None:
        """Make what the server needs before it starts; the directory is locked and free of a server."""

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _is_ready(self) -> bool: ...

    def _may_pass(self, said: str) -> bool:
        """Return whether a failed start is worth another try at once."""
        return False


def not_ours(path: Path, error: PermissionError) -> EmbeddedError:
    """Return the error for a directory that holds another user's files."""
    return EmbeddedError(
        f"No permission for {error.filename or path}. The data in {path} were made by another user (root?): start "
        f"as that user, hand them over with 'sudo chown -R $(id -u) {path}', or choose another --data-dir."
    )


def keep_secret(file: Path) -> str:
    """Return the secret in ``file``; at first make it from 256 random bits (URL-safe, mode 0600)."""
    if not file.exists():
        write_private(file, secrets.token_urlsafe(32) + "\n")
    return file.read_text().strip()


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    part.rename(file)
