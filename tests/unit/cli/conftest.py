"""What the tests of the commands share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from auto_insurance.entrypoints.cli.main import app
from auto_insurance.infra.embedded.datadir import DataDir, RunInfo, mark
from tests.support.fakeapi import FakeApi, serving

SETTINGS = ("DATABASE_URL", "REDIS_URL", "ENVIRONMENT", "ADMIN_PASSWORD", "DATA_DIR", "DEMO_MODE", "HOST", "PORT")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and no settings from outside."""
    monkeypatch.chdir(tmp_path)
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def api() -> Iterator[FakeApi]:
    """A server that knows the account ``admin`` with the password ``right``."""
    with serving(FakeApi({"admin": "right"})) as fake:
        yield fake


def call(*argv: str, env: dict[str, str] | None = None, stdin: str | None = None) -> Result:
    """Run the program on a wide terminal."""
    return CliRunner().invoke(app, argv, env={"COLUMNS": "200", "TERM": "dumb"} | (env or {}), input=stdin)


def pretend_running(folder: Path, base_url: str, *, demo: bool, secret: str | None = None) -> None:
    """Make ``.data`` look as if this process were an `up` that runs on it."""
    data = DataDir(folder / ".data")
    data.open()
    if secret is not None:
        data.secret_file("admin").write_text(secret + "\n")
    data.write_run(RunInfo(owner=mark(os.getpid()), base_url=base_url, demo=demo))
