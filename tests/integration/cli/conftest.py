"""`up` in a process of its own, with small scripts in place of its three processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from auto_insurance.infra.embedded.datadir import DataDir, RunInfo
from auto_insurance.infra.embedded.machine import free_port

UP = '''
import sys
from pathlib import Path
from auto_insurance.entrypoints.cli import stack
from auto_insurance.entrypoints.cli.main import main
from auto_insurance.entrypoints.supervisor import RestartPolicy

CHILD = """
import http.server, os, sys, threading, time
name = sys.argv[1]
if name == "worker" and os.path.exists("broken"):
    sys.exit("the worker is broken")
assert os.environ["DATABASE_URL"].startswith("postgresql://auto_insurance:")
assert os.environ["REDIS_URL"].startswith("redis://:") and len(os.environ["JWT_SECRET_KEY"]) > 40
assert not any(os.environ[key] in " ".join(sys.argv) for key in ("DATABASE_URL", "REDIS_URL", "JWT_SECRET_KEY"))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *args): pass
if name == "api":
    http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
time.sleep(600)
"""
argv_of = lambda name: [sys.executable, "-c", CHILD, name]
QUICK = RestartPolicy(first_pause_s=0.1, max_pause_s=0.5)
original = stack.Stack.__init__
def small(self, *args, **kwargs):
    original(self, *args, **{"argv_of": argv_of, "migrate": lambda url: None, "policy": QUICK} | kwargs)
stack.Stack.__init__ = small
main()
'''


class Up:
    """A running `up`: its process, its data directory and what it says."""

    def __init__(self, folder: Path, port: int, *options: str) -> None:
        self.data_dir = folder / "data"
        self.port = port
        self.output = folder / "output.txt"
        argv = [sys.executable, "-c", UP, "up", "--port", str(port), "--data-dir", str(self.data_dir), *options]
        env = {key: value for key, value in os.environ.items() if key not in {"DATABASE_URL", "REDIS_URL"}}
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(argv, cwd=folder, stdout=out, stderr=out, env=env, start_new_session=True)

    @property
    def said(self) -> str:
        return self.output.read_text()

    def wait_for(self, condition: Callable[[], object], what: str, within_s: float = 40.0) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, f"{what}: not in time. It said: {self.said}"
            time.sleep(0.05)

    def wait_running(self) -> Up:
        self.wait_for(lambda: "is running" in self.said or self.process.poll() is not None, "running")
        assert self.process.poll() is None, self.said
        return self

    @property
    def info(self) -> RunInfo:
        info = DataDir(self.data_dir).read_run()
        assert info is not None
        return info

    def family(self) -> list[psutil.Process]:
        children: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return children

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


Start = Callable[..., Up]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder below /tmp that every user may pass through."""
    path = Path(tempfile.mkdtemp(prefix="up-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start `up` on the folder; whatever is left of it at the end is stopped."""
    started: list[Up] = []

    def begin(*options: str, port: int | None = None) -> Up:
        started.append(Up(folder, port or free_port(), *options))
        return started[-1]

    yield begin
    for up in started:
        if up.process.poll() is None:
            up.stop()


def all_gone(processes: list[psutil.Process], within_s: float = 20.0) -> bool:
    """Return whether all end within some seconds."""
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    return not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]
