"""Traces: which work belongs to which request, over processes and the log. Off by default, and then it costs a look.

A trace travels as the text of W3C's ``traceparent``: in the headers of a record, in the envelope of a domain event, in
the row of what waits. Only what was sampled at the door travels, so that everybody else finds nothing to do. Spans are
per request, upload and event handled, never per sample; their attributes are names of our own, never ids or places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, Token
from typing import Protocol

from structlog.typing import EventDict, WrappedLogger

Attributes = Mapping[str, str | int]


class Span(Protocol):
    """A piece of work under way."""

    @property
    def traceparent(self) -> str | None:
        """What its children name as their parent; None if the trace is not sampled."""
        ...

    def end(self, name: str | None = None, attributes: Attributes | None = None, error: str | None = None) -> None:
        """End it; the name may be known only now."""
        ...


class Backend(Protocol):
    """Who keeps spans and sends them off."""

    def start(self, name: str, kind: str, parent: str | None, attributes: Attributes) -> Span: ...

    def close(self) -> None: ...


_backend: Backend | None = None
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)
_keyed: ContextVar[Mapping[str, str]] = ContextVar("traceparents", default={})  # noqa: B039 - never changed in place


def use(backend: Backend | None) -> None:
    """Trace with this from now on, in this process; with None not at all."""
    global _backend
    _backend = backend


def is_on() -> bool:
    """Return whether anything is traced."""
    return _backend is not None


def close() -> None:
    """Send what is left, within the exporter's time, and stop tracing."""
    global _backend
    backend, _backend = _backend, None
    if backend is not None:
        backend.close()


def current() -> str | None:
    """Return the traceparent of the work at hand; None if it is not traced."""
    return _current.get() if _backend is not None else None


def begin(name: str) -> tuple[Span, Token[str | None]] | None:
    """Begin a trace of its own for a request; None if tracing is off. To be given to :func:`finish`."""
    if _backend is None:
        return None
    span = _backend.start(name, "server", None, {})
    return span, _current.set(span.traceparent)


def finish(begun: tuple[Span, Token[str | None]], name: str, status: int) -> None:
    """End what :func:`begin` began."""
    span, token = begun
    _current.reset(token)
    span.end(name, {"http.response.status_code": status}, f"status {status}" if status >= 500 else None)


@contextmanager
def span(name: str, *, kind: str = "internal", parent: str | None = None) -> Iterator[None]:
    """Trace a piece of work within the parent's trace, by default the current one; without a trace do nothing."""
    parent = parent or current()
    if _backend is None or parent is None:
        yield
        return
    started = _backend.start(name, kind, parent, {})
    token = _current.set(started.traceparent)
    try:
        yield
    except BaseException as error:
        started.end(error=type(error).__name__)
        raise
    else:
        started.end()
    finally:
        _current.reset(token)


@contextmanager
def spans(name: str, parents: Mapping[str, str]) -> Iterator[None]:
    """Trace work on several things at once, each in its own trace: a span for each key."""
    if _backend is None or not parents:
        yield
        return
    with ExitStack() as stack:
        made = dict(_keyed.get())
        for key, parent in parents.items():
            stack.enter_context(span(name, kind="consumer", parent=parent))
            made[key] = current() or parent
        token = _current.set(None)
        try:
            with keyed(made):
                yield
        finally:
            _current.reset(token)


@contextmanager
def keyed(traces: Mapping[str, str]) -> Iterator[None]:
    """Let :func:`of` find these traceparents by their keys."""
    token = _keyed.set(traces)
    try:
        yield
    finally:
        _keyed.reset(token)


@contextmanager
def of(key: str) -> Iterator[None]:
    """Do something in the trace of one of the things that :func:`spans` or :func:`keyed` told of, if it has one."""
    trace = _keyed.get().get(key) if _backend is not None else None
    if trace is None:
        yield
        return
    token = _current.set(trace)
    try:
        yield
    finally:
        _current.reset(token)


def add_trace_id(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Put the trace's id into a log line; processor of structlog."""
    trace = current()
    if trace is not None:
        event_dict["trace_id"] = trace.split("-")[1]
    return event_dict
