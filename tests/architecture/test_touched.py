"""Who writes a table that kept answers rest on says whose facts it changes; nobody asks Redis for all its keys."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from auto_insurance.infra.db.touched import Aspect

SOURCE = Path(__file__).parents[2] / "src" / "auto_insurance"
MODULES = [path for path in sorted(SOURCE.rglob("*.py")) if "migrations" not in path.parts]
TABLES = {
    "drivers": Aspect.DRIVER,
    "vehicles": Aspect.DRIVER,
    "trips": Aspect.TRIPS,
    "trip_events": Aspect.TRIPS,
    "trip_scores": Aspect.TRIPS,
    "trip_disputes": Aspect.TRIPS,
    "disputes": Aspect.TRIPS,
    "risk_scores": Aspect.SCORE,
    "premiums": Aspect.PREMIUM,
}
"""By the names that repositories call them; ``disputes`` is their word for ``trip_disputes``."""
WRITERS = frozenset({"insert", "pg_insert", "upsert", "update", "delete", "copy_rows"})
WRITTEN_OUT = re.compile(rf"\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+({'|'.join(TABLES)})\b")
TOLD_BY_CALLER = {"trips/repository.py: _delete_events"}
"""Private helpers whose callers tell."""


def silent_writers(source: str) -> list[str]:
    """Return the functions that write such a table and don't say so."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
        texts = [n.value for n in ast.walk(function) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        writes = any(_writes(call) for call in calls) or any(WRITTEN_OUT.search(text) for text in texts)
        tells = any(_name(call.func) in {"touched", "touched_everything"} for call in calls)
        if writes and not tells:
            found.append(function.name)
    return found


def _writes(call: ast.Call) -> bool:
    own = call.func.value if isinstance(call.func, ast.Attribute) else None
    tables = [_name(argument) for argument in call.args] + [_name(own)]
    return _name(call.func) in WRITERS and any(table in TABLES for table in tables)


def _name(node: ast.expr | None) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_who_writes_tells(path: Path) -> None:
    place = path.relative_to(SOURCE)
    silent = {f"{place}: {name}" for name in silent_writers(path.read_text())} - TOLD_BY_CALLER
    assert not silent, f"these write facts of drivers and don't call uow.touched: {sorted(silent)}"


def test_silence_is_heard() -> None:
    assert silent_writers("async def f(uow):\n    await uow.conn.execute(insert(trips).values())\n") == ["f"]
    assert silent_writers("def f(uow):\n    postgresql.insert(models.premiums)\n") == ["f"]
    assert silent_writers("def f(uow):\n    copy_rows(uow, risk_scores, ())\n") == ["f"]
    assert silent_writers("def f(uow):\n    trips.update()\n") == ["f"]
    assert silent_writers('def f(uow):\n    text("UPDATE drivers SET x = 1")\n') == ["f"]
    assert not silent_writers("def f(uow):\n    uow.touched(A, [1])\n    insert(trips)\n")
    assert not silent_writers("def f(uow):\n    insert(quotes)\n")


ALL_KEYS = re.compile(r"\.keys\(\s*[\"'f]|[\"']KEYS[\"'\s]|flushdb|flushall", re.IGNORECASE)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nobody_asks_redis_for_everything(path: Path) -> None:
    """KEYS stops the server for as long as it takes; SCAN goes in steps."""
    source = path.read_text()
    if "redis" in source:
        lines = [line for line in source.splitlines() if ALL_KEYS.search(line) and "redis.call" not in line]
        assert not lines
    assert ALL_KEYS.search('redis.keys("cache:*")')
