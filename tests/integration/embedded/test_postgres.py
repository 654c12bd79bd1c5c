"""The embedded PostgreSQL: data survive what may happen to its process and to its owner."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import time
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from auto_insurance.infra.embedded.errors import DirectoryTaken, EmbeddedError, PortTaken
from auto_insurance.infra.embedded.postgres import EmbeddedPostgres
from tests.integration.embedded.conftest import Script, ended, gone

OWNER = """
    import sys, pathlib
    from auto_insurance.infra.embedded.postgres import EmbeddedPostgres
    server = EmbeddedPostgres(pathlib.Path(sys.argv[1]), fast=True)
    server.start()
    print(server.pid, server.port, flush=True)
    sys.stdin.read()
"""


def query(server: EmbeddedPostgres, sql: str) -> Any:
    async def run() -> Any:
        conn = await asyncpg.connect(server.url(), timeout=10)
        try:
            return await conn.fetchval(sql)
        finally:
            await conn.close()

    return asyncio.run(run())


def write(server: EmbeddedPostgres) -> None:
    query(server, "CREATE TABLE kept (n int)")
    query(server, "INSERT INTO kept VALUES (42)")


def read(server: EmbeddedPostgres) -> Any:
    return query(server, "SELECT n FROM kept")


def test_start_is_quick_and_data_survive_a_clean_restart(base: Path) -> None:
    server = EmbeddedPostgres(base / "pg", fast=True)
    begun = time.monotonic()
    server.start()
    took = time.monotonic() - begun
    try:
        write(server)
        first = server.pid
        server.start()
        assert server.pid == first, "starting a running server does nothing"
    finally:
        server.stop()
    assert not server.alive
    assert took < 10, "a busy machine may be slow, but not that slow"

    again = EmbeddedPostgres(base / "pg", fast=True)
    again.start()
    try:
        assert read(again) == 42
        assert query(again, "SELECT pg_is_in_recovery()") is False
    finally:
        again.stop()
    assert "was not properly shut down" not in again.log_file.read_text()


def test_durable_settings_and_no_way_in_without_the_password(base: Path) -> None:
    server = EmbeddedPostgres(base / "pg")
    server.start()
    try:
        assert query(server, "SHOW fsync") == "on"
        assert query(server, "SHOW jit") == "off"
        assert query(server, "SHOW listen_addresses") == "127.0.0.1"
        assert query(server, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'") == 0

        async def intrude() -> None:
            await asyncpg.connect(f"postgresql://postgres:wrong@127.0.0.1:{server.port}/postgres")

        with pytest.raises(asyncpg.InvalidPasswordError):
            asyncio.run(intrude())
        password_file = base / "pg.password"
        assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
        assert len(password_file.read_text().strip()) >= 40
        argv = " ".join(psutil.Process(server.pid).cmdline())
        assert server.password not in argv
    finally:
        server.stop()


def test_killed_server_starts_anew_on_its_port_with_its_data(base: Path) -> None:
    server = EmbeddedPostgres(base / "pg")
    server.start()
    try:
        write(server)
        port, pid = server.port, server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert ended(server)
        server.start()
        assert server.port == port
        assert server.pid != pid
        assert read(server) == 42
    finally:
        server.stop()


def test_server_ends_with_its_killed_owner(base: Path, script: Script) -> None:
    owner = script(OWNER, base / "pg")
    assert owner.stdout is not None
    pid = int(owner.stdout.readline().split()[0])
    owner.kill()
    owner.wait(10)
    assert gone(pid), "the kernel tells the server that its owner is dead"


def test_left_over_server_is_stopped_by_the_next_start(base: Path, script: Script) -> None:
    # Started off the main thread a server outlives its owner, as it does on systems without that signal.
    code = OWNER.replace(
        "server.start()", "import threading; t = threading.Thread(target=server.start); t.start(); t.join()"
    )
    owner = script(code, base / "pg")
    assert owner.stdout is not None
    pid = int(owner.stdout.readline().split()[0])
    owner.kill()
    owner.wait(10)
    time.sleep(0.2)
    assert psutil.pid_exists(pid)

    server = EmbeddedPostgres(base / "pg", fast=True)
    server.start()
    try:
        assert gone(pid, 1.0)
        assert query(server, "SELECT 1") == 1
    finally:
        server.stop()


def test_directory_of_a_living_owner_is_refused_with_its_pid(base: Path, script: Script) -> None:
    owner = script(OWNER, base / "pg")
    assert owner.stdout is not None
    pid = int(owner.stdout.readline().split()[0])
    with pytest.raises(DirectoryTaken, match=f"in use by process {owner.pid}") as caught:
        EmbeddedPostgres(base / "pg", fast=True).start()
    assert caught.value.pid == owner.pid
    assert psutil.pid_exists(pid), "the server of the living is left alone"


def test_taken_port_is_named(base: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = EmbeddedPostgres(base / "pg", port=port, fast=True)
        with pytest.raises(PortTaken, match=f"Port {port} on 127.0.0.1 is taken"):
            server.start()
    server.start()
    try:
        assert server.port == port
    finally:
        server.stop()


def test_stale_pid_file_that_names_a_stranger_is_no_obstacle(base: Path, script: Script) -> None:
    server = EmbeddedPostgres(base / "pg", fast=True)
    server.start()
    server.stop()
    stranger = script("import sys; sys.stdin.read()")
    (base / "pg" / "postmaster.pid").write_text(
        f"{stranger.pid}\n{base / 'pg'}\n1700000000\n5432\n\n127.0.0.1\n\nready\n"
    )
    server.start()
    try:
        assert query(server, "SELECT 1") == 1
        assert stranger.poll() is None, "and he is left in peace"
    finally:
        server.stop()


@pytest.mark.parametrize("harm", ["password", "version", "files"])
def test_damage_is_named_with_its_remedy(base: Path, harm: str) -> None:
    server = EmbeddedPostgres(base / "pg", fast=True)
    if harm == "files":
        (base / "pg").mkdir()
        (base / "pg" / "letter.txt").write_text("private")
        with pytest.raises(EmbeddedError, match="holds files but no PostgreSQL database"):
            server.start()
        return
    server.start()
    server.stop()
    if harm == "password":
        (base / "pg.password").unlink()
        with pytest.raises(EmbeddedError, match=r"password of the database .* is missing"):
            server.start()
    else:
        (base / "pg" / "PG_VERSION").write_text("12\n")
        with pytest.raises(EmbeddedError, match="are of PostgreSQL 12"):
            server.start()


def test_failed_start_quotes_the_server(base: Path) -> None:
    server = EmbeddedPostgres(base / "pg", fast=True)
    server.start()
    server.stop()
    with (base / "pg" / "postgresql.conf").open("a") as config:
        config.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedError, match="no_such_setting"):
        server.start()
    assert not server.alive
