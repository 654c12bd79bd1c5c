"""The embedded Valkey: password, persistence, crash of the server and of its owner."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import psutil
import pytest
import redis

from auto_insurance.infra.embedded.errors import DirectoryTaken, EmbeddedError
from auto_insurance.infra.embedded.valkey import EmbeddedValkey, ping
from tests.integration.embedded.conftest import Script, ended, gone

OWNER = """
    import sys, pathlib, threading
    from auto_insurance.infra.embedded.valkey import EmbeddedValkey
    server = EmbeddedValkey(pathlib.Path(sys.argv[1]))
    start = threading.Thread(target=server.start)
    start.start(); start.join()
    print(server.pid, flush=True)
    sys.stdin.read()
"""


def client(server: EmbeddedValkey) -> redis.Redis:
    return redis.Redis.from_url(server.url(), decode_responses=True)


def test_values_survive_restart_and_kill(base: Path) -> None:
    server = EmbeddedValkey(base / "valkey")
    server.start()
    try:
        with client(server) as conn:
            conn.set("kept", "1")
        server.stop()
        server.start()
        with client(server) as conn:
            assert conn.get("kept") == "1"
            conn.set("also", "2")
            conn.execute_command("WAITAOF", 1, 0, 5000)
        pid, port = server.pid, server.port
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert ended(server)
        server.start()
        assert server.port == port
        with client(server) as conn:
            assert conn.get("also") == "2"
    finally:
        server.stop()


def test_password_is_needed_and_hidden(base: Path) -> None:
    server = EmbeddedValkey(base / "valkey")
    server.start()
    try:
        assert not ping(server.port, "wrong")
        with pytest.raises(redis.AuthenticationError), redis.Redis(port=server.port) as conn:
            conn.ping()
        assert server.pid is not None
        assert server.password not in " ".join(psutil.Process(server.pid).cmdline())
        assert stat.S_IMODE((base / "valkey" / "valkey.conf").stat().st_mode) == 0o600
    finally:
        server.stop()


def test_left_over_is_stopped_and_a_living_owner_respected(base: Path, script: Script) -> None:
    owner = script(OWNER, base / "valkey")
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    server = EmbeddedValkey(base / "valkey")
    with pytest.raises(DirectoryTaken):
        server.start()
    owner.kill()
    owner.wait(10)
    assert psutil.pid_exists(pid)
    server.start()
    try:
        assert gone(pid, 1.0)
        assert ping(server.port, server.password)
    finally:
        server.stop()


def test_failed_start_is_an_error_with_the_servers_words(base: Path) -> None:
    server = EmbeddedValkey(base / "valkey")
    server.start()
    server.stop()
    for file in (base / "valkey" / "appendonlydir").glob("*.manifest"):
        file.write_text("nonsense\n")
    with pytest.raises(EmbeddedError, match="did not start"):
        server.start()
