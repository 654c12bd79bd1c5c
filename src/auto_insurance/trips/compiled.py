"""Compiles the rules of trips with Numba, once per machine and version of the rules.

The rules are ordinary Python over scalars and records and run as such until :func:`compile_rules` replaces them by what
Numba makes of them: only a worker pays for that. Numba's own cache of compiled code does not notice when a function in
another file changes, so its folder is named after all the sources.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from auto_insurance.telematics.columns import EVENT_CODE

Rule = TypeVar("Rule", bound=Callable[..., Any])
SOURCES = (
    "state.py", "calendar.py", "contents.py", "track.py", "detect.py", "aggregate.py", "segment.py", "compiled.py",
    "rules.py", "schemas.py",
)  # fmt: skip
"""What compiled code depends on: the files with rules and what they import of this package, however far."""
_inner: list[Callable[..., Any]] = []
_entries: list[Callable[..., Any]] = []


def compiled(rule: Rule) -> Rule:
    """Mark a function that only other rules call to be compiled."""
    _inner.append(rule)
    return rule


def entry(rule: Rule) -> Rule:
    """Mark a function that is called from outside to be compiled, with all that it calls, and kept in the folder."""
    _entries.append(rule)
    return rule


def compile_rules(modules: Sequence[ModuleType]) -> Path | None:
    """Replace the rules of these modules by compiled ones, bit by bit the same (no fastmath); returns their folder.

    Each is compiled, or loaded from the folder, on its first call: see :func:`one_at_a_time`.
    """
    import numba  # noqa: PLC0415 - takes half a second and 70 MB, and only workers need it

    config: Any = numba.config
    folder = folder_of_rules(_bases(str(config.CACHE_DIR)), numba.__version__)
    if folder is not None:
        config.CACHE_DIR = str(folder)
    njit: Any = numba.njit
    options = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
    quick = {rule: njit(**options, no_cpython_wrapper=True)(rule) for rule in _inner}
    quick |= {rule: njit(**options, cache=folder is not None)(rule) for rule in _entries}
    for module in modules:
        for name, value in list(vars(module).items()):
            if callable(value) and getattr(value, "__module__", "").startswith(__package__ or "") and value in quick:
                setattr(module, name, quick[value])
    return folder


def folder_of_rules(bases: Sequence[Path], version: str) -> Path | None:
    """Return the folder for these rules' compiled code below the first base that we may write to; None without one.

    The folder has to be ours alone: compiled code that somebody else may change is not loaded.
    """
    digest = hashlib.sha256(f"{version} {EVENT_CODE}".encode())
    for name in SOURCES:
        digest.update((Path(__file__).parent / name).read_bytes())
    for base in bases:
        folder = base / f"auto-insurance-rules-{digest.hexdigest()[:16]}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            about = folder.stat()
        except OSError:
            continue
        if about.st_uid == os.getuid() and not about.st_mode & 0o022 and os.access(folder, os.W_OK):
            return folder
    return None


def _bases(told: str) -> tuple[Path, ...]:
    """Where compiled code may go: as Numba is told, else beside the sources, else in a temporary folder of ours."""
    if told:
        return (Path(told),)
    return (Path(__file__).parent / "__pycache__", Path(tempfile.gettempdir()) / f"auto-insurance-{os.getuid()}")


@contextmanager
def one_at_a_time(folder: Path | None) -> Iterator[None]:
    """Let one process of this machine compile while the others wait; they find its work in the folder.

    The lock is the system's: it goes with the process that holds it, however that ends.
    """
    if folder is None:
        yield
        return
    import fcntl  # noqa: PLC0415 - not on every system, and only here

    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
