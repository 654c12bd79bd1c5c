"""A pytest plugin that measures branch coverage with SlipCover: ``-p tools.measured`` with MEASURE_TO=FOLDER.

SlipCover instruments modules as they are imported and costs next to nothing, where a tracer made the tests take twice
as long. Every test process writes what it saw to a file of the folder; ``python -m slipcover --merge`` adds them up.
Child processes are not measured. Only our own package is: SlipCover's own way into pytest takes over all imports.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest
from slipcover import Slipcover
from slipcover.importer import SlipcoverLoader

PACKAGE = "auto_insurance"
COMPILED = frozenset(
    f"{PACKAGE}.trips.{name}" for name in ("aggregate", "calendar", "contents", "detect", "segment", "state", "track")
)
"""Compiled by Numba from their bytecode, which must stay as it is."""
_folder = os.environ.get("MEASURE_TO")
_slipcover = Slipcover(branch=True)


class Finder(MetaPathFinder):
    """Instruments the modules of the package."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec with a loader that instruments, or None for what is not ours."""
        if fullname.split(".", 1)[0] != PACKAGE or fullname in COMPILED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader) and spec.origin is not None:
            spec.loader = SlipcoverLoader(_slipcover, spec.loader, spec.origin)
        return spec


if _folder is not None:
    sys.meta_path.insert(0, Finder())


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what this process saw."""
    if _folder is not None:
        name = os.environ.get("PYTEST_XDIST_WORKER", "main")
        Path(_folder).mkdir(parents=True, exist_ok=True)
        (Path(_folder) / f"{name}.json").write_text(json.dumps(_slipcover.get_coverage()))
