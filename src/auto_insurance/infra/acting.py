"""Who acts now: the person, key or command in whose name transactions are opened, for the record that they leave.

An act begins with a request or a command and is carried by the context (``contextvars``): every transaction opened
within it calls its recorder before it commits, whoever opens it. Jobs and consumers act for nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import Any

Recorder = Callable[[Any, "Act"], Awaitable[None]]
"""Writes what is to be kept of a transaction, inside of it; takes the unit of work."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, key or command. ``kind`` is user, api_key, command or anonymous."""

    kind: str
    ident: str
    label: str | None = None
    """Name for people."""
    driver_id: str | None = None
    """The driver that ``me`` means to a person."""


ANONYMOUS = Actor("anonymous", "")


@dataclass(frozen=True, slots=True)
class Place:
    """What is done: the method and route template of a request or the name of a command, and the path's parameters."""

    action: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Act:
    """A request or command under way. The actor becomes known in its course."""

    recorder: Recorder
    place: Callable[[], Place]
    """Asked at the commit: a request's route is not known before it was found."""
    request_id: str | None = None
    address: str | None = None
    """Where the request came from."""
    actor: Actor = ANONYMOUS


_current: ContextVar[Act | None] = ContextVar("act", default=None)


def current() -> Act | None:
    """Return the act under way, None for the system's own work."""
    return _current.get()


def identify(actor: Actor) -> None:
    """Say whose act it is; without an act nothing happens."""
    act = _current.get()
    if act is not None:
        act.actor = actor


def start(act: Act | None) -> Token[Act | None]:
    """Begin an act; give what it returns to :func:`stop`."""
    return _current.set(act)


def stop(token: Token[Act | None]) -> None:
    """Go back to the act before."""
    _current.reset(token)


@contextmanager
def doing(act: Act | None) -> Iterator[None]:
    """Run a block as an act."""
    token = start(act)
    try:
        yield
    finally:
        stop(token)


def as_system() -> AbstractContextManager[None]:
    """Return a context in which transactions are the system's own: upkeep on the way of somebody's request."""
    return doing(None)
