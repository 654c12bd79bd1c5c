"""Keeps child processes running: starts them in order, restarts the crashed, gives up on the hopeless, ends all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import structlog

from auto_insurance.infra.embedded import logfile
from auto_insurance.infra.embedded.engine import Engine
from auto_insurance.infra.embedded.errors import EmbeddedError
from auto_insurance.infra.embedded.process import child_argv, child_environment

_log = structlog.get_logger(__name__)

READY_POLL_S = 0.1
ENGINE_POLL_S = 0.5
ENGINE_START_S = 30.0


class SupervisorError(Exception):
    """A child does not start or keeps crashing; the message names it and where its log is."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child process. ``ready`` None counts as ready when started; ``log_file`` None passes its output through."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    log_file: Path | None = None
    ready: Callable[[], Awaitable[bool]] | None = None
    ready_timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """More than ``max_crashes`` within ``window_s`` seconds are hopeless; the pause doubles up to ``max_pause_s``.

    A child that has never been ready is hopeless after ``max_crashes_at_start`` already: somebody waits for it.
    """

    max_crashes: int = 5
    window_s: float = 60.0
    max_crashes_at_start: int = 2
    first_pause_s: float = 0.5
    max_pause_s: float = 10.0


class CrashHistory:
    """Counts the crashes of one process within the window."""

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._times: deque[float] = deque(maxlen=policy.max_crashes + 1)

    def crashed(self) -> float | None:
        """Note a crash now. Returns the seconds to pause before the restart, None when it is hopeless."""
        now = time.monotonic()
        self._times.append(now)
        recent = sum(1 for at in self._times if now - at <= self._policy.window_s)
        if recent > self._policy.max_crashes:
            return None
        return float(min(self._policy.max_pause_s, self._policy.first_pause_s * 2 ** (recent - 1)))


class Supervisor:
    """Runs children (and watches engines) until it is told to stop or one of them is hopeless.

    ``on_change`` gets name -> pid after each start or end; ``on_death`` gets the pid of each child that ended.
    """

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        *,
        engines: Sequence[Engine] = (),
        policy: RestartPolicy | None = None,
        drain_timeout_s: float = 20.0,
        on_change: Callable[[Mapping[str, int]], None] | None = None,
        on_death: Callable[[int], None] | None = None,
    ) -> None:
        self._specs = specs
        self._engines = engines
        self._policy = policy or RestartPolicy()
        self._drain_timeout_s = drain_timeout_s
        self._on_change = on_change
        self._on_death = on_death
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._spawning: set[asyncio.Task[asyncio.subprocess.Process]] = set()
        self._seen_ready: set[str] = set()
        self._stopping = False

    @property
    def pids(self) -> dict[str, int]:
        """Name -> pid of the children that run now."""
        return {name: process.pid for name, process in self._running.items()}

    async def run(
        self,
        stop: asyncio.Event,
        *,
        force: asyncio.Event | None = None,
        started: Callable[[], Coroutine[object, object, None]] | None = None,
    ) -> None:
        """Run until ``stop`` is set, then end every child: SIGTERM, the drain time, SIGKILL (at once when ``force``).

        ``started`` runs beside the children once all are ready, and is cancelled at the stop. Raises
        :class:`SupervisorError` when a child is hopeless; all the others have ended then, too. A failure of
        ``started`` ends everything and is raised.
        """
        tasks: list[asyncio.Task[None]] = []
        try:
            tasks += [asyncio.create_task(self._keep_engine(engine)) for engine in self._engines]
            tasks.append(asyncio.create_task(self._start_all(tasks, started)))
            await self._until_stopped(stop, tasks)
        finally:
            self._stopping = True
            await asyncio.gather(*self._spawning, return_exceptions=True)
            await self._end_all(force or asyncio.Event())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_stopped(self, stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
        waiter = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                pending = [task for task in tasks if not task.done()]
                # The list grows while children start: look again now and then.
                await asyncio.wait([waiter, *pending], return_when=asyncio.FIRST_COMPLETED, timeout=1.0)
                for task in tasks:
                    if task.done() and not task.cancelled():
                        task.result()
        finally:
            waiter.cancel()

    async def _start_all(
        self, tasks: list[asyncio.Task[None]], started: Callable[[], Coroutine[object, object, None]] | None
    ) -> None:
        for spec in self._specs:
            keeper = asyncio.create_task(self._keep(spec))
            tasks.append(keeper)
            await self._wait_ready(spec, keeper)
        if started is not None:
            await started()

    async def _wait_ready(self, spec: ChildSpec, keeper: asyncio.Task[None]) -> None:
        deadline = time.monotonic() + spec.ready_timeout_s
        while not (spec.name in self._running and (spec.ready is None or await spec.ready())):
            if keeper.done():
                return  # its error is seen by whoever watches the tasks
            if time.monotonic() > deadline:
                where = f"; its log is {spec.log_file}" if spec.log_file else ""
                raise SupervisorError(f"'{spec.name}' is not ready after {spec.ready_timeout_s:.0f} s{where}")
            await asyncio.sleep(READY_POLL_S if spec.ready else 0.01)
        self._seen_ready.add(spec.name)

    async def _keep(self, spec: ChildSpec) -> None:
        history, crashes = CrashHistory(self._policy), 0
        while not self._stopping:
            # A task of its own: a start that is under way when all ends is finished, and then ended.
            spawning = asyncio.create_task(self._spawn(spec))
            self._spawning.add(spawning)
            spawning.add_done_callback(self._spawning.discard)
            process = await spawning
            code = await process.wait()
            self._running.pop(spec.name, None)
            if self._on_death is not None:
                self._on_death(process.pid)
            self._changed()
            if self._stopping:
                return
            pause = history.crashed()
            crashes += 1
            if spec.ready is not None and spec.name not in self._seen_ready:
                pause = pause if crashes <= self._policy.max_crashes_at_start else None
            _log.error("child_crashed", child=spec.name, exit_code=code, restart_in_s=pause)
            if pause is None:
                raise SupervisorError(self._hopeless(spec, code, crashes))
            await asyncio.sleep(pause)

    def _hopeless(self, spec: ChildSpec, code: int, crashes: int) -> str:
        ended = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        where = f" Its log: {spec.log_file}" if spec.log_file else ""
        said = last_words(spec.log_file)
        return f"'{spec.name}' keeps crashing ({crashes} times); the last time it {ended}.{where}{said}"

    async def _spawn(self, spec: ChildSpec) -> asyncio.subprocess.Process:
        with contextlib.ExitStack() as stack:
            output: IO[bytes] | None = None
            if spec.log_file is not None:
                spec.log_file.parent.mkdir(parents=True, exist_ok=True)
                logfile.turn_over(spec.log_file)
                output = stack.enter_context(spec.log_file.open("ab"))
            # A session of its own: Ctrl-C reaches us alone, and we end the children in good order.
            process = await asyncio.create_subprocess_exec(
                *child_argv(spec.argv, signal.SIGTERM),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=child_environment(spec.env),
                start_new_session=True,
            )
        self._running[spec.name] = process
        _log.info("child_started", child=spec.name, pid=process.pid)
        if self._stopping:
            process.terminate()
        self._changed()
        return process

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change(self.pids)

    async def _end_all(self, force: asyncio.Event) -> None:
        ending = list(self._running.items())
        for _, process in ending:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        waits: asyncio.Future[Any] = asyncio.gather(*(process.wait() for _, process in ending))
        hurry: asyncio.Future[Any] = asyncio.create_task(force.wait())
        await asyncio.wait([waits, hurry], timeout=self._drain_timeout_s, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        for name, process in ending:
            if process.returncode is None:
                _log.warning("child_killed", child=name, after_s=self._drain_timeout_s)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        await waits

    async def _keep_engine(self, engine: Engine) -> None:
        history = CrashHistory(self._policy)
        while True:
            await asyncio.sleep(ENGINE_POLL_S)
            if engine.alive or self._stopping:
                continue
            pause = history.crashed()
            _log.error("engine_crashed", engine=engine.title, restart_in_s=pause)
            if pause is None:
                raise SupervisorError(f"{engine.title} keeps crashing. Its log: {engine.log_file}")
            await asyncio.sleep(pause)
            if self._stopping:
                return
            try:
                # On this thread, though it blocks: an engine lives as long as the thread that started it.
                engine.start(ENGINE_START_S)
            except EmbeddedError as error:
                _log.warning("engine_restart_failed", engine=engine.title, reason=str(error))


def last_words(log_file: Path | None, lines: int = 5) -> str:
    """Return the last lines of a log, each on a line of its own and indented, for an error message."""
    if log_file is None or not log_file.exists():
        return ""
    with log_file.open("rb") as file:
        file.seek(max(0, log_file.stat().st_size - 16_384))
        tail = file.read().decode(errors="replace").strip().splitlines()[-lines:]
    return "".join(f"\n    {line}" for line in tail)
