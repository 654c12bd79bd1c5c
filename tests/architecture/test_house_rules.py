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


def too_big(source: str) -> list[str]:
    """Return what is larger than the house allows."""
    found = ["split the file by what it does"] if len(source.splitlines()) > MAX_FILE_LINES else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                found.append(f"{node.name} has {lines} lines")
    return found


@pytest.mark.parametrize("path", SIZED, ids=_name)
def test_files_and_functions_are_small(path: Path) -> None:
    assert not too_big(path.read_text())


COMMITTERS = {"infra/db/uow.py", "infra/db/migrations/env.py"}


def commits(source: str) -> list[str]:
    """Return the lines that end a transaction, or begin one that ends by itself."""
    return [
        f"line {node.lineno}: the unit of work commits"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (
            node.func.attr in {"commit", "rollback"} or (node.func.attr == "begin" and _is_connection(node.func.value))
        )
    ]


def _is_connection(node: ast.expr) -> bool:
    """Return whether this is an engine or a connection by its name; a database's ``begin`` is the unit of work's."""
    if isinstance(node, ast.Call):
        node = node.func
    name = str(getattr(node, "attr", None) or getattr(node, "id", ""))
    return name.strip("_") in {"engine", "conn", "connect", "connection", "session"}


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_only_the_unit_of_work_commits(path: Path) -> None:
    if str(path.relative_to(SOURCE)) not in COMMITTERS:
        assert not commits(path.read_text())


NO_DOMAINS = {"kernel", "contracts", "infra", "bootstrap", "devicekit", "entrypoints"}
"""All other packages are domains: a new one is under the rule without a word here."""


def imports_sql(source: str) -> list[str]:
    """Return the lines that bring in what statements are written with."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom | ast.Import):
            continue
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        if any(name.split(".")[0] in {"sqlalchemy", "asyncpg"} for name in names):
            found.append(f"line {node.lineno}: SQL belongs into repository.py")
    return found


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_sql_lives_in_repositories(path: Path) -> None:
    """Statements are written where the tables are known: repository, models, queries and infra."""
    place = path.relative_to(SOURCE)
    if (
        place.parts[0] in NO_DOMAINS
        or len(place.parts) == 1
        or re.match(r"(repository|models|queries|store|reads|states)", place.name)
    ):
        return
    assert not imports_sql(path.read_text())


def undocumented(source: str) -> list[str]:
    """Return the public functions and classes without a docstring."""
    return [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_public_functions_and_classes_are_documented(path: Path) -> None:
    source = path.read_text()
    if "migrations/versions/0" in str(path.relative_to(SOURCE)):
        assert ast.get_docstring(ast.parse(source))
        return
    assert not undocumented(source), f"without a docstring: {undocumented(source)}"


FORBIDDEN_TEXT = re.compile(r"(?:TODO|FIXME|XXX)\b")


@pytest.mark.parametrize("path", SIZED, ids=_name)
def test_nothing_is_left_open(path: Path) -> None:
    if path == Path(__file__):
        return
    assert not FORBIDDEN_TEXT.search(path.read_text())


def test_a_planted_fault_is_seen() -> None:
    """A rule that can't fail guards nothing."""
    assert too_big("x = 1\n" * (MAX_FILE_LINES + 1)) == ["split the file by what it does"]
    assert not too_big("x = 1\n" * MAX_FILE_LINES)
    body = "    x = 1\n" * MAX_FUNCTION_LINES
    assert too_big(f"async def f() -> None:\n{body}") == [f"f has {MAX_FUNCTION_LINES + 1} lines"]
    assert commits("async def f(conn):\n    await conn.commit()\n") == ["line 2: the unit of work commits"]
    assert commits("conn.rollback()")
    assert commits("async def f(db):\n    async with db.engine.begin() as conn:\n        pass")
    assert commits("engine.connect().begin()")
    assert not commits("uow.publish()")
    assert not commits("database.begin()")
    assert imports_sql("from sqlalchemy.dialects import postgresql")
    assert imports_sql("import asyncpg")
    assert not imports_sql("from auto_insurance.trips import reads")
    assert undocumented("def f():\n    return 1\nclass C:\n    x = 1\ndef _g():\n    return 1\n") == ["f", "C"]
    assert FORBIDDEN_TEXT.search("# " + "TO" + "DO: later")


def test_the_rules_look_at_all_code() -> None:
    assert len(MODULES) > 150
    assert {path.relative_to(ROOT).parts[0] for path in SIZED} == {"src", "tests", "tools", "benchmarks"}
