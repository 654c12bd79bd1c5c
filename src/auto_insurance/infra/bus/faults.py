"""What a failure of a batch means: wait, split, or the record's own fault."""

from __future__ import annotations

import traceback
from enum import Enum, auto
from pathlib import PurePath

from auto_insurance.infra.db.faults import is_transient
from auto_insurance.kernel.errors import Unavailable

_SLOW = ("57014", "55P03")
"""``query_canceled`` by the statement time-out and ``lock_not_available``."""


class RetryLater(Exception):
    """A handler asked for the batch to be read again after a pause."""


class Fault(Enum):
    """What to do about it."""

    PASSING = auto()
    """Wait and read again; says nothing about the record."""
    SLOW = auto()
    """Try less at once; alone, wait and read again."""
    OWN = auto()
    """Find the record whose fault it is."""


def classify(error: Exception) -> Fault:
    """Return what a failed batch's error means."""
    if _sqlstate(error) in _SLOW:
        return Fault.SLOW
    if isinstance(error, RetryLater | Unavailable) or is_transient(error):
        return Fault.PASSING
    return Fault.OWN


def describe(error: Exception) -> str:
    """Return the error's type and place. Not its message: that may quote the record."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "auto_insurance" in frame.filename] or frames
    if not ours:
        return type(error).__name__
    path = PurePath(ours[-1].filename)
    return f"{type(error).__name__} at {path.parent.name}/{path.name}:{ours[-1].lineno}"


def _sqlstate(error: BaseException) -> str | None:
    seen: BaseException | None = error
    while seen is not None:
        state = getattr(seen, "sqlstate", None)
        if isinstance(state, str):
            return state
        seen = seen.__cause__ or getattr(seen, "orig", None)
    return None
