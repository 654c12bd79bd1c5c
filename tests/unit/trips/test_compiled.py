"""Where compiled rules are kept."""

from __future__ import annotations

from pathlib import Path

from auto_insurance.trips.compiled import folder_of_rules, one_at_a_time


def test_the_first_folder_that_can_be_written_is_taken(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    folder = folder_of_rules((blocked, tmp_path / "second", tmp_path / "third"), "1.0")
    assert folder is not None
    assert folder.parent == tmp_path / "second"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder_of_rules((blocked,), "1.0") is None


def test_a_folder_that_others_may_write_is_not_trusted(tmp_path: Path) -> None:
    folder = folder_of_rules((tmp_path,), "1.0")
    assert folder is not None
    folder.chmod(0o777)
    assert folder_of_rules((tmp_path,), "1.0") is None


def test_each_version_of_the_compiler_has_a_folder_of_its_own(tmp_path: Path) -> None:
    assert folder_of_rules((tmp_path,), "1.0") != folder_of_rules((tmp_path,), "1.1")


def test_who_compiles_holds_the_folder(tmp_path: Path) -> None:
    with one_at_a_time(tmp_path):
        assert (tmp_path / "lock").exists()
    with one_at_a_time(None):
        assert list(tmp_path.iterdir()) == [tmp_path / "lock"]
