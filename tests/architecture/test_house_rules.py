"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "auto_insurance"
SIZED = [path for folder in ("src", "tests", "tools", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]
MODULES = sorted(SOURCE.rglob("*.py"))
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SIZED, ids=_name)
def test_files_and_functions_are_small(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= MAX_FILE_LINES, "split the file by what it does"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{node.name} has {lines} lines"


COMMITTERS = {"infra/db/uow.py", "infra/db/migrations/env.py"}


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_only_the_unit_of_work_commits(path: Path) -> None:
    if str(path.relative_to(SOURCE)) in COMMITTERS:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in {"commit", "rollback"}, f"line {node.lineno}: the unit of work commits"


DOMAINS = ("identity", "drivers", "telematics", "trips", "risk", "pricing")


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_sql_lives_in_repositories(path: Path) -> None:
    """Statements are written where the tables are known: repository, models, queries and infra."""
    place = path.relative_to(SOURCE)
    if place.parts[0] not in DOMAINS or re.match(r"(repository|models|queries|store)", place.name):
        return
    if any(part.startswith(("repository", "queries", "store")) for part in place.parts):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in {"sqlalchemy", "asyncpg"}:
            raise AssertionError(f"line {node.lineno}: SQL belongs into repository.py")


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_public_functions_and_classes_are_documented(path: Path) -> None:
    tree = ast.parse(path.read_text())
    place = str(path.relative_to(SOURCE))
    if "migrations/versions" in place:
        assert ast.get_docstring(tree)
        return
    missing = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not missing, f"without a docstring: {missing}"


FORBIDDEN_TEXT = re.compile(r"(?:TODO|FIXME|XXX)\b")


@pytest.mark.parametrize("path", SIZED, ids=_name)
def test_nothing_is_left_open(path: Path) -> None:
    if path == Path(__file__):
        return
    assert not FORBIDDEN_TEXT.search(path.read_text())
