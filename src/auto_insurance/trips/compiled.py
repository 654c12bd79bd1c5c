"""Marks the rules of trips that are compiled, and says where their machine code is kept.

The rules are ordinary Python over scalars and records and run as such until ``fold.warm`` puts machine code in the
place of the functions that are called from outside: only a worker pays for that. ``compiler`` makes it in a process
of its own, once per machine and version of the rules; ``native`` loads it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from auto_insurance.telematics.columns import EVENT_CODE

Rule = TypeVar("Rule", bound=Callable[..., Any])
SOURCES = (
    "state.py", "calendar.py", "contents.py", "track.py", "detect.py", "aggregate.py", "segment.py", "compiled.py",
    "rules.py", "schemas.py",
)  # fmt: skip
"""What compiled code depends on: the files with rules and what they import of this package, however far."""
MAKERS = ("compiler.py", "native.py")
"""Who makes it and who loads it."""
RULES: list[Callable[..., Any]] = []


def compiled(rule: Rule) -> Rule:
    """Mark a function to be compiled."""
    RULES.append(rule)
    return rule


def folder_of_rules(bases: Sequence[Path], version: str) -> Path | None:
    """Return the folder for these rules' compiled code below the first base that we may write to; None without one.

    The folder has to be ours alone: compiled code that somebody else may change is not loaded.
    """
    digest = hashlib.sha256(f"{version} {EVENT_CODE}".encode())
    for name in SOURCES + MAKERS:
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


def bases() -> tuple[Path, ...]:
    """Return where compiled code may go: beside the sources, else in a temporary folder of ours."""
    return (Path(__file__).parent / "__pycache__", Path(tempfile.gettempdir()) / f"auto-insurance-{os.getuid()}")


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Let one process of this machine compile while the others wait; they find its work in the folder.

    The lock is the system's: it goes with the process that holds it, however that ends.
    """
    import fcntl  # noqa: PLC0415 - not on every system, and only here

    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
