"""Processes don't load what only some work needs: each of these libraries costs megabytes in every process."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("polars", "numba", "llvmlite", "lightgbm", "matplotlib", "pandas", "scipy", "glum", "alembic")
OF_THE_API = ("fastapi", "starlette", "jwt")


def _loaded(module: str, libraries: tuple[str, ...]) -> str:
    script = f"import sys, auto_insurance.{module}; print(*sorted(set({libraries!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["bootstrap", "entrypoints.api", "entrypoints.scheduler", "entrypoints.pool"])
def test_nothing_heavy_is_loaded_at_a_start(module: str) -> None:
    assert _loaded(module, HEAVY) == ""


def test_a_worker_does_without_the_web_framework_too() -> None:
    assert _loaded("entrypoints.worker", HEAVY + OF_THE_API) == ""
