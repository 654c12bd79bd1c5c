"""A lock that the kernel gives back when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from auto_insurance.infra.embedded.errors import DirectoryTaken


class DirectoryLock:
    """An exclusive ``flock`` on a file that holds its owner's pid for the message to the next one.

    The descriptor is not inherited, so a child that outlives its parent does not keep the lock.
    """

    def __init__(self, file: Path, directory: Path) -> None:
        self._file = file
        self._directory = directory
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises :class:`DirectoryTaken` at once when somebody else has it."""
        fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raw = os.read(fd, 32).strip()
            os.close(fd)
            raise DirectoryTaken(self._directory, int(raw) if raw.isdigit() else None) from error
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        self._fd = fd

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._fd is not None
