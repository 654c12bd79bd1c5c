"""Short ways for reads about one driver: who asks, may they, bytes that are kept; past router, models and transaction.

A read goes this way if nothing about it is unusual, and only to a 200, a 304 or a 404 for what is known not to exist.
Who it is and whether they may is asked of the very functions that the route depends on; what they refuse, and whatever
else is not plain, takes the route. So the two ways can't come to differ in whom they let in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import structlog
from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from auto_insurance.infra import tracing
from auto_insurance.infra.cache.entries import Entry
from auto_insurance.infra.cache.l1 import Held
from auto_insurance.infra.http.encodings import PLAIN, brotli_of, wanted
from auto_insurance.infra.http.errors import app_error_handler, unexpected_response
from auto_insurance.infra.http.middleware import SAFE, account, request_id_from
from auto_insurance.infra.http.reads_table import FigureWay, ReadTable, Way
from auto_insurance.kernel.errors import AppError

log = structlog.get_logger(__name__)
CACHE_CONTROL = b"private, no-cache"
"""Kept by the caller's own cache alone, and asked for again each time: the validator makes that cheap."""
_BEARER = b"Bearer "
_PLAIN = (
    *SAFE,
    (b"cache-control", CACHE_CONTROL),
    (b"vary", b"Authorization, Accept-Encoding"),
)


class _Asked:
    """The headers that matter, found in one pass."""

    __slots__ = ("packed", "request_id", "secret", "seen")

    def __init__(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.secret: bytes | None = None
        self.seen = b""
        self.packed = PLAIN
        self.request_id = b""
        for name, value in headers:
            if name == b"authorization":
                if self.secret is None:
                    self.secret = value
            elif name == b"if-none-match":
                self.seen = value
            elif name == b"accept-encoding":
                self.packed = wanted(value)
            elif name == b"x-request-id":
                self.request_id = self.request_id or value


class ReadMiddleware:
    """Answers reads from what is kept. Outermost: its answers need none of what the others add."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        table: ReadTable | None = getattr(scope["app"].state, "reads", None)
        found = table.match(scope["path"]) if table is not None else None
        if table is None or found is None or not await _answered(table, *found, scope, receive, send):
            await self._app(scope, receive, send)


async def _answered(
    table: ReadTable, way: Way | FigureWay, named: str, scope: Scope, receive: Receive, send: Send
) -> bool:
    """Answer if this read is a plain one; False if the route must."""
    started = perf_counter()
    asked = _Asked(scope["headers"])
    query = way.numbers(scope["query_string"])
    if query is None or asked.packed.always or asked.secret is None or not asked.secret.startswith(_BEARER):
        return False
    try:
        caller = await table.authenticate(asked.secret[len(_BEARER) :].decode("latin-1"))
        if isinstance(way, FigureWay):
            await way.admit(caller)
            driver_id = ""
        else:
            driver_id = await way.admit(caller, named)
            if way.read.own_only and caller.driver_id != driver_id:
                return False
    except Exception:  # whatever it is, such as a database that is away, the route says it as all routes do
        return False
    request_id = request_id_from(asked.request_id)
    traced = tracing.begin("http_request")
    word, numbers = query
    if isinstance(way, FigureWay):
        held = way.figures.peek(numbers)
        make = partial(way.figures.make, numbers)
    else:
        place = way.read.key.place(driver_id, f"{word}{way.read.facet()}")
        held = table.cache.peek(place)
        make = partial(table.held, way, place, numbers)
    if held is not None and held.entry.absent is None:
        status = await _send(held, asked, request_id, send)
    else:
        scope.setdefault("state", {})["request_id"] = request_id
        tokens = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            status = await _made(held, make, asked, request_id, (scope, receive, send))
        finally:
            structlog.contextvars.reset_contextvars(**tokens)
    account("GET", way.template, status, perf_counter() - started, request_id)
    if traced is not None:
        tracing.finish(traced, f"GET {way.template}", status)
    return True


async def _made(
    held: Held | None,
    make: Callable[[], Awaitable[Held]],
    asked: _Asked,
    request_id: str,
    wire: tuple[Scope, Receive, Send],
) -> int:
    try:
        if held is None:
            held = await make()
        held.entry.given()
    except Exception as error:
        known = isinstance(error, AppError)
        request = Request(wire[0])
        answer = await app_error_handler(request, error) if known else unexpected_response(error, request_id)
        answer.raw_headers.extend([*_PROBLEM, (b"x-request-id", request_id.encode())])
        await answer(*wire)
        return answer.status_code
    return await _send(held, asked, request_id, wire[2])


_PROBLEM = (*SAFE, (b"cache-control", b"no-store"))


async def _send(held: Held, asked: _Asked, request_id: str, send: Send) -> int:
    ready = held.ready
    if ready is None:
        ready = held.ready = _Ready(held)
    entry = held.entry
    if asked.seen and _same(entry.etag, asked.seen):
        status, headers, body = 304, ready.unchanged, b""
    elif asked.packed.coding is not None and entry.packed is not None:
        status = 200
        headers, body = ready.brotli(entry) if asked.packed.coding == b"br" else (ready.packed, entry.packed)
    else:
        status, headers, body = 200, ready.plain, entry.body
    start: dict[str, Any] = {
        "type": "http.response.start",
        "status": status,
        "headers": [*headers, (b"x-request-id", request_id.encode())],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})
    return status


Headers = tuple[tuple[bytes, bytes], ...]


class _Ready:
    """Headers of an answer, made once, and its form in brotli, made for the first who asks for it."""

    __slots__ = ("_brotli", "_kind", "packed", "plain", "unchanged")

    def __init__(self, held: Held) -> None:
        entry = held.entry
        self.unchanged = (*_PLAIN, (b"etag", entry.etag))
        self._kind = kind = (*self.unchanged, (b"content-type", b"application/json"))
        self.plain = (*kind, (b"content-length", b"%d" % len(entry.body)))
        packed = len(entry.packed or b"")
        self.packed = (*kind, (b"content-encoding", b"gzip"), (b"content-length", b"%d" % packed))
        self._brotli: tuple[Headers, bytes] | None = None

    def brotli(self, entry: Entry) -> tuple[Headers, bytes]:
        """Return headers and body in brotli. Here and not in Redis: storing costs no more, values are no larger."""
        if self._brotli is None:
            body = brotli_of(entry.body)
            length = (b"content-length", b"%d" % len(body))
            self._brotli = (*self._kind, (b"content-encoding", b"br"), length), body
        return self._brotli


def _same(etag: bytes, seen: bytes) -> bool:
    """Compare validators weakly (RFC 9110, section 8.8.3.2): both forms of an answer are the same answer."""
    strong = etag.removeprefix(b"W/")
    return any(one.strip().removeprefix(b"W/") == strong for one in seen.split(b",")) or seen.strip() == b"*"
