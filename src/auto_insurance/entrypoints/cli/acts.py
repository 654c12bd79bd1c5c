"""Commands act for the person at the command line: what they write leaves a row in the audit log."""

from __future__ import annotations

import functools
import getpass
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from auto_insurance.infra.acting import Act, Actor, Place, doing

if TYPE_CHECKING:
    from auto_insurance.infra.db.uow import UnitOfWork

KIND = "command"


def as_act(name: str, command: Callable[..., None]) -> Callable[..., None]:
    """Return the command so that it runs as an act of its name, by the user of the operating system."""

    @functools.wraps(command)
    def acting(*args: Any, **kwargs: Any) -> None:
        with doing(Act(_record, lambda: Place(name), actor=operator())):
            command(*args, **kwargs)

    acting.__signature__ = inspect.signature(command, eval_str=True)  # type: ignore[attr-defined]
    return acting


def operator() -> Actor:
    """Return who is at the command line."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return Actor(KIND, f"cli:{user}", user)


async def _record(uow: UnitOfWork, act: Act) -> None:
    from auto_insurance.audit.service import record  # noqa: PLC0415 - slow to load, not for --help

    await record(uow, act)
