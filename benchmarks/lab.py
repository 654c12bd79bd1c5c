"""Everything that a benchmark starts: PostgreSQL, Kafka, the product's processes; and that it all ends again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self, TypeVar

import asyncpg
import httpx
from tests.support.kafka import KafkaBroker

from auto_insurance.infra.config import Settings, load_settings
from auto_insurance.infra.db import migrate
from auto_insurance.infra.embedded.machine import free_port
from auto_insurance.infra.embedded.postgres import EmbeddedPostgres
from auto_insurance.infra.embedded.process import child_argv, child_environment
from auto_insurance.infra.embedded.valkey import EmbeddedValkey
from benchmarks.provision import provision
from benchmarks.results import Wrong

SECRET = "benchmarks-need-a-secret-of-32-bytes-too"
FLEET = "fleet"
"""The database in which the fleet is registered and nothing else has happened."""
GROUP = "telematics-consumers-v2"
ROOT = Path(__file__).parents[1]
READY_S, STOP_S = 60.0, 30.0
T = TypeVar("T")


class Postgres(EmbeddedPostgres):
    """The product's embedded server with its usual durability, which also remembers when transactions committed."""

    def _settings(self) -> dict[str, str]:
        return super()._settings() | {"track_commit_timestamp": "on"}


class Child:
    """One process of the product. It ends with us, whatever we die of."""

    def __init__(self, name: str, argv: Sequence[str], env: dict[str, str], folder: Path) -> None:
        self.name = name
        self.port = int(env["PORT"])
        self.metrics_port = int(env["METRICS_PORT"])
        self.log = folder / f"{name}-{len(list(folder.glob(f'{name}-*.log')))}.log"
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(
                child_argv([sys.executable, *argv], signal.SIGKILL),
                cwd=ROOT,
                env=child_environment(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def check(self) -> None:
        """Raise ``Wrong`` with its last words if it has ended."""
        if self._process.poll() is not None:
            raise Wrong(f"{self.name} ended with code {self._process.returncode}:\n{self.said}")

    @property
    def said(self) -> str:
        """The end of what it wrote."""
        return self.log.read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        """End it by SIGTERM, and by SIGKILL when that takes long."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it and what it started by SIGKILL."""
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait(20)


class Lab:
    """A temporary folder with servers. Use as a context manager, outside of an event loop and on the main thread.

    With ``server``, a running one, its migrated database ``template`` is the beginning; it goes on running afterwards.
    """

    def __init__(self, devices: int, server: EmbeddedPostgres | None = None, template: str = "migrated") -> None:
        self.devices = devices
        self._server, self._template = server, template
        self._fleet = f"fleet_{os.getpid()}_{id(self)}" if server else FLEET
        self._stack = ExitStack()
        self._made = 0
        self.children: list[Child] = []
        self.broker: KafkaBroker | None = None
        self.valkey: EmbeddedValkey | None = None

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="auto-insurance-bench-"))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.folder.chmod(0o755)
        self.postgres = self._server or Postgres(self.folder / "pg")
        try:
            if self._server is None:
                self._stack.callback(self.postgres.stop)
                self.postgres.start()
                self.sql(f"CREATE DATABASE {self._fleet}")
                migrate.upgrade(self.url(self._fleet))
            else:
                self.sql(f"CREATE DATABASE {self._fleet} TEMPLATE {self._template} STRATEGY file_copy")
                self._stack.callback(self.drop, self._fleet)
            self.on(FLEET, lambda conn: provision(conn, self.devices))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # nothing may break off the clearing up
        try:
            for child in reversed(self.children):
                child.kill()
            self._stack.close()
        finally:
            signal.signal(signal.SIGTERM, before)

    def url(self, database: str) -> str:
        """Return the address of a database."""
        return self.postgres.url(self._fleet if database == FLEET else database)

    def on(self, database: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Run something on a connection of its own; blocks."""

        async def run() -> T:
            conn = await asyncpg.connect(self.url(database), timeout=20, command_timeout=600)
            try:
                return await work(conn)
            finally:
                await conn.close()

        return asyncio.run(run())

    def sql(self, statement: str, database: str = "postgres") -> None:
        """Run a statement."""
        self.on(database, lambda conn: conn.execute(statement))

    def value(self, database: str, query: str, *values: object) -> int:
        """Return one number."""
        return int(self.on(database, lambda conn: conn.fetchval(query, *values)) or 0)

    def clone(self, template: str = "") -> str:
        """Return the name of a fresh copy of a database that nobody is connected to, the fleet's at first."""
        self._made += 1
        name, template = f"bench{os.getpid()}_{self._made}", template or self._fleet
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def drop(self, database: str) -> None:
        """Remove a database."""
        self.sql(f"DROP DATABASE {database} WITH (FORCE)")

    def start_kafka(self) -> KafkaBroker:
        """Start a fresh broker; the one before ends."""
        self.stop_kafka()
        self._made += 1
        folder = self.folder / f"kafka{self._made}"
        folder.mkdir()
        self.broker = KafkaBroker(folder)
        self._stack.callback(self.broker.stop)
        self.broker.start()
        return self.broker

    def stop_kafka(self) -> None:
        """End the broker and remove its data."""
        if self.broker is not None:
            self.broker.stop()
            shutil.rmtree(self.folder / f"kafka{self._made}", ignore_errors=True)
            self.broker = None

    def start_valkey(self) -> EmbeddedValkey:
        """Start a Valkey server; processes that start afterwards use it."""
        self.valkey = EmbeddedValkey(self.folder / "valkey")
        self._stack.callback(self.valkey.stop)
        self.valkey.start()
        return self.valkey

    def environment(self, engine: str, database: str) -> dict[str, str]:
        """Return the settings of a process of the product."""
        found = {
            "DATABASE_URL": self.url(database),
            "EVENT_LOG": engine,
            "JWT_SECRET_KEY": SECRET,
            "LOG_LEVEL": "WARNING",
            "DATA_DIR": str(self.folder / "data"),
        }
        if self.valkey is not None:
            found["REDIS_URL"] = self.valkey.url()
        if engine == "kafka":
            assert self.broker is not None, "start Kafka first"
            found["KAFKA_BOOTSTRAP_SERVERS"] = self.broker.address
        return found

    def settings(self, engine: str, database: str) -> Settings:
        """Return the same settings for a container of our own."""
        return load_settings(self.environment(engine, database), None, {})

    def start(
        self,
        name: str,
        engine: str,
        database: str,
        *arguments: str,
        profile: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Child:
        """Start a process of the product as the product does; with ``profile`` under our sampler."""
        own = dict(settings or {}) | {"HOST": "127.0.0.1", "PORT": str(free_port()), "METRICS_PORT": str(free_port())}
        argv = ["-m", "auto_insurance", name, *arguments]
        if profile is not None:
            argv = ["-m", "benchmarks.profiled", str(profile), name, *arguments]
        child = Child(name, argv, self.environment(engine, database) | own, self.folder)
        self.children.append(child)
        return child

    def start_api(self, engine: str, database: str, **settings: str) -> Child:
        """Start an API and wait until it takes traffic."""
        api = self.start("api", engine, database, settings=settings)
        wait_ready(api)
        return api

    def start_bare(self, name: str = "bare", *arguments: str) -> Child:
        """Start the application of ``benchmarks.bare`` or ``benchmarks.trivial``; wait until it listens."""
        port = free_port()
        own = {"PORT": str(port), "METRICS_PORT": "0"}
        child = Child(name, ["-m", f"benchmarks.{name}", str(port), *arguments], own, self.folder)
        self.children.append(child)
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            child.check()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        return child

    def broker_pid(self, engine: str) -> dict[str, int]:
        """Return the broker's process by its role, if it has a part in this."""
        held = self.broker._process if engine == "kafka" and self.broker is not None else None
        return {"kafka": held.pid} if held is not None else {}


def wait_ready(child: Child) -> None:
    """Wait until ``/ready`` says 200. Raises ``Wrong``."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        child.check()
        with suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{child.port}/ready", timeout=5.0, trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    raise Wrong(f"{child.name} is not ready within {READY_S:g} s:\n{child.said}")
