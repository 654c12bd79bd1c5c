"""Where compiled rules are kept."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from auto_insurance.trips import calendar, compiled
from auto_insurance.trips.compiled import SOURCES, folder_of_rules, one_at_a_time

PACKAGE = "auto_insurance.trips."
FOLDER = Path(calendar.__file__).parent


def _imported(source: str) -> set[str]:
    """Return the files of this package that a module of it imports."""
    found = set()
    for node in ast.walk(ast.parse((FOLDER / source).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {f"{name.removeprefix(PACKAGE)}.py" for name in names if name.startswith(PACKAGE)}
    return {name for name in found if (FOLDER / name).is_file()}


def _with_rules() -> set[str]:
    """Return the files that say ``@compiled`` or ``@entry``."""
    marks = {compiled.compiled.__name__, compiled.entry.__name__}
    return {
        file.name
        for file in FOLDER.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and marks & {mark.id for mark in node.decorator_list if isinstance(mark, ast.Name)}
    }


def test_the_name_of_the_folder_depends_on_every_file_that_compiled_code_does() -> None:
    needed = _with_rules()
    assert {"segment.py", "aggregate.py"} <= needed
    while more := {name for source in needed for name in _imported(source)} - needed:
        needed |= more
    assert set(SOURCES) == needed


def test_a_changed_source_has_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = folder_of_rules((tmp_path,), "1.0")
    monkeypatch.setattr(compiled, "SOURCES", SOURCES[1:])
    assert folder_of_rules((tmp_path,), "1.0") != before


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
