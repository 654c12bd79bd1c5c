"""What can go wrong with the engines, said in words that a person can act on."""

from __future__ import annotations

from pathlib import Path


class EmbeddedError(Exception):
    """An engine or its data directory cannot be used; the message says why and what to do."""


class DirectoryTaken(EmbeddedError):
    """Another live process holds the directory; ``pid`` is its process id where known."""

    def __init__(self, path: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid else "another process"
        super().__init__(
            f"The directory {path} is in use by {holder}. Stop that one first, or choose another directory "
            "with --data-dir."
        )
        self.path = path
        self.pid = pid


class PortTaken(EmbeddedError):
    """Somebody else listens on the port that was asked for."""

    def __init__(self, what: str, port: int, option: str | None = None, host: str = "127.0.0.1") -> None:
        remedy = f" or choose another one with {option}" if option else ""
        super().__init__(f"Port {port} on {host} is taken, so {what} cannot use it. Free it{remedy}.")
        self.port = port
