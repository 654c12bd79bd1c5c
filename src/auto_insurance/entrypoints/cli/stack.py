"""Everything on one machine: engines, migrations, processes; up and down again in good order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import httpx
from prometheus_client import multiprocess

from auto_insurance.entrypoints.supervisor import ChildSpec, RestartPolicy, Supervisor
from auto_insurance.infra.embedded import machine
from auto_insurance.infra.embedded.datadir import DataDir, RunInfo, mark
from auto_insurance.infra.embedded.errors import PortTaken
from auto_insurance.infra.embedded.postgres import PRODUCT, EmbeddedPostgres
from auto_insurance.infra.embedded.process import end_stranger
from auto_insurance.infra.embedded.valkey import EmbeddedValkey

if TYPE_CHECKING:
    from auto_insurance.infra.config import Settings

CHILDREN = ("api", "worker", "scheduler")
ADMIN_SECRET = "admin"  # noqa: S105 - the name of its file
DRAIN_TIMEOUT_S = 20.0
Report = Callable[[str], None]
Beside = Callable[[asyncio.Event], Coroutine[object, object, None]]


def child_argv_of(name: str) -> list[str]:
    """Return the command line of one of our own processes."""
    return [sys.executable, "-m", "auto_insurance", name]


@dataclass(slots=True)
class Stack:
    """One installation on one data directory. ``argv_of`` is replaced by tests alone.

    ``open`` and ``close`` block and belong on the main thread; ``close`` may be called at any point.
    """

    settings: Settings
    report: Report
    show_logs: bool = False
    argv_of: Callable[[str], list[str]] = child_argv_of
    migrate: Callable[[str], None] | None = None
    policy: RestartPolicy = field(default_factory=RestartPolicy)
    data: DataDir = field(init=False)
    postgres: EmbeddedPostgres | None = field(default=None, init=False)
    valkey: EmbeddedValkey | None = field(default=None, init=False)
    _env: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.data = DataDir(self.settings.data_dir)

    @property
    def base_url(self) -> str:
        """Where a program on this machine reaches the API."""
        return own_url(self.settings)

    @property
    def admin_password_file(self) -> Path | None:
        """The file with the first administrator's password; None where it is not for us to make one."""
        settings = self.settings
        given = settings.login.admin_password is not None
        return None if settings.demo_mode or settings.is_production or given else self.data.secret_file(ADMIN_SECRET)

    def open(self) -> None:
        """Take the data directory, end left-overs, start the engines, migrate. Raises ``EmbeddedError``."""
        self.data.open()
        for old in self.data.left_over_children():
            self.report(f"ending process {old.pid}, left over by an earlier run")
            end_stranger(old, [(signal.SIGTERM, DRAIN_TIMEOUT_S), (signal.SIGKILL, 5.0)])
        host, port = self.settings.server.host, self.settings.server.port
        if not machine.port_is_free(port, host):
            raise PortTaken("the API", port, "--port", host)
        self._env = self._environment()
        self._start_engines()
        self._note({})
        self._migrate()

    async def run(self, stop: asyncio.Event, force: asyncio.Event, started: Beside) -> None:
        """Run the processes until ``stop``; ``started`` runs beside them. Raises ``SupervisorError``."""
        supervisor = Supervisor(
            [self._spec(name) for name in CHILDREN],
            engines=[engine for engine in (self.postgres, self.valkey) if engine is not None],
            policy=self.policy,
            drain_timeout_s=DRAIN_TIMEOUT_S,
            on_change=self._note,
            on_death=self._forget_gauges,
        )
        await supervisor.run(stop, force=force, started=lambda: started(stop))

    def close(self) -> None:
        """Stop the engines and give the directory back."""
        try:
            for engine in (self.valkey, self.postgres):
                if engine is not None:
                    engine.stop()
        finally:
            self.data.close()

    def _environment(self) -> dict[str, str]:
        """What the children are told, by environment: everybody on the machine can read a command line."""
        settings = self.settings
        env = {
            "HOST": settings.server.host,
            "PORT": str(settings.server.port),
            "DATA_DIR": str(self.data.path),
            "DEMO_MODE": str(settings.demo_mode).lower(),
            "PROMETHEUS_MULTIPROC_DIR": str(self.data.empty_metrics()),
        }
        if "JWT_SECRET_KEY" not in settings.sources and not settings.is_production:
            env["JWT_SECRET_KEY"] = self.data.secret("jwt")
        return env

    def _admin(self) -> dict[str, str]:
        """What the API needs to make the first administrator; an existing one stays as it is."""
        return {"ADMIN_PASSWORD": self.data.secret(ADMIN_SECRET)} if self.admin_password_file is not None else {}

    def _start_engines(self) -> None:
        if self.settings.database.url is None:
            self.report("starting PostgreSQL")
            self.postgres = EmbeddedPostgres(
                self.data.postgres,
                password_file=self.data.secret_file("postgres"),
                log_file=self.data.logs / "postgres.log",
            )
            self.postgres.start()
            self._env["DATABASE_URL"] = asyncio.run(self.postgres.ensure_database(PRODUCT))
        if self.settings.redis.url is None:
            self.report("starting Valkey")
            self.valkey = EmbeddedValkey(
                self.data.valkey,
                password_file=self.data.secret_file("valkey"),
                log_file=self.data.logs / "valkey.log",
            )
            self.valkey.start()
            self._env["REDIS_URL"] = self.valkey.url()

    def _migrate(self) -> None:
        from auto_insurance.infra.db import migrate  # noqa: PLC0415 - slow to load, and only needed here

        self.report("bringing the schema up to date")
        url = self._env.get("DATABASE_URL")
        if url is None and self.settings.database.url is not None:
            url = self.settings.database.url.get_secret_value()
        (self.migrate or migrate.upgrade)(url or "")

    def _spec(self, name: str) -> ChildSpec:
        return ChildSpec(
            name,
            self.argv_of(name),
            env=self._env | (self._admin() if name == "api" else {}),
            log_file=None if self.show_logs else self.log_of(name),
            ready=self._is_ready if name == "api" else None,
        )

    def log_of(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.data.logs / f"{name}.log"

    async def _is_ready(self) -> bool:
        # /live: the API's readiness may wait for the worker, which starts after it.
        return await answers(f"{self.base_url}/live")

    async def wait_ready(self, timeout_s: float = 60.0) -> bool:
        """Wait until ``/ready`` answers 200; False when it does not in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not await answers(f"{self.base_url}/ready"):
            if loop.time() > deadline:
                return False
            await asyncio.sleep(0.2)
        return True

    def _note(self, pids: Mapping[str, int]) -> None:
        self.data.write_run(
            RunInfo(
                owner=mark(os.getpid()),
                base_url=self.base_url,
                postgres_port=self.postgres.port if self.postgres else None,
                valkey_port=self.valkey.port if self.valkey else None,
                demo=self.settings.demo_mode,
                children={name: mark(pid) for name, pid in pids.items()},
            )
        )

    def _forget_gauges(self, pid: int) -> None:
        multiprocess.mark_process_dead(pid, str(self.data.metrics))  # type: ignore[no-untyped-call]


def own_url(settings: Settings) -> str:
    """Return where a program on this machine reaches an API with these settings."""
    host = settings.server.host
    host = "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.server.port}"


async def answers(url: str) -> bool:
    """Return whether a GET answers 200 within two seconds."""
    try:
        async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
            return (await client.get(url)).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


class Signals:
    """The first Ctrl-C, SIGTERM or closed terminal asks for a stop, the second one for haste."""

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt_start(self) -> None:
        """While blocking: a signal raises ``KeyboardInterrupt``, so that what was started is stopped again."""
        for number in self.NUMBERS:
            signal.signal(number, self._raise)

    def watch(self, stop: asyncio.Event, force: asyncio.Event, on_stop: Callable[[], None]) -> None:
        """Inside the event loop: signals set the events; ``on_stop`` tells the person that the first was heard."""

        def asked() -> None:
            if stop.is_set():
                force.set()
                return
            stop.set()
            with contextlib.suppress(OSError):  # the terminal may be what has gone away
                on_stop()

        for number in self.NUMBERS:
            asyncio.get_running_loop().add_signal_handler(number, asked)

    def ignore(self) -> None:
        """While the engines stop: they are waited for, with a limit of their own."""
        for number in self.NUMBERS:
            signal.signal(number, signal.SIG_IGN)

    @staticmethod
    def _raise(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt
