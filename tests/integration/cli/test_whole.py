"""The commands against the real product: one `up` with its real processes for all of them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from typer.testing import CliRunner, Result

from auto_insurance.entrypoints.cli.main import app
from auto_insurance.infra.embedded.machine import free_port
from auto_insurance.infra.embedded.running import Addresses, find_running
from tests.support.system import wait_for

POINTS = 240
HIDDEN = ("DATABASE_URL", "REDIS_URL", "ADMIN_PASSWORD", "DATA_DIR", "PORT", "HOST", "DEMO_MODE")
PASSWORD = "a word of many letters"


class Whole:
    """A running installation and its command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._env = {key: value for key, value in os.environ.items() if key not in HIDDEN} | {"TRIP_SETTLE_S": "1"}
        self._up: subprocess.Popen[bytes] | None = None

    def _argv(self, *argv: str) -> list[str]:
        return [sys.executable, "-m", "auto_insurance", *argv]

    def start(self) -> None:
        with (self.folder / "up.txt").open("wb") as out:
            argv = self._argv("up", "--no-tui", "--port", str(free_port()))
            self._up = subprocess.Popen(argv, cwd=self.folder, stdout=out, stderr=out, env=self._env)
        deadline = time.monotonic() + 60
        while "is running" not in self.said:
            assert self._up.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.1)

    @property
    def said(self) -> str:
        return (self.folder / "up.txt").read_text()

    @property
    def addresses(self) -> Addresses:
        found = find_running(self.folder / ".data")
        assert found is not None
        return found

    def call(self, *argv: str) -> Result:
        """Run a command in this process, which spares its start."""
        with contextlib.chdir(self.folder):
            return CliRunner().invoke(app, argv, env={"COLUMNS": "160", **dict.fromkeys(HIDDEN)})

    def spawn(self, *argv: str, stdin: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a process of its own, for what sets up logs for good."""
        return subprocess.run(
            self._argv(*argv),
            cwd=self.folder,
            env=self._env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def stop(self) -> list[psutil.Process]:
        """Stop; return the processes that are left."""
        assert self._up is not None
        family = psutil.Process(self._up.pid).children(recursive=True)
        self._up.terminate()
        assert self._up.wait(60) == 0
        _, alive = psutil.wait_procs(family, timeout=10)
        return list(alive)


@pytest.fixture(scope="module")
def whole() -> Iterator[Whole]:
    folder = Path(tempfile.mkdtemp(prefix="whole-"))
    folder.chmod(0o755)
    installation = Whole(folder)
    try:
        installation.start()
        yield installation
    finally:
        left = installation.stop()
        shutil.rmtree(folder, ignore_errors=True)
    assert not left


def track() -> str:
    """A straight drive at 36 mph for some minutes, from standstill to standstill."""
    lines, latitude = ["timestamp,latitude,longitude,speed"], 40.0
    for second in range(POINTS):
        speed = 36.0 * max(0.0, min(1.0, second / 15, (POINTS - 1 - second) / 15))
        latitude += speed * 0.44704 / 111_195
        lines.append(f"2026-03-02T12:{second // 60:02d}:{second % 60:02d}Z,{latitude:.7f},-83.0,{speed:.2f}")
    return "\n".join(lines) + "\n"


def test_the_welcome_names_the_file_and_not_the_password(whole: Whole) -> None:
    file = whole.folder / ".data" / "secrets" / "admin"
    assert str(file) in whole.said
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().strip() not in whole.said
    login = {"username": "admin", "password": file.read_text().strip()}
    answer = httpx.post(f"{whole.addresses.base_url}/api/v1/auth/login", json=login, trust_env=False)
    assert answer.status_code == 200


def test_replay_as_it_is_and_again_adds_nothing(whole: Whole) -> None:
    (whole.folder / "monday.csv").write_text(track())
    first = whole.call("replay", "monday.csv", "--json", "one.json")
    assert first.exit_code == 0, first.stderr
    assert "monday" in first.stdout
    again = whole.call("replay", "monday.csv", "--json", "two.json")
    assert again.exit_code == 0, again.stderr
    one, two = (json.loads((whole.folder / name).read_text())["drives"][0] for name in ("one.json", "two.json"))
    for key in ("rows", "accepted", "stored"):
        assert one[key] == two[key] == POINTS
    assert one["trips"] == two["trips"] == 1
    assert abs(one["difference_percent"]) < 1
    assert one["trip_miles"] == two["trip_miles"]


def test_simulate_and_the_drivers_are_called_simulated(whole: Whole) -> None:
    result = whole.call("simulate", "--drivers", "2", "--days", "0.6", "--style", "commuter=1", "--late", "0.3")
    assert result.exit_code == 0, result.stderr + result.stdout
    assert "2 drivers enrolled" in result.stdout
    assert " 0 rejected" in result.stdout
    admin = (whole.folder / ".data" / "secrets" / "admin").read_text().strip()
    with httpx.Client(base_url=f"{whole.addresses.base_url}/api/v1", trust_env=False) as client:
        login = {"username": "admin", "password": admin}
        token = client.post("/auth/login", json=login).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        driver = client.get("/telematics/devices/SIM1-00001/health", headers=headers).json()["driver_id"]
        assert client.get(f"/drivers/{driver}", headers=headers).json()["full_name"].endswith("(simulated)")


def test_create_admin_from_standard_input(whole: Whole) -> None:
    argv = ("users", "create-admin", "ada", "--email", "ada@example.org", "--password-file", "-")
    made = whole.spawn(*argv, stdin=PASSWORD + "\n")
    assert made.returncode == 0, made.stderr
    assert made.stdout == "The administrator ada can sign in now.\n"
    again = whole.spawn(*argv, stdin=PASSWORD + "\n")
    assert again.returncode == 1
    assert "taken" in again.stderr
    login = {"username": "ada", "password": PASSWORD}
    answer = httpx.post(f"{whole.addresses.base_url}/api/v1/auth/login", json=login, trust_env=False)
    assert answer.status_code == 200


def _health(whole: Whole) -> str:
    found: str = httpx.get(f"{whole.addresses.base_url}/health", timeout=10.0, trust_env=False).json()["status"]
    return found


def test_doctor_and_migrate_find_the_running_system(whole: Whole) -> None:
    # The API takes traffic some seconds before the worker reads.
    wait_for(lambda: _health(whole) == "healthy", "all are there", 60)
    doctor = whole.call("doctor")
    assert doctor.exit_code == 0, doctor.stdout
    assert "in use by a running 'up'" in doctor.stdout
    assert "healthy: " in doctor.stdout
    migrate = whole.call("migrate", "--check")
    assert migrate.exit_code == 0
    assert "up to date" in migrate.stdout
