"""The commands as a person types them."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console
from rich.text import Text

from auto_insurance import __version__
from auto_insurance.entrypoints import api, scheduler, worker
from auto_insurance.entrypoints.cli import checks, output, schema, users
from auto_insurance.entrypoints.cli.checks import Patient, Verdict
from auto_insurance.entrypoints.cli.stack import CHILDREN, Stack
from auto_insurance.entrypoints.cli.up import welcome
from auto_insurance.infra import logging
from auto_insurance.infra.config import load_settings
from auto_insurance.infra.embedded.errors import EmbeddedError
from auto_insurance.infra.embedded.machine import free_port
from auto_insurance.infra.embedded.running import Addresses
from auto_insurance.kernel.errors import FieldError, InvalidInput
from tests.unit.cli.conftest import call

COMMANDS = ("up", "api", "worker", "scheduler", "migrate", "config", "doctor", "replay", "simulate", "users", "version")
NOWHERE = "postgresql://insurer:hidden-word@127.0.0.1:1/none"


def patient(**settings: Any) -> Patient:
    return Patient(load_settings(env={}, overrides=settings), None)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches(name: str) -> None:
    overview, own = call("--help"), call(name, "--help")
    assert own.exit_code == 0
    assert re.search(rf"│ {name}\b", overview.output)
    assert name in {"version", "users"} or "auto-insurance" in own.output, "an example is there"


def test_python_m_is_the_same_program() -> None:
    argv = [sys.executable, "-m", "auto_insurance", "version"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.startswith(f"auto-insurance {__version__} ")


def test_config_prints_values_and_sources_but_no_secret() -> None:
    result = call("config", env={"DATABASE_URL": NOWHERE, "DB_POOL_SIZE": "7"})
    assert result.exit_code == 0
    assert "hidden-word" not in result.output
    assert re.search(r"DB_POOL_SIZE\s+7\s+environment", result.output)
    assert re.search(r"DB_MAX_OVERFLOW\s+20\s+default", result.output)
    changed = call("config", "--changed", env={"DB_POOL_SIZE": "7"})
    assert "DB_POOL_SIZE" in changed.output
    assert "DB_MAX_OVERFLOW" not in changed.output


@pytest.mark.parametrize("argv", [("config",), ("up",), ("doctor",), ("worker",)])
def test_wrong_settings_are_named_with_exit_code_2(argv: tuple[str, ...]) -> None:
    result = call(*argv, env={"DB_POOL_SIZE": "many"})
    assert result.exit_code == 2
    assert "DB_POOL_SIZE" in result.output


@pytest.mark.parametrize("name", ["api", "worker", "scheduler"])
def test_a_single_process_needs_a_database(name: str) -> None:
    result = call(name)
    assert result.exit_code == 2
    assert "DATABASE_URL is not set" in result.output


def test_a_process_gets_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    for module in (api, worker, scheduler):
        monkeypatch.setattr(module, "run", lambda s, name=module.__name__: seen.append((name, s)))
    env = {"DATABASE_URL": NOWHERE}
    assert call("worker", "--consumers", "3", env=env).exit_code == 0
    assert call("api", "--port", "8123", env=env).exit_code == 0
    assert call("scheduler", env=env).exit_code == 0
    assert [name.rsplit(".")[-1] for name, _ in seen] == ["worker", "api", "scheduler"]
    assert seen[0][1].kafka.num_consumers == 3
    assert seen[1][1].server.port == 8123


def test_migrate_says_when_there_is_no_database_or_it_is_away() -> None:
    assert call("migrate").exit_code == 2
    result = call("migrate", env={"DATABASE_URL": NOWHERE})
    assert result.exit_code == 1
    assert "cannot be reached" in result.output
    assert "hidden-word" not in result.output


def test_doctor_is_content_with_a_sound_installation(folder: Path) -> None:
    result = call("doctor", "--data-dir", str(folder / "data"), "--port", str(free_port()))
    assert result.exit_code == 0, result.output
    assert "Everything is in order" in result.output


def test_doctor_names_problem_and_remedy_with_exit_code_1(folder: Path) -> None:
    env = {"DATABASE_URL": NOWHERE, "REDIS_URL": "redis://127.0.0.1:1/0", "EVENT_LOG": "kafka"}
    env["KAFKA_BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = call("doctor", "--port", str(other.getsockname()[1]), "--data-dir", "f", env=env)
    assert result.exit_code == 1
    for part in ("correct DATABASE_URL", "correct REDIS_URL", "KAFKA_BOOTSTRAP_SERVERS", "is taken", "4 problems"):
        assert part in result.output, result.output
    assert "hidden-word" not in result.output


def test_checks_find_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise EmbeddedError("the wheel is missing")

    monkeypatch.setattr(checks, "binary", missing)
    assert checks.programs(patient()).verdict is Verdict.BAD
    monkeypatch.setattr(checks, "binary", lambda: folder / "absent")
    assert "does not run" in checks.programs(patient()).found
    (folder / "file").touch()
    assert checks.data_directory(patient(DATA_DIR=folder / "file")).verdict is Verdict.BAD
    (folder / "data" / "secrets").mkdir(parents=True)
    assert "not ours" in checks.data_directory(patient(DATA_DIR=folder / "data")).found
    (folder / "data" / "data-version").write_text("99\n")
    assert "layout 99" in checks.data_directory(patient(DATA_DIR=folder / "data")).found
    (folder / "data" / "data-version").write_text("1\n")
    (folder / "data" / "postgres").mkdir()
    (folder / "data" / "postgres" / "PG_VERSION").write_text("9\n")
    assert "password of the database" in checks.data_directory(patient(DATA_DIR=folder / "data")).found
    (folder / "data" / "secrets" / "postgres").touch(mode=0o600)
    assert "of PostgreSQL 9" in checks.data_directory(patient(DATA_DIR=folder / "data")).found
    (folder / "data" / "secrets" / "jwt").touch(mode=0o644)
    found = checks.data_directory(patient(DATA_DIR=folder / "data", DATABASE_URL=NOWHERE)).found
    assert "others may read" in found
    monkeypatch.setattr(checks, "_writable", lambda folder: False)
    assert "no permission to write" in checks.data_directory(patient(DATA_DIR=folder / "data")).found
    assert checks.port(patient(HOST="no.such.host.invalid")).verdict is Verdict.BAD
    monkeypatch.setattr(checks, "LEAST_DISK_BYTES", 2**70)
    monkeypatch.setattr(checks, "LEAST_MEMORY_BYTES", 2**70)
    monkeypatch.setattr(checks, "OLDEST_PYTHON", (9, 9))
    monkeypatch.setattr(checks, "RELEASED", checks.RELEASED.replace(year=9000))
    assert checks.disk(patient()).verdict is Verdict.BAD
    assert checks.memory(patient()).verdict is Verdict.WARN
    assert checks.python(patient()).verdict is Verdict.BAD
    assert checks.system_clock(patient()).verdict is Verdict.BAD


@pytest.mark.parametrize(
    ("answer", "verdict", "part"),
    [
        ({"status": "healthy", "checks": {"database": {"status": "healthy"}}}, Verdict.OK, "database"),
        ({"status": "degraded", "checks": {"redis": {"status": "unhealthy"}}}, Verdict.WARN, "redis is unhealthy"),
        ({"status": "unhealthy", "checks": {}}, Verdict.BAD, "no reason given"),
        (["what?"], Verdict.BAD, "no health"),
    ],
)
def test_doctor_asks_the_running_service(
    monkeypatch: pytest.MonkeyPatch, answer: Any, verdict: Verdict, part: str
) -> None:
    monkeypatch.setattr(httpx, "get", lambda url, **_: httpx.Response(200, json=answer))
    finding = checks.service(Patient(load_settings(env={}), Addresses("http://h", None, None)))
    assert finding.verdict is verdict
    assert part in finding.found


def test_a_service_that_does_not_answer_is_a_problem() -> None:
    running = Addresses(f"http://127.0.0.1:{free_port()}", None, None)
    finding = checks.service(Patient(load_settings(env={}), running))
    assert finding.verdict is Verdict.BAD
    assert "logs" in finding.remedy


def test_create_admin_refuses_before_it_asks(folder: Path) -> None:
    for argv, part in (
        (("users", "create-admin", "x"), "is no user name"),
        (("users", "create-admin", "ada", "--email", "nowhere"), "no e-mail address"),
        (("users", "create-admin", "ada"), "There is no database"),
    ):
        result = call(*argv)
        assert result.exit_code == 2
        assert part in result.output
    result = call("users", "create-admin", "ada", env={"DATABASE_URL": NOWHERE})
    assert result.exit_code == 1
    assert "cannot be reached" in result.output
    assert "hidden-word" not in result.output


@pytest.mark.parametrize(
    ("given", "made"),
    [({}, True), ({"DEMO_MODE": True}, False), ({"ADMIN_PASSWORD": "a-password-of-mine"}, False)],
)
def test_the_first_administrators_password_is_made_once_and_for_the_api_alone(
    folder: Path, given: dict[str, Any], made: bool
) -> None:
    stack = Stack(load_settings(env={}, overrides={"DATA_DIR": folder / "d"} | given), lambda text: None)
    stack.data.open()
    try:
        specs = {name: stack._spec(name) for name in CHILDREN}
        again = stack._spec("api")
    finally:
        stack.data.close()
    assert ("ADMIN_PASSWORD" in specs["api"].env) is made
    assert "ADMIN_PASSWORD" not in specs["worker"].env
    assert (folder / "d" / "secrets" / "admin").exists() is made
    assert (stack.admin_password_file is not None) is made
    shown = Console(width=120, no_color=True)
    with shown.capture() as out:
        shown.print(welcome(stack))
    assert ("secrets/admin" in out.get()) is made
    assert ("admin123" in out.get()) is bool(given.get("DEMO_MODE"))
    if made:
        assert again.env["ADMIN_PASSWORD"] == specs["api"].env["ADMIN_PASSWORD"]
        assert (folder / "d" / "secrets" / "admin").stat().st_mode & 0o777 == 0o600
        assert specs["api"].env["ADMIN_PASSWORD"] not in out.get()


def test_nothing_is_cut_off_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    output.show(Text("x" * 150))
    assert "x" * 150 in capsys.readouterr().out


def test_create_admin_needs_a_current_schema_and_a_password_by_the_rules(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def weak(*_: object) -> None:
        raise InvalidInput("A password has 10 to 256 characters.", errors=[FieldError("password", "weak", "Longer.")])

    monkeypatch.setattr(users, "_create", weak)
    monkeypatch.setattr(logging, "configure_logging", lambda **_: None)
    monkeypatch.setattr(schema, "revisions", lambda url: (None, "0002"))
    (folder / "word").write_text("short")
    argv = ("users", "create-admin", "ada", "--email", "ada@example.org", "--password-file", "word")
    result = call(*argv, env={"DATABASE_URL": NOWHERE})
    assert result.exit_code == 1
    assert "auto-insurance migrate" in result.output
    monkeypatch.setattr(schema, "revisions", lambda url: ("0002", "0002"))
    result = call(*argv, env={"DATABASE_URL": NOWHERE})
    assert result.exit_code == 1
    assert "A password has 10 to 256 characters. Longer." in result.output
