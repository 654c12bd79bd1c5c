"""Which server a command talks to, and as whom."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from auto_insurance.entrypoints.cli import signin
from auto_insurance.entrypoints.cli.signin import Target, Wish, find_target, read_secret
from auto_insurance.infra.embedded.machine import free_port
from tests.support.fakeapi import FakeApi, serving
from tests.unit.cli.conftest import call, pretend_running


def test_a_password_file_is_used_as_it_is(api: FakeApi, folder: Path) -> None:
    (folder / "word").write_text("right\nsecond line\n")
    wish = Wish(url=api.base_url + "/", username="ada", password_file=folder / "word")
    assert find_target(wish) == Target(api.base_url, "ada", "right")
    assert api.logins == []


def test_a_running_demo_needs_no_password(folder: Path) -> None:
    with serving(FakeApi({"admin": "admin123"})) as api:
        pretend_running(folder, api.base_url, demo=True, secret="from-an-earlier-run")
        assert find_target(Wish()) == Target(api.base_url, "admin", "admin123")


def test_the_data_directory_knows_the_first_administrator(api: FakeApi, folder: Path) -> None:
    pretend_running(folder, api.base_url, demo=False, secret="right")
    assert find_target(Wish()) == Target(api.base_url, "admin", "right")
    assert api.logins == [("admin", "right")]


def test_a_demo_on_a_directory_with_an_administrator_of_its_own(api: FakeApi, folder: Path) -> None:
    pretend_running(folder, api.base_url, demo=True, secret="right")
    assert find_target(Wish(username="admin")) == Target(api.base_url, "admin", "right")


def test_secrets_of_this_machine_are_never_sent_elsewhere(
    api: FakeApi, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_running(folder, "http://127.0.0.1:1", demo=True, secret="right")
    monkeypatch.setattr(signin, "ask", lambda question: f"asked: {question}")
    found = find_target(Wish(url=api.base_url))
    assert found.password == f"asked: Password of admin at {api.base_url}"
    assert api.logins == []


def test_somebody_else_is_asked_for(api: FakeApi, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_running(folder, api.base_url, demo=False, secret="right")
    monkeypatch.setattr(signin, "ask", lambda question: "typed")
    assert find_target(Wish(username="ada")) == Target(api.base_url, "ada", "typed")


def test_a_changed_password_is_asked_for(api: FakeApi, folder: Path) -> None:
    pretend_running(folder, api.base_url, demo=False, secret="outdated")
    result = call("replay", __file__)
    assert result.exit_code == 2
    assert "no terminal to ask" in result.output


def test_without_an_answer_it_says_how_to_start(folder: Path) -> None:
    result = call("replay", __file__, env={"PORT": str(free_port())})
    assert result.exit_code == 1
    assert "auto-insurance up" in result.output
    assert call("simulate", "--url", "ftp://x").exit_code == 2


def test_on_a_terminal_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "prompt", lambda text, **more: f"{text}:{more['confirmation_prompt']}")
    assert signin.ask("Who", confirm=True) == "Who:True"


def test_secrets_from_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty").write_text("\nsecond")
    (folder / "binary").write_bytes(b"\xff\xfe\x00")
    for name, what in (("empty", "no password"), ("binary", "no text"), ("absent", "No such file"), (".", "directory")):
        with pytest.raises(typer.Exit):
            read_secret(folder / name)
        assert what in capsys.readouterr().err
