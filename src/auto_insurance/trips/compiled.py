"""Compiles the rules of trips with Numba, once per machine and version of the rules.

The rules are ordinary Python over scalars and records; ``@compiled`` only makes them quick. Numba's own cache of
compiled code does not notice when a function in another file changes, so its folder is named after all the sources.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba import config

Rule = TypeVar("Rule", bound=Callable[..., Any])
_config: Any = config
_njit: Any = numba.njit
SOURCES = ("state.py", "calendar.py", "track.py", "detect.py", "aggregate.py", "segment.py", "compiled.py")
"""What compiled code depends on."""


def folder_of_rules(bases: tuple[Path, ...]) -> Path | None:
    """Return the folder for this version's compiled code below the first base that we may write to; None without one.

    The folder has to be ours alone: compiled code that somebody else may change is not loaded.
    """
    digest = hashlib.sha256(numba.__version__.encode())
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


def _bases() -> tuple[Path, ...]:
    """Where compiled code may go: as Numba is told, else beside the sources, else in a temporary folder of ours."""
    if _config.CACHE_DIR:
        return (Path(_config.CACHE_DIR),)
    beside = Path(__file__).parent / "__pycache__"
    return (beside, Path(tempfile.gettempdir()) / f"auto-insurance-{os.getuid()}")


FOLDER = folder_of_rules(_bases())
if FOLDER is not None:
    _config.CACHE_DIR = str(FOLDER)


def compiled(rule: Rule) -> Rule:
    """Compile a function that only other compiled ones call. Floating point stays as in Python, bit by bit."""
    quick: Rule = _njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(rule)
    return quick


def entry(rule: Rule) -> Rule:
    """Compile a function that is called from Python, with all that it calls, and keep the result in the folder."""
    quick: Rule = _njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True, cache=FOLDER is not None)(rule)
    return quick


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let one process of this machine compile while the others wait; they find its work in the folder."""
    if FOLDER is None:
        yield
        return
    import fcntl  # noqa: PLC0415 - not on every system, and only here

    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
