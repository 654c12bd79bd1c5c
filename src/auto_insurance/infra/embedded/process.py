"""Child processes: how they start, how they are known again, how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from auto_insurance.infra.config import PREFIX
from auto_insurance.infra.embedded.accounts import LAUNCHER, OURSELVES, RunAs
from auto_insurance.infra.embedded.errors import EmbeddedError

StopStep = tuple[signal.Signals, float]
"""A signal and how many seconds to wait for the end after it."""

START_TOLERANCE_S = 5.0
"""Start times are compared loosely: the kernel counts in ticks since a boot time that the clock may move."""


def child_argv(argv: Sequence[str], death_signal: signal.Signals, run_as: RunAs = OURSELVES) -> list[str]:
    """Return a command line that runs ``argv`` so that it gets ``death_signal`` when we die, where possible.

    Where it is not (not Linux, or off the main thread: the kernel means the thread when it says parent), the plain
    command is returned; what is left over then is found by the next start.
    """
    if not uses_launcher(run_as):
        return list(argv)
    return [
        sys.executable,
        "-I",
        "-S",
        str(LAUNCHER),
        str(os.getpid()),
        str(int(death_signal) if _on_main_thread() else 0),
        run_as.word(),
        *argv,
    ]


def uses_launcher(run_as: RunAs) -> bool:
    """Return whether a child goes through ``launch.py``."""
    usable = sys.platform == "linux" and os.access(sys.executable, os.X_OK)
    return usable and (_on_main_thread() or run_as.namespace)


def _on_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def spawn(
    argv: Sequence[str], *, run_as: RunAs, death_signal: signal.Signals, output: IO[bytes], cwd: Path
) -> subprocess.Popen[bytes]:
    """Start an engine in a session of its own, so that Ctrl-C reaches us and not it."""
    direct = not uses_launcher(run_as) and run_as.uid is not None
    return subprocess.Popen(
        child_argv(argv, death_signal, run_as),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd=cwd,
        start_new_session=True,
        user=run_as.uid if direct else None,
        group=run_as.gid if direct else None,
        extra_groups=[] if direct else None,
    )


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return our environment with ``extra`` put in, for a child. Other spellings of the same settings are left out.

    A setting may be given as NAME, AUTO_INSURANCE_NAME or NAME_FILE, but only once.
    """
    env = dict(os.environ)  # noqa: TID251 - passed on, not read
    for name in extra:
        for spelling in (f"{name}_FILE", f"{PREFIX}{name}", f"{PREFIX}{name}_FILE"):
            env.pop(spelling, None)
    return env | dict(extra)


def find(pid: int, *, cwd: Path, started: float) -> psutil.Process | None:
    """Return the live process ``pid`` if it is the one that we mean, else None.

    A pid alone may have gone to a stranger meanwhile: the process must work in ``cwd`` and have started at
    ``started`` (seconds since the epoch, give or take some).
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - started) > START_TOLERANCE_S:
            return None
        return process if Path(process.cwd()).resolve() == cwd.resolve() else None
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return None


def end_child(process: subprocess.Popen[bytes], steps: Sequence[StopStep]) -> None:
    """Stop our own child step by step. Raises :class:`EmbeddedError` if it survives the last one."""
    for number, patience_s in steps:
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue
        return
    raise EmbeddedError(f"Process {process.pid} does not end, not even after SIGKILL.")


def end_stranger(process: psutil.Process, steps: Sequence[StopStep]) -> None:
    """Stop a process that an earlier run left over, step by step. Raises :class:`EmbeddedError`."""
    for number, patience_s in steps:
        try:
            process.send_signal(number)
            process.wait(patience_s)
        except psutil.NoSuchProcess:
            return
        except psutil.AccessDenied as error:
            raise EmbeddedError(
                f"Process {process.pid} of an earlier run is still there and belongs to another user. Stop it "
                f"with: sudo kill {process.pid}"
            ) from error
        except psutil.TimeoutExpired:
            continue
        return
    raise EmbeddedError(f"Process {process.pid} of an earlier run does not end, not even after SIGKILL.")
