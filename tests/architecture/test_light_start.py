"""Processes don't load what only some work needs: each of these libraries costs tens of megabytes in every process."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("polars", "numba", "llvmlite", "lightgbm", "matplotlib", "pandas", "scipy", "glum")


@pytest.mark.parametrize("module", ["bootstrap", "entrypoints.api", "entrypoints.scheduler", "entrypoints.pool"])
def test_nothing_heavy_is_loaded_at_a_start(module: str) -> None:
    script = f"import sys, auto_insurance.{module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""
