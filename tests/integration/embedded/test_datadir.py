"""The data directory: one holder, private secrets, left-over children, users and permissions."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from auto_insurance.infra.embedded import accounts, logfile, machine
from auto_insurance.infra.embedded.datadir import DataDir, ProcessMark, RunInfo, group_or_world_access, mark
from auto_insurance.infra.embedded.errors import DirectoryTaken, EmbeddedError
from auto_insurance.infra.embedded.postgres import EmbeddedPostgres
from tests.integration.embedded.conftest import Script

HOLDER = """
    import sys, pathlib
    from auto_insurance.infra.embedded.datadir import DataDir
    DataDir(pathlib.Path(sys.argv[1])).open()
    print("held", flush=True)
    sys.stdin.read()
"""
AS_PLAIN_USER = """
    import asyncio, os, pathlib, sys
    import asyncpg
    from auto_insurance.infra.embedded.datadir import DataDir
    from auto_insurance.infra.embedded.postgres import EmbeddedPostgres
    from auto_insurance.infra.embedded.valkey import EmbeddedValkey, ping
    "x".encode("idna")  # loaded while the interpreter's own folder may still be read
    if os.geteuid() == 0:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
    os.environ["HOME"] = sys.argv[1]
    home = DataDir(pathlib.Path(sys.argv[1]) / "mine"); home.open()
    server = EmbeddedPostgres(home.postgres, fast=True, password_file=home.secret_file("postgres")); server.start()
    valkey = EmbeddedValkey(home.valkey); valkey.start()
    async def ask():
        conn = await asyncpg.connect(server.url())
        try: return await conn.fetchval("SELECT 41 + 1")
        finally: await conn.close()
    print(asyncio.run(ask()), ping(valkey.port, valkey.password), os.geteuid(), server.data_dir.stat().st_uid)
    valkey.stop(); server.stop(); home.close()
"""


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that nobody but its owner may enter."""
    folder = Path(tempfile.mkdtemp(prefix="closed-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_held_by_a_living_process_then_free_when_it_is_killed(base: Path, script: Script) -> None:
    holder = script(HOLDER, base / "data")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(DirectoryTaken, match=f"in use by process {holder.pid}.*--data-dir"):
        DataDir(base / "data").open()
    holder.kill()
    holder.wait(10)
    data = DataDir(base / "data")
    data.open()
    data.close()


def test_secrets_are_random_kept_and_private(base: Path) -> None:
    data = DataDir(base / "data")
    data.open()
    first = data.secret("jwt")
    data.close()
    data.open()
    assert data.secret("jwt") == first
    assert data.secret("other") != first
    assert len(first) >= 43
    assert not group_or_world_access(data.secret_file("jwt"))
    assert stat.S_IMODE(data.secret_file("jwt").parent.stat().st_mode) == 0o700
    data.close()


def test_foreign_directory_is_not_touched(base: Path) -> None:
    (base / "photo.jpg").write_bytes(b"x")
    with pytest.raises(EmbeddedError, match="holds files that are not ours"):
        DataDir(base).open()
    assert [entry.name for entry in base.iterdir()] == ["photo.jpg"]
    with pytest.raises(EmbeddedError, match="is a file"):
        DataDir(base / "photo.jpg").open()


def test_data_of_a_newer_version_are_refused(base: Path) -> None:
    data = DataDir(base / "data")
    data.open()
    data.close()
    (base / "data" / "data-version").write_text("9\n")
    with pytest.raises(EmbeddedError, match="have layout 9, this program knows 1"):
        data.open()


def test_run_note_is_readable_by_others_and_gone_after_close(base: Path) -> None:
    data = DataDir(base / "data")
    data.open()
    info = RunInfo(owner=mark(os.getpid()), base_url="http://127.0.0.1:8000", children={"api": mark(os.getpid())})
    data.write_run(info)
    assert DataDir(base / "data").read_run() == info
    (base / "data" / "run.json").write_text("{")
    assert data.read_run() is None
    data.close()
    assert data.read_run() is None


def test_left_over_children_are_known_by_pid_time_and_directory(base: Path) -> None:
    data = DataDir(base / "data")
    data.open()
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    ours = subprocess.Popen(sleeper, env={"PROMETHEUS_MULTIPROC_DIR": str(data.metrics)})
    foreign = subprocess.Popen(sleeper)
    try:
        children = {
            "api": mark(ours.pid),
            "worker": mark(foreign.pid),
            "older": ProcessMark(ours.pid, psutil.Process(ours.pid).create_time() - 60),
            "gone": mark(2**22 + 1),
        }
        data.write_run(RunInfo(owner=mark(os.getpid()), base_url="", children=children))
        assert [process.pid for process in data.left_over_children()] == [ours.pid]
    finally:
        for process in (ours, foreign):
            process.kill()
            process.wait(10)
        data.close()


def test_metrics_folder_is_emptied(base: Path) -> None:
    data = DataDir(base / "data")
    data.open()
    (data.metrics / "gauge_live_1.db").write_bytes(b"x")
    assert list(data.empty_metrics().iterdir()) == []
    data.close()


def test_works_as_a_plain_user(base: Path, script: Script) -> None:
    base.chmod(0o777)
    out, err = script(AS_PLAIN_USER, base).communicate(timeout=60)
    answer, pinged, uid, owner = (out.split() or [err])[:4]
    assert (answer, pinged) == ("42", "True")
    assert uid == owner != "0"


def test_files_of_another_user_are_named(base: Path, script: Script) -> None:
    if os.geteuid() != 0:
        (base / "mine").mkdir(mode=0o500)
    else:
        base.chmod(0o755)
    _out, err = script(AS_PLAIN_USER, base).communicate(timeout=60)
    assert "No permission for" in err
    assert "--data-dir" in err


def test_root_lends_postgres_a_user_of_its_own_and_others_keep_theirs(base: Path) -> None:
    server = EmbeddedPostgres(base / "pg", fast=True)
    server.start()
    try:
        user = accounts.SYSTEM_USER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        assert psutil.Process(server.pid).username() == user
        assert (base / "pg").owner() == user
    finally:
        server.stop()


def test_root_in_a_closed_folder_uses_a_user_namespace_or_names_the_folder(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        assert accounts.choose([closed]) == accounts.OURSELVES
        return
    account = pwd.getpwnam(accounts.SYSTEM_USER)
    assert accounts.first_blocked([closed / ".."], account.pw_uid, account.pw_gid) is None
    assert accounts.first_blocked([closed], account.pw_uid, account.pw_gid) == closed
    if accounts.namespaces_work(accounts.RunAs(account.pw_uid, account.pw_gid, namespace=True)):
        server = EmbeddedPostgres(closed / "pg", fast=True)
        server.start()
        server.stop()
        assert (closed / "pg").owner() == "root"
        # The folder is opened later: the files change hands and the data stay.
        closed.chmod(0o755)
        server.start()
        server.stop()
        assert (closed / "pg" / "base").owner() == accounts.SYSTEM_USER
        closed.chmod(0o700)
    monkeypatch.setattr(accounts, "namespaces_work", lambda _: False)
    with pytest.raises(EmbeddedError, match=f"may not enter {closed}.*chmod o\\+x"):
        EmbeddedPostgres(closed / "pg", fast=True).start()


def test_logs_are_turned_over_by_size(base: Path) -> None:
    log = base / "api.log"
    logfile.turn_over(log)
    for number in range(5):
        log.write_text(f"{number}" * 20)
        logfile.turn_over(log, max_bytes=10, keep=2)
    assert not log.exists()
    assert (base / "api.log.1").read_text().startswith("4")
    assert (base / "api.log.2").read_text().startswith("3")
    assert not (base / "api.log.3").exists()
    log.write_text("short")
    logfile.turn_over(log, max_bytes=10)
    assert log.exists()


def test_the_machine_is_measured(base: Path) -> None:
    assert machine.memory_bytes() > 100 * machine.MIB
    assert machine.free_disk_bytes(base) > 0
    port = machine.free_port()
    assert machine.port_is_free(port)
