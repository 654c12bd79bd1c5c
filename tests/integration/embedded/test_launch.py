"""The launcher's parts that can be seen from inside a test; the whole is proven by the engines' tests."""

from __future__ import annotations

import os

import pytest

from auto_insurance.infra.embedded import launch


def test_without_a_program_it_only_tries_the_identity() -> None:
    launch.main([str(os.getppid()), "0", "-"])


def test_a_parent_that_is_gone_already_means_not_to_start() -> None:
    with pytest.raises(SystemExit, match="the parent is gone"):
        launch.main(["1" if os.getppid() != 1 else "2", "0", "-", "/bin/true"])


def test_root_is_dropped_groups_first(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr(os, "setgroups", calls.append)
    monkeypatch.setattr(os, "setgid", lambda gid: calls.append(("gid", gid)))
    monkeypatch.setattr(os, "setuid", lambda uid: calls.append(("uid", uid)))
    launch.become("1001:1002")
    assert calls == [[], ("gid", 1002), ("uid", 1001)]
