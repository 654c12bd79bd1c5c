"""Where compiled rules are kept."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from auto_insurance.trips import calendar, compiled, fold, native
from auto_insurance.trips.calendar import Clock
from auto_insurance.trips.compiled import SOURCES, folder_of_rules, one_at_a_time
from auto_insurance.trips.detect import Out
from auto_insurance.trips.native import CodeError, Contents
from auto_insurance.trips.rules import TripRules
from auto_insurance.trips.segment import Batch, Tables
from auto_insurance.trips.table import DeviceTable

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
    """Return the files that say ``@compiled``."""
    mark = compiled.compiled.__name__
    return {
        file.name
        for file in FOLDER.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and mark in {found.id for found in node.decorator_list if isinstance(found, ast.Name)}
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
        assert list(tmp_path.iterdir()) == [tmp_path / "lock"]


def test_without_a_folder_to_keep_it_the_code_is_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold, "bases", lambda: (tmp_path / "file" / "below",))
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(fold, "_native", None)
    assert fold.warm() > 0
    assert fold.warm() == 0


def test_what_is_no_code_of_ours_is_refused() -> None:
    with pytest.raises(CodeError, match="no machine code"):
        native.load(b"something else")
    with pytest.raises(CodeError, match="no_such_function, which is not here"):
        native.load(native.packed(Contents("fold", "view", ["no_such_function"], b"")))


def test_a_compiler_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "bases", lambda: (tmp_path,))
    monkeypatch.setattr(fold, "_native", None)
    monkeypatch.setattr(fold, "COMPILE_S", 0.01)
    with pytest.raises(CodeError, match="not compiled"):
        fold.warm()


def test_code_of_c_is_given_only_what_it_was_made_for() -> None:
    fold.warm()
    table = DeviceTable(TripRules())
    tables = table.tables._replace(now=np.zeros(1, np.int64))
    with pytest.raises(TypeError, match="not int64"):
        fold._native.view(tables, np.zeros(0, np.int64), fold._new_out(1, 1), 0)  # type: ignore[union-attr]
    doubled = np.zeros(4, np.int64)[::2]
    with pytest.raises(TypeError, match="contiguous"):
        fold._native.view(table.tables, doubled, fold._new_out(1, 1), 0)  # type: ignore[union-attr]


def test_the_forms_are_those_of_the_rules_arguments() -> None:
    arguments = (*Tables._fields, *Out._fields, *Clock._fields, *Batch._fields)
    assert len(native.FOLD_FORM) == len(arguments)
    assert len(native.VIEW_FORM) == len(Tables._fields) + len(Out._fields) + 1
